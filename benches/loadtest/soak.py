"""The long mix: clients that check every byte of theirs while clients, server processes and queries are killed."""

import asyncio
import collections
import contextlib
import json
import subprocess
import sys

from pgbench import SANDBOX, Problem, say
from loadtest.proxy import Proxy, raise_file_limit, scratch
from loadtest.world import World


def run(binary, _crowd, options):
    raise_file_limit()
    directory = scratch("soak")
    with contextlib.ExitStack() as stack:
        sandbox = directory / "sandbox"
        stack.callback(control, sandbox, "down")
        say("starting the sandbox")
        if control(sandbox, "up") != 0:
            raise Problem("the sandbox did not start")
        state = json.loads((sandbox / "state.json").read_text())
        proxy = start(stack, binary, directory, state, (sandbox / "dbproxy.toml").read_text())
        result = asyncio.run(World(proxy, state, options).live())
        return result | {"seed": options.seed, "dbproxy_cpu_s": proxy.cpu()}


def control(directory, command):
    return subprocess.run([sys.executable, str(SANDBOX), command, "--dir", str(directory), "--quiet"]).returncode


def start(stack, binary, directory, state, configuration):
    ca, aws = state["ca"], state["aws"]
    configuration += f"""
[client_tls]
cert_file = "{ca['proxy_cert']}"
key_file = "{ca['proxy_key']}"
"""
    return Proxy(stack, binary, directory, configuration, state["ports"]["admin"], {
        "AWS_ENDPOINT_URL": aws["endpoint_url"], "AWS_REGION": aws["region"],
        "AWS_ACCESS_KEY_ID": aws["dbproxy"]["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": aws["dbproxy"]["secret_access_key"], "AWS_EC2_METADATA_DISABLED": "true"})


def tables(result):
    whats = sorted({what for _, what, _ in result["outcomes"]})
    stories = collections.defaultdict(dict)
    for story, what, n in result["outcomes"]:
        stories[story][what] = n
    yield (f"Soak of {result['minutes'][-1]['s'] / 60:.1f} min, seed {result['seed']}: "
           f"{result['connections']} connections", ["story", *whats],
           [[story, *(str(found.get(what, 0)) for what in whats)] for story, found in stories.items()])
    first = result["minutes"][min(1, len(result["minutes"]) - 1)]["pss_kib"]
    yield (f"dbproxy meanwhile ({result['dbproxy_cpu_s']:.0f} s of CPU in all; growth is since the second line)",
           ["at, s", "stories told", "sessions", "open files", "PSS, KiB", "growth, KiB"],
           [[str(m["s"]), str(m["told"]), str(m["sessions_open"]), str(m["files"]), str(m["pss_kib"]),
             f"{m['pss_kib'] - first:+}"] for m in result["minutes"]])
    yield ("What was done to it, and how connections ended", ["", "number"],
           [*([what, str(n)] for what, n in sorted(result["events"].items())),
            *([f"closed: {reason}", str(n)] for reason, n in sorted(result["closed"].items())),
            *([name, str(n)] for name, n in sorted(result["cancels"].items())),
            *([f"left at the end: {name}", str(max(0, n))] for name, n in result["left"].items())])
    if result["gone_s"]:
        yield ("Until the server's process of a client that has gone was seen no more (looked at twice a second)",
               ["", "s"], [[name, f"{value:.1f}"] for name, value in result["gone_s"].items()])


def wrong(result):
    more = result["events"].get("wrong", 0) - len(result["wrong_found"])
    return result["wrong_found"] + ([f"and {more} more"] if more > 0 else [])
