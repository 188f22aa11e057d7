"""What a login costs by every way that a caller can be proven: the stage, the rounds, the tables."""

import http.client
import random
import shutil
import statistics
import time

from loadtest.callers import PASSWORD, SALT, ways
from loadtest.pgclient import Ended
from loadtest.proxy import PASSWORD as SERVER_PASSWORD
from loadtest.proxy import Meter, Part, Proxy, make_certificates
from loadtest.witnesses import SPIFFE, USER, Witnesses, make_client_certificate, verifier
from pgbench import REPOSITORY, Problem, free_port, median, ratio, say

AUDIENCE, FLOOR = "logins", "local"
LET_IN, TURNED_AWAY = "login", "refusal"
DB_USERS = {LET_IN: "light", TURNED_AWAY: "heavy"}
HEAD = ["proven by", "p50, ms", "p99, ms", "p50 ÷ local", "dbproxy, µs", "CPU ÷ local", "client, µs"]


class Stage:
    """Light server, witnesses, and a dbproxy in between."""

    def __init__(self, stack, binary, crowd, directory):
        make_certificates(directory)
        make_client_certificate(directory)
        verifiers = "\n".join(f'"{user}" "{verifier(PASSWORD, SALT)}"' for user in DB_USERS.values())
        for name, content in (("password", SERVER_PASSWORD), ("verifiers", verifiers)):
            (directory / name).write_text(content + "\n")
            (directory / name).chmod(0o600)
        self.witnesses = Witnesses(stack, directory)
        self.ways = ways(directory, self.witnesses, AUDIENCE)
        self.server = Part(stack, crowd, "server", directory / "server.pem", directory / "server.key")
        dial = f"127.0.0.1:{self.server.answer()['port']}"
        write_policies(directory, self.witnesses.url)
        ports = {way.authenticator: free_port() for way in self.ways}
        for way in self.ways:
            way.port = ports[way.authenticator]
        targets = "".join(target(directory, name, port, dial) for name, port in ports.items())
        admin = free_port()
        (directory / "audit.jsonl").unlink(missing_ok=True)
        self.proxy = Proxy(stack, binary, directory, head(directory, admin, self.witnesses.url) + targets, admin)

    def block(self, way, kind, logins):
        """Some logins, one after the other, and what they cost."""
        wanted = None if kind == LET_IN else "42501"
        meter, client, times = Meter(dbproxy=self.proxy.pid, server=self.server.pid), 0.0, []
        for _ in range(logins):
            began = time.thread_time()
            try:
                took, state = way.log_in(DB_USERS[kind], "light")
            except Ended as error:
                log = self.proxy.log.read_text()[-800:]
                raise Problem(f"{way.key}: {error}; the end of the log:\n{log}") from error
            if state != wanted:
                raise Problem(f"{way.key}: a {kind} was expected, but the outcome is {state}")
            client += time.thread_time() - began
            times.append(took * 1e3)
        time.sleep(0.03)  # dbproxy's part does not end with the client's
        spent = meter.stop()
        return {"p50_ms": statistics.median(times), "cpu_us": spent["dbproxy_cpu_s"] * 1e6 / logins,
                "server_us": spent["server_cpu_s"] * 1e6 / logins, "client_us": client * 1e6 / logins,
                "foreign": spent["foreign"], "steal": spent["steal"], "times_ms": times}


def write_policies(directory, issuer):
    """The example set, and one permit a caller. Nobody may be `heavy`."""
    shutil.rmtree(directory / "policies", ignore_errors=True)
    (directory / "policies").mkdir()
    for file in (REPOSITORY / "policies").glob("*.cedar"):
        shutil.copy(file, directory / "policies")
    callers = {"local": 'LocalUser::"local"', "scram": 'PasswordUser::"light"', "oidc": f'OidcUser::"{issuer}#jane"',
               "mtls": f'Certificate::"uri:{SPIFFE}"', "aws-iam": f'IamUser::"{USER}"'}
    permits = [f'@id("bench-{name}")\npermit (principal == {caller}, action == Action::"connect",\n'
               f'  resource == DbUser::"{name}/light");\n' for name, caller in callers.items()]
    (directory / "policies" / "bench.cedar").write_text("\n".join(permits))


def head(directory, admin, url):
    return f"""# Written by benches/logins.py
admin = "127.0.0.1:{admin}"
logins_per_second = 0
login_failures_per_minute = 0
log_level = "warn"
[client_tls]
cert_file = "{directory}/server.pem"
key_file = "{directory}/server.key"
client_ca_file = "{directory}/authority.pem"
[policy]
dir = "{directory}/policies"
[audit]
file = "{directory}/audit.jsonl"
[scram]
file = "{directory}/verifiers"
[aws_iam]
audience = "{AUDIENCE}"
endpoint = "{url}"
[oidc.bench]
issuer = "{url}"
audience = "{AUDIENCE}"
"""


def target(directory, name, port, dial):
    """The authenticator gives its name to the target."""
    return f"""[targets.{name}]
listen = ["127.0.0.1:{port}"]
authenticators = ["{name}"]
endpoint = "localhost"
dial = "{dial}"
ca_file = "{directory}/authority.pem"
db_users = ["light", "heavy"]
databases = ["light"]
credential = {{ kind = "password_file", file = "{directory}/password" }}
"""


def measure(stage, arguments):
    plan = [(way, kind) for way in stage.ways for kind in DB_USERS]
    for way, kind in plan:
        stage.block(way, kind, 10)  # keys are fetched, caches filled
    results = []
    for number in range(1, arguments.rounds + 1):
        say(f"round {number} of {arguments.rounds}")
        for way, kind in random.sample(plan, len(plan)):
            results.append({"round": number, "case": kind, "way": way.key} | stage.block(way, kind, arguments.logins))
    if stage.witnesses.keys_asked != 1:
        raise Problem(f"the issuer's keys were asked for {stage.witnesses.keys_asked} times: they are not cached")
    return results


def middle(values, digits):
    """The median with the middle half beside it: of so many short rounds the extremes say nothing."""
    low, median_of_all, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{median_of_all:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def tables(figures, stage):
    for kind, title in ((LET_IN, "A login, from connect to ReadyForQuery"),
                        (TURNED_AWAY, "A refusal by policy, from connect to the error; no server is asked")):
        rows = []
        for way in stage.ways:
            times = sorted(took for block in figures.values(kind, way.key, "times_ms") for took in block)
            slower, dearer = (middle(figures.paired(kind, way.key, FLOOR, field, ratio), 2)
                              if way.key != FLOOR else "1" for field in ("p50_ms", "cpu_us"))
            rows.append([way.title, f"{statistics.median(times):.2f}", f"{times[len(times) * 99 // 100]:.1f}", slower,
                         middle(figures.values(kind, way.key, "cpu_us"), 0), dearer,
                         median(figures.values(kind, way.key, "client_us"), 0)])
        yield title, HEAD, rows


def stand_in(stage, samples=200):
    """How long the witnesses take for a proof, asked as directly as can be: milliseconds."""
    connection, times = http.client.HTTPConnection("127.0.0.1", stage.witnesses.port), []
    for _ in range(samples):
        began = time.perf_counter()
        connection.request("GET", "/?Action=GetCallerIdentity")
        connection.getresponse().read()
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times)
