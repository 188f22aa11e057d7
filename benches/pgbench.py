#!/usr/bin/env python3
"""Compares three ways to the same PostgreSQL in one run: direct, through dbproxy, through PgBouncer.

    python3 benches/pgbench.py [--quick] [--rounds N] [--seconds N] [--markdown] [--json FILE]

Starts a sandbox of its own (tests/sandbox), a release build of dbproxy and, when it is installed,
PgBouncer in session mode. Every round runs every case over every way, in random order, so that a
burst of other work on the machine hits all of them; figures are medians of what was measured within
one round. docs/benchmarks.md explains the method and how to read the result.
"""

import argparse
import contextlib
import datetime
import json
import os
import pwd
import random
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target").resolve()
SANDBOX = REPOSITORY / "tests" / "sandbox" / "sandbox.py"
DIRECT, DBPROXY, PGBOUNCER = "direct", "dbproxy", "PgBouncer"
ADMIN, PASSWORD_USER = "sandbox_admin", "app_password"
CLIENTS = 8
TICKS = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count() or 1
ROW_BYTES = 251  # 250 letters and the line's end


class Problem(Exception):
    """Something the user can mend; printed without a traceback."""


def say(text):
    print(text, file=sys.stderr, flush=True)


# --------------------------------------------------------------------------------------------------
# What the machine spent
# --------------------------------------------------------------------------------------------------

def process_cpu(pid):
    """CPU seconds of a process with all its threads, also those that have ended.

    This is clock_getcpuclockid(3): nanoseconds, where /proc/<pid>/stat has hundredths of a second.
    """
    return time.clock_gettime_ns((~pid << 3) | 2) / 1e9


def tree_cpu(root):
    """CPU seconds of a process, of its living children, and of those it has waited for."""
    total = 0
    try:
        children = Path(f"/proc/{root}/task/{root}/children").read_text().split()
    except OSError:
        children = []
    for pid, fields in [(root, 4)] + [(child, 2) for child in children]:
        with contextlib.suppress(OSError):
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(ticks) for ticks in stat[11:11 + fields])
    return total / TICKS


def machine_cpu():
    """Seconds in processes, seconds stolen by the host.

    The clock of a process runs on while its CPU is stolen, so the stolen time is part of both figures.
    Interrupts belong to nobody and are left out.
    """
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, steal = (int(fields[i]) / TICKS for i in (0, 1, 2, 7))
    return user + nice + system + steal, steal


SPIN = "import os\nos.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\nwhile True: pass"


@contextlib.contextmanager
def cores_awake(wanted):
    """One process of the lowest priority for each core, giving way to everything else at once.

    With one client every core sleeps several times a transaction. Waking a virtual CPU takes its host
    longer than all the work measured here, and how often that happens depends on the machine, not on
    the way. Not for the other cases: on cores that share their units a spinning neighbour costs speed.
    """
    spinners = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(CORES if wanted else 0)]
    try:
        time.sleep(0.2 if spinners else 0)
        yield [spinner.pid for spinner in spinners]
    finally:
        for spinner in spinners:
            end(spinner)


class Meter:
    """CPU of one proxy, and what strangers took meanwhile, between two points in time."""

    def __init__(self, bench, way, helpers=()):
        self.pid = bench.pids.get(way)
        self.ours = [bench.state["pids"][name] for name in ("writer", "reader", "fakeaws")]
        self.ours += helpers
        self.start = self.read()

    def read(self):
        proxy = process_cpu(self.pid) if self.pid else 0.0
        used = os.times()
        # Children (pgbench, psql) have been waited for when the second reading is taken.
        known = proxy + sum(tree_cpu(pid) for pid in self.ours) + sum(used[:4])
        return time.monotonic(), proxy, known, *machine_cpu()

    def stop(self):
        wall, proxy, known, busy, steal = (b - a for a, b in zip(self.start, self.read()))
        return {"proxy_cpu_s": proxy, "foreign": max(0.0, busy - known) / (wall * CORES),
                "steal": steal / (wall * CORES)}


def pss_kib(pid):
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise Problem(f"no memory figures for process {pid}")


# --------------------------------------------------------------------------------------------------
# What runs
# --------------------------------------------------------------------------------------------------

def needed(program, package):
    found = shutil.which(program)
    if not found:
        installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
        found = str(installed[-1]) if installed else None
    if not found:
        raise Problem(f"{program} is missing: apt-get install {package}")
    return found


def build():
    binary = TARGET / "release" / "dbproxy"
    say("building dbproxy (release); the first time this takes some minutes")
    command = ["cargo", "build", "--release", "--locked", "--quiet"]
    if subprocess.run(command, cwd=REPOSITORY).returncode != 0:
        raise Problem("the release build failed")
    return binary


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, process, log):
    for _ in range(300):
        if process.poll() is not None:
            raise Problem(f"{process.args[0]} ended; the end of {log}:\n{log.read_text()[-1500:]}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise Problem(f"{process.args[0]} does not listen; see {log}")


def end(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def output_of(command):
    return subprocess.run(command, capture_output=True, text=True).stdout.strip().partition("\n")[0]


class Bench:
    """Sandbox, proxies and the addresses of the ways."""

    def __init__(self, stack, binary):
        self.pgbench, self.psql = needed("pgbench", "postgresql-15"), needed("psql", "postgresql-client-15")
        self.binary = binary
        self.directory = TARGET / "sandbox-bench"
        self.scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dbproxy-bench-")))
        self.scratch.chmod(0o755)
        # libpq must take nothing from the caller's surroundings.
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "AWS_", "DBPROXY_"))}
        self.environment |= {"PGGSSENCMODE": "disable", "PGCONNECT_TIMEOUT": "30"}
        say("starting the sandbox")
        stack.callback(self.sandbox, "down")
        self.sandbox("up")
        self.state = json.loads((self.directory / "state.json").read_text())
        self.pids, self.ports = {}, {}
        self.start_dbproxy(stack)
        self.ways = [DIRECT, DBPROXY]
        if shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
            self.start_pgbouncer(stack)
            self.ways.append(PGBOUNCER)
        else:
            say("pgbouncer is not installed, so it is left out: apt-get install pgbouncer")
        self.one_row = self.scratch / "one.sql"
        self.one_row.write_text("select 1;\n")
        self.execute(self.url(DIRECT, ADMIN), "create unlogged table if not exists bench_copy_in (line text)")

    def sandbox(self, command):
        done = subprocess.run([sys.executable, str(SANDBOX), command, "--dir", str(self.directory), "--quiet"])
        if done.returncode != 0 and command == "up":
            raise Problem("the sandbox did not start")

    def start_dbproxy(self, stack):
        # The limit of new logins, made for RDS, would be all that the case with a connection for each
        # transaction measures; the rest is as shipped.
        config = self.scratch / "dbproxy.toml"
        config.write_text("logins_per_second = 0\n" + (self.directory / "dbproxy.toml").read_text())
        aws = self.state["aws"]
        environment = self.environment | {
            "AWS_ENDPOINT_URL": aws["endpoint_url"], "AWS_REGION": aws["region"],
            "AWS_ACCESS_KEY_ID": aws["dbproxy"]["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": aws["dbproxy"]["secret_access_key"], "AWS_EC2_METADATA_DISABLED": "true"}
        log = self.directory / "dbproxy-bench.log"
        self.start(stack, DBPROXY, [str(self.binary), "--config", str(config)], self.state["ports"]["orders"], log,
                   env=environment)

    def start_pgbouncer(self, stack):
        """PgBouncer knows passwords only: it logs in with the sandbox's static ones, not with IAM tokens."""
        writer, port = self.state["cluster"]["writer"], free_port()
        shutil.copy(self.state["ca"]["bundle"], self.scratch / "ca.pem")
        users, ini = self.scratch / "users.txt", self.scratch / "pgbouncer.ini"
        passwords = self.state["passwords"]
        users.write_text("".join(f'"{user}" "{passwords[user]}"\n' for user in (ADMIN, PASSWORD_USER)))
        ini.write_text(f"""[databases]
{self.state['database']} = host={writer['address']} port={writer['port']}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = session
default_pool_size = 190
max_client_conn = 500
server_tls_sslmode = verify-full
server_tls_ca_file = {self.scratch / 'ca.pem'}
""")
        options = {}
        if os.geteuid() == 0:
            # PgBouncer refuses to run as root; PostgreSQL's user exists wherever the sandbox runs.
            postgres = pwd.getpwnam("postgres")
            options = {"user": postgres.pw_uid, "group": postgres.pw_gid, "extra_groups": []}
            os.chown(users, postgres.pw_uid, postgres.pw_gid)
        users.chmod(0o600)
        program = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        self.start(stack, PGBOUNCER, [program, str(ini)], port, self.directory / "pgbouncer.log",
                   env=self.environment, cwd=self.scratch, **options)

    def start(self, stack, way, command, port, log, **options):
        with open(log, "w") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=subprocess.STDOUT, **options)
        stack.callback(end, process)
        wait_for_port(port, process, log)
        self.pids[way], self.ports[way] = process.pid, port

    def url(self, way, user):
        if way != DIRECT:
            return f"postgresql://{user}@127.0.0.1:{self.ports[way]}/{self.state['database']}?sslmode=disable"
        writer = self.state["cluster"]["writer"]
        return (f"postgresql://{user}:{self.state['passwords'][user]}@{writer['address']}:{writer['port']}/"
                f"{self.state['database']}?sslmode=verify-full&sslrootcert={self.state['ca']['bundle']}")

    def execute(self, url, sql, **options):
        options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE} | options
        done = subprocess.run([self.psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql, url],
                              env=self.environment, **options)
        if done.returncode != 0:
            raise Problem(f"psql failed: {done.stderr.decode(errors='replace').strip()}")

    # -- pgbench ----------------------------------------------------------------------------------

    def transactions(self, case, way, seconds):
        log = self.scratch / "transactions"
        command = [self.pgbench, "-n", "-T", str(seconds), "-c", str(case.clients),
                   "-j", str(case.clients if case.connects else min(case.clients, CORES)), *case.options]
        # pgbench waits for each login, so with -C only as many logins are under way as it has threads.
        command += ["-C", "-f", str(self.one_row)] if case.connects else ["-S"]
        if case.latency:
            command += ["-l", "--log-prefix", str(log)]
        with cores_awake(case.latency) as helpers:
            meter = Meter(self, way, helpers)
            done = subprocess.run([*command, self.url(way, case.user)], env=self.environment, capture_output=True,
                                  text=True, cwd=self.scratch)
            figures = meter.stop()
        count = re.search(r"actually processed: (\d+)", done.stdout)
        tps = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
        failed = re.search(r"failed transactions: (\d+)", done.stdout)
        if done.returncode != 0 or not (count and tps and int(count[1])) or (failed and int(failed[1])):
            raise Problem(f"pgbench over {way} failed: {done.stdout[-500:]}{done.stderr[-1000:]}")
        figures |= {"tps": float(tps[1]), "cpu_us": figures["proxy_cpu_s"] * 1e6 / int(count[1])}
        if case.latency:
            times = []
            for part in self.scratch.glob("transactions.*"):
                times += [int(line.split()[2]) for line in part.read_text().splitlines()]
                part.unlink()
            figures["p50_us"] = statistics.median(times)
        return figures

    # -- COPY -------------------------------------------------------------------------------------

    def copy_out(self, way, rows):
        meter = Meter(self, way)
        self.execute(self.url(way, ADMIN),
                     f"copy (select repeat('x', {ROW_BYTES - 1}) from generate_series(1, {rows})) to stdout")
        return self.per_gigabyte(meter, rows)

    def copy_in(self, way, rows):
        """The rows travel, are parsed and dropped: the disk has no part in the figure."""
        block_rows = 4_000
        block = (b"x" * (ROW_BYTES - 1) + b"\n") * block_rows
        meter = Meter(self, way)
        command = [self.psql, "-X", "-q", "-c", "copy bench_copy_in from stdin where false", self.url(way, ADMIN)]
        process = subprocess.Popen(command, env=self.environment, stdin=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        with contextlib.suppress(BrokenPipeError):
            for _ in range(rows // block_rows):
                process.stdin.write(block)
        _, errors = process.communicate()
        if process.returncode != 0 or errors:
            raise Problem(f"COPY over {way} failed: {errors.decode(errors='replace')}")
        return self.per_gigabyte(meter, rows // block_rows * block_rows)

    @staticmethod
    def per_gigabyte(meter, rows):
        began = meter.start[0]
        figures = meter.stop()
        size = rows * ROW_BYTES / 1e9
        seconds = time.monotonic() - began
        return figures | {"gb_per_s": size / seconds, "cpu_s_per_gb": figures["proxy_cpu_s"] / size}

    # -- memory -----------------------------------------------------------------------------------

    def memory(self, way, sessions):
        """PSS that each idle session adds: one that asked for a row, then one that read a megabyte."""
        pid, port = self.pids[way], self.ports[way]
        with contextlib.ExitStack() as first:
            for _ in range(20):
                first.enter_context(Session(port, ADMIN, self.state["database"])).ask("select 1")
        time.sleep(2)
        empty = pss_kib(pid)
        with contextlib.ExitStack() as stack:
            opened = [stack.enter_context(Session(port, ADMIN, self.state["database"])) for _ in range(sessions)]
            for session in opened:
                session.ask("select 1")
            time.sleep(2)
            idle = pss_kib(pid)
            for session in opened:
                session.ask("select repeat('x', 1000) from generate_series(1, 1000)")
            time.sleep(2)
            after = pss_kib(pid)
        time.sleep(1)
        return {"sessions": sessions, "empty_kib": empty, "idle_kib": (idle - empty) / sessions,
                "after_result_kib": (after - empty) / sessions}


class Session:
    """As much of a PostgreSQL client as it takes to be idle. Both proxies ask clients for no password."""

    def __init__(self, port, user, database):
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.stream = self.socket.makefile("rb")
        parameters = b"".join(text.encode() + b"\0" for text in ("user", user, "database", database))
        self.socket.sendall(struct.pack("!II", len(parameters) + 9, 196608) + parameters + b"\0")
        self.until_ready()

    def ask(self, sql):
        self.socket.sendall(b"Q" + struct.pack("!I", len(sql) + 5) + sql.encode() + b"\0")
        self.until_ready()

    def until_ready(self):
        while True:
            head = self.stream.read(5)
            if len(head) < 5:
                raise Problem("a session was closed while its memory was measured")
            body = self.stream.read(struct.unpack("!I", head[1:])[0] - 4)
            if head[:1] == b"E":
                raise Problem(f"a session failed: {body.replace(bytes(1), b' ').decode(errors='replace')}")
            if head[:1] == b"Z":
                return

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.socket.sendall(b"X\0\0\0\x04")
        self.stream.close()
        self.socket.close()


# --------------------------------------------------------------------------------------------------
# The run
# --------------------------------------------------------------------------------------------------

class Case:
    def __init__(self, key, title, user=ADMIN, clients=CLIENTS, options=(), latency=False, connects=False,
                 ways=(DIRECT, DBPROXY, PGBOUNCER)):
        self.key, self.title, self.user, self.clients, self.options = key, title, user, clients, list(options)
        self.latency, self.connects, self.ways = latency, connects, ways


CASES = [
    Case("simple", "simple protocol", options=["-M", "simple"]),
    Case("extended", "extended protocol", options=["-M", "extended"]),
    Case("prepared", "prepared statements", options=["-M", "prepared"]),
    Case("connect", "new connection, password", user=PASSWORD_USER, connects=True),
    Case("connect_iam", "new connection, IAM", connects=True, ways=(DIRECT, DBPROXY)),
    Case("latency", "one client, simple protocol", clients=1, options=["-M", "simple"], latency=True),
]


def measure(bench, arguments):
    """One dictionary for each measurement, in the order they were taken."""
    plan = [(case.key, case.ways, lambda way, case=case: bench.transactions(case, way, arguments.seconds))
            for case in CASES]
    copies = [("copy_out", bench.copy_out), ("copy_in", bench.copy_in)]
    plan += [(key, (DIRECT, DBPROXY, PGBOUNCER), lambda way, run=run: run(way, arguments.copy_rows))
             for key, run in copies]
    plan = [(key, [way for way in ways if way in bench.ways], run)
            for key, ways, run in plan if not arguments.only or key in arguments.only]
    say("warming up")
    for case in CASES:
        for way in case.ways:
            if way in bench.ways:
                bench.transactions(case, way, 1)
    results = []
    for number in range(1, arguments.rounds + 1):
        say(f"round {number} of {arguments.rounds}")
        for key, ways, run in random.sample(plan, len(plan)):
            for way in random.sample(ways, len(ways)):
                results.append({"round": number, "case": key, "way": way} | run(way))
    if not arguments.only or "memory" in arguments.only:
        say("memory")
        for way in bench.ways[1:]:
            results.append({"round": 0, "case": "memory", "way": way} | bench.memory(way, arguments.idle_sessions))
    return results


class Figures:
    """The results of a run, by case, way and round."""

    def __init__(self, results):
        self.by = {(r["case"], r["way"], r["round"]): r for r in results}
        self.rounds = sorted({r["round"] for r in results if r["round"]})

    def has(self, case, way):
        return any((case, way, n) in self.by for n in (0, *self.rounds))

    def values(self, case, way, field):
        return [self.by[case, way, n][field] for n in self.rounds if (case, way, n) in self.by]

    def paired(self, case, way, other, field, combine):
        """A figure of one way with that of another way in the same round."""
        return [combine(self.by[case, way, n][field], self.by[case, other, n][field])
                for n in self.rounds if (case, way, n) in self.by and (case, other, n) in self.by]


def median(values, digits, spread=False):
    """The median, if wanted with the range beside it; a dash where nothing was measured."""
    if not values:
        return "-"
    middle = f"{statistics.median(values):.{digits}f}"
    return f"{middle} ({min(values):.{digits}f}-{max(values):.{digits}f})" if spread and len(values) > 1 else middle


def ratio(mine, theirs):
    return mine / theirs


def difference(mine, theirs):
    return mine - theirs


def tables(figures, bench):
    """Titles, heads and rows; the first column is text."""
    proxies = bench.ways[1:]
    both = PGBOUNCER in proxies

    def against_direct(key, field, combine, digits):
        return [median(figures.paired(key, way, DIRECT, field, combine), digits, True) for way in proxies]

    def spent(key, field, digits):
        cells = [median(figures.values(key, way, field), digits) for way in proxies]
        compared = figures.paired(key, DBPROXY, PGBOUNCER, field, ratio)
        return cells + ([median(compared, 2, True)] if both else [])

    def head(first, against, unit):
        return [*first, *(against.format(way) for way in proxies), *(f"{way} {unit}" for way in proxies),
                *([f"{DBPROXY} ÷ {PGBOUNCER}"] if both else [])]

    out = []
    rows = [[case.title, median(figures.values(case.key, DIRECT, "tps"), 0),
             *against_direct(case.key, "tps", ratio, 2), *spent(case.key, "cpu_us", 0 if case.connects else 1)]
            for case in CASES if not case.latency and figures.has(case.key, DIRECT)]
    if rows:
        out.append(("Transactions per second, and CPU of the proxy for each transaction",
                    head([f"{CLIENTS} clients", "direct TPS"], "{} ÷ direct", "µs"), rows))
    rows = [[case.title, median(figures.values(case.key, DIRECT, "p50_us"), 0),
             *against_direct(case.key, "p50_us", difference, 0), *spent(case.key, "cpu_us", 1)]
            for case in CASES if case.latency and figures.has(case.key, DIRECT)]
    if rows:
        out.append(("Latency of a client that is alone (p50, µs), and CPU of the proxy for each transaction",
                    head(["one client", "direct p50"], "added by {}", "µs"), rows))
    rows = [[title, median(figures.values(key, DIRECT, "gb_per_s"), 2),
             *against_direct(key, "gb_per_s", ratio, 2), *spent(key, "cpu_s_per_gb", 2)]
            for key, title in (("copy_out", "COPY out"), ("copy_in", "COPY in")) if figures.has(key, DIRECT)]
    if rows:
        out.append(("COPY: speed, and CPU of the proxy for each GB",
                    head(["rows of 250 bytes", "direct GB/s"], "{} ÷ direct", "s"), rows))
    if figures.has("memory", DBPROXY):
        memory = {way: figures.by["memory", way, 0] for way in proxies}
        count = memory[DBPROXY]["sessions"]
        rows = [[title] + [f"{memory[way][field]:.{digits}f}" for way in proxies] for title, field, digits in (
            ("each idle session, after one row", "idle_kib", 1),
            ("each idle session, after a result of 1 MB", "after_result_kib", 1),
            ("the process without sessions", "empty_kib", 0))]
        out.append((f"Memory with {count} idle sessions (PSS)", ["KiB", *proxies], rows))
    return out


def render(figures, bench, surroundings, markdown):
    lines = []
    for title, head, rows in tables(figures, bench):
        if markdown:
            lines += [f"**{title}**", "", "| " + " | ".join(head) + " |",
                      "| --- |" + " ---: |" * (len(head) - 1)]
            lines += ["| " + " | ".join(row) + " |" for row in rows]
        else:
            widths = [max(map(len, column)) for column in zip(head, *rows)]
            lines += [title, "─" * (sum(widths) + 3 * len(widths) - 3)]
            for row in [head, *rows]:
                lines.append("   ".join([row[0].ljust(widths[0]),
                                         *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]))
        lines.append("")
    return "\n".join([*lines, surroundings])


def versions(bench):
    found = {"dbproxy": output_of([str(bench.binary), "version"]), "pgbench": output_of([bench.pgbench, "--version"]),
             "kernel": os.uname().release, "cores": CORES}
    if PGBOUNCER in bench.ways:
        found["pgbouncer"] = output_of(["/usr/sbin/pgbouncer", "--version"])
    return found


def describe(results, arguments, found):
    foreign = [r["foreign"] for r in results if "foreign" in r]
    steal = [r["steal"] for r in results if "steal" in r]
    if not foreign:
        return ""
    rows = arguments.copy_rows
    return (f"Medians of {arguments.rounds} rounds of {arguments.seconds} s (range in brackets); "
            f"COPY of {rows * ROW_BYTES / 1e9:.2f} GB a round.\n"
            f"{found['cores']} cores shared by client, proxy and server; foreign CPU while measuring: median "
            f"{statistics.median(foreign):.0%}, at most {max(foreign):.0%}; stolen by the host: at most "
            f"{max(steal):.0%}.\n"
            + ", ".join(str(found[name]) for name in ("dbproxy", "pgbouncer", "pgbench") if name in found)
            + f", {datetime.date.today().isoformat()}.")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured [5]")
    parser.add_argument("--seconds", type=int, default=4, help="length of one pgbench run [4]")
    parser.add_argument("--quick", action="store_true", help="two rounds of one second, little COPY: does it work?")
    parser.add_argument("--only", metavar="CASE,…", type=lambda text: text.split(","),
                        help="some of: " + ", ".join([*(case.key for case in CASES), "copy_out", "copy_in", "memory"]))
    parser.add_argument("--copy-rows", type=int, default=4_000_000, help="rows of 250 bytes for each COPY [4000000]")
    parser.add_argument("--idle-sessions", type=int, default=150,
                        help="for the memory figures; the sandbox's server takes 200 in all [150]")
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single measurement there")
    parser.add_argument("--dbproxy-bin", type=Path, metavar="FILE", help="measure this program instead of building one")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.seconds, arguments.copy_rows = 2, 1, 400_000
    return arguments


def main():
    arguments = parse_arguments()
    # So that the processes started here are ended on SIGTERM too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        binary = arguments.dbproxy_bin.absolute() if arguments.dbproxy_bin else build()
        with contextlib.ExitStack() as stack:
            bench = Bench(stack, binary)
            found = versions(bench)
            results = measure(bench, arguments)
    except Problem as problem:
        say(f"pgbench.py: {problem}")
        return 1
    except KeyboardInterrupt:
        return 130
    if arguments.json:
        arguments.json.write_text(json.dumps({"versions": found, "results": results}, indent=1) + "\n")
    print(render(Figures(results), bench, describe(results, arguments, found), arguments.markdown))
    return 0


if __name__ == "__main__":
    sys.exit(main())
