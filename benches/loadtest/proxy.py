"""One dbproxy under load: its configuration, its metrics, its files and memory; and the crowd around it."""

import contextlib
import json
import os
import re
import resource
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

from pgbench import CORES, REPOSITORY, TARGET, Problem, end, free_port, machine_cpu, process_cpu, pss_kib, say

PASSWORD = "light-password"  # as in benches/crowd/server.rs
SOURCES = 16  # loopback addresses of the clients; each has 28,000 ports
SPARE_FILES = 384  # what dbproxy keeps for itself before it says that the limit is too low


def raise_file_limit():
    """For this process and all that it starts; returns the limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (65_536, most):
        # Only a privileged process may raise the hard limit.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, most), max(wanted, most)))
            return max(wanted, most)
    raise Problem("the limit of open files cannot be raised")


def sessions_possible(files):
    """A session is two sockets of dbproxy, which keeps room for those it turns away."""
    return (files - SPARE_FILES - min(files // 128, 1_000)) // 2


def build_crowd():
    """The light server and the clients."""
    say("building the crowd (release)")
    command = ["cargo", "build", "--release", "--locked", "--quiet", "--bench", "crowd", "--message-format", "json"]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise Problem("the crowd does not build")
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "crowd":
            return Path(message["executable"])
    raise Problem("cargo does not say where the crowd is")


def make_certificates(directory):
    """An authority, and a server certificate for both legs."""
    extensions = directory / "extensions"
    extensions.write_text("basicConstraints=CA:FALSE\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for arguments in (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=load-authority"
        " -keyout authority.key -out authority.pem",
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout server.key"
        " -out server.csr",
        "x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 30"
        " -extfile extensions -out server.pem"):
        done = subprocess.run(["openssl", *arguments.split()], cwd=directory, capture_output=True, text=True)
        if done.returncode != 0:
            raise Problem(f"openssl: {done.stderr.strip()}")


class Proxy:
    """A running dbproxy."""

    def __init__(self, stack, binary, directory, configuration, admin, environment=None):
        self.admin, self.log = admin, directory / "dbproxy.log"
        config = directory / "dbproxy.toml"
        config.write_text(configuration)
        config.chmod(0o600)
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "AWS_", "DBPROXY_"))}
        with open(self.log, "w") as output:
            self.process = subprocess.Popen([str(binary), "--config", str(config)], stdin=subprocess.DEVNULL,
                                            stdout=output, stderr=subprocess.STDOUT, env=clean | (environment or {}))
        stack.callback(end, self.process)
        self.pid = self.process.pid
        self.wait_ready()

    def wait_ready(self):
        for _ in range(200):
            if self.process.poll() is not None:
                raise Problem(f"dbproxy ended: {self.log.read_text()[-1500:]}")
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/readiness", timeout=5).close()
                return
            time.sleep(0.05)
        raise Problem("dbproxy does not get ready")

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines) if name[:1] != "#"}

    def open_now(self):
        """Sessions, and connections where this dbproxy counts them."""
        metrics = self.metrics()
        names = ("dbproxy_sessions_open", "dbproxy_connections_open")
        return {name.removeprefix("dbproxy_"): int(metrics[name]) for name in names if name in metrics}

    def closed(self):
        """Ended connections by reason."""
        found = {}
        for name, value in self.metrics().items():
            if match := re.fullmatch(r'dbproxy_connections_closed_total\{reason="(\w+)"\}', name):
                found[match[1]] = int(value)
        return found

    def files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def pss(self):
        return pss_kib(self.pid)

    def cpu(self):
        return process_cpu(self.pid)

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def panics(self):
        return [line for line in self.log.read_text(errors="replace").splitlines() if "panic" in line]

    def settled(self, files_before, patience=30.0):
        """Waits until everyone has left; returns what is open still."""
        until = time.monotonic() + patience
        while True:
            left = self.open_now() | {"files": self.files() - files_before}
            if all(value <= 0 for value in left.values()) or time.monotonic() > until:
                return left
            time.sleep(0.2)


class Part:
    """One process of the crowd: commands in, a line of JSON out."""

    def __init__(self, stack, program, *arguments):
        self.process = subprocess.Popen([str(program), *map(str, arguments)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)
        stack.callback(end, self.process)
        self.pid = self.process.pid

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise Problem(f"a part of the crowd has ended: {' '.join(self.process.args)}")
        return json.loads(line)

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        return self.answer()


class Stage:
    """Light server, dbproxy in front of it, and the ways for clients."""

    def __init__(self, stack, binary, crowd, directory, max_clients):
        self.stack, self.crowd, self.directory = stack, crowd, directory
        make_certificates(directory)
        (directory / "password").write_text(PASSWORD + "\n")
        (directory / "password").chmod(0o600)
        self.server = Part(stack, crowd, "server", directory / "server.pem", directory / "server.key")
        self.port, admin = free_port(), free_port()
        self.proxy = Proxy(stack, binary, directory, f"""# Written by benches/load.py
admin = "127.0.0.1:{admin}"
max_clients = {max_clients}
logins_per_second = 0
log_level = "warn"
[client_tls]
cert_file = "{directory}/server.pem"
key_file = "{directory}/server.key"
[targets.light]
listen = ["127.0.0.1:{self.port}"]
endpoint = "localhost"
dial = "127.0.0.1:{self.server.answer()['port']}"
ca_file = "{directory}/authority.pem"
db_users = ["light"]
databases = ["light"]
credential = {{ kind = "password_file", file = "{directory}/password" }}
""", admin)

    def clients(self, stack, tls=False):
        authority = [self.directory / "authority.pem"] if tls else []
        return Part(stack, self.crowd, "clients", f"127.0.0.1:{self.port}", SOURCES, *authority)


class Meter:
    """CPU of the parts, and what strangers took meanwhile."""

    def __init__(self, **pids):
        self.pids, self.start = pids, None
        self.start = self.read()

    def read(self):
        used = os.times()
        own = sum(used[:4])
        return [time.monotonic(), *machine_cpu(), own, *(process_cpu(pid) for pid in self.pids.values())]

    def stop(self):
        wall, busy, steal, own, *parts = (b - a for a, b in zip(self.start, self.read()))
        return {"wall_s": wall, "foreign": max(0.0, busy - own - sum(parts)) / (wall * CORES),
                "steal": steal / (wall * CORES), **{f"{name}_cpu_s": cpu for name, cpu in zip(self.pids, parts)}}


def scratch(name):
    """A directory of this run's own below target/."""
    directory = TARGET / "load" / name
    directory.mkdir(parents=True, exist_ok=True)
    return directory
