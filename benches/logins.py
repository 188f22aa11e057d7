#!/usr/bin/env python3
"""What a login costs by every way that a caller can be proven, and what a refusal by policy costs.

    python3 benches/logins.py [--quick] [--rounds N] [--logins N] [--markdown] [--json FILE] [--dbproxy-bin FILE]

One dbproxy with policies, audit and a listener for each authenticator, in front of a server that is lighter
than PostgreSQL (benches/crowd). Every round logs in by every way, in random order, one login after the
other; each figure is set against that of `local` over TLS in the same round. docs/benchmarks.md explains the
method.
"""

import argparse
import contextlib
import datetime
import json
import os
import signal
import statistics
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # nothing is written beside the sources

from load import render  # noqa: E402
from loadtest import logins  # noqa: E402
from loadtest.proxy import build_crowd, scratch  # noqa: E402
from pgbench import CORES, Figures, Problem, build, output_of, say  # noqa: E402


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40, help="how often everything is measured [40]")
    parser.add_argument("--logins", type=int, default=40, help="by every way in a round [40]")
    parser.add_argument("--quick", action="store_true", help="two rounds of ten: does it work?")
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single measurement there")
    parser.add_argument("--dbproxy-bin", type=Path, metavar="FILE", help="measure this program, build none")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.logins = 2, 10
    return arguments


def describe(results, arguments, found, asked):
    foreign, steal = ([result[name] for result in results] for name in ("foreign", "steal"))
    server = statistics.median(result["server_us"] for result in results if result["case"] == logins.LET_IN)
    return (f"{arguments.rounds} rounds of {arguments.logins} logins one after the other; ratios are medians of rounds "
            f"(the middle half of them in brackets), times are those of all logins.\n"
            f"The light server takes {server:.0f} µs of CPU a login, the stand-in for STS {asked:.2f} ms to answer.\n"
            f"{found['cores']} cores shared by client, proxy and server; foreign CPU while measuring: median "
            f"{statistics.median(foreign):.0%}, at most {max(foreign):.0%}; stolen by the host: at most "
            f"{max(steal):.0%}.\n{found['dbproxy']}, {datetime.date.today().isoformat()}.")


def main():
    arguments = parse_arguments()
    # So that the processes started here are ended on SIGTERM too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        crowd = build_crowd()
        # After the crowd, whose build may leave a dbproxy with features that only tests use.
        binary = arguments.dbproxy_bin.absolute() if arguments.dbproxy_bin else build()
        with contextlib.ExitStack() as stack:
            stage = logins.Stage(stack, binary, crowd, scratch("logins"))
            results, asked = logins.measure(stage, arguments), logins.stand_in(stage)
    except Problem as problem:
        say(f"logins.py: {problem}")
        return 1
    except KeyboardInterrupt:
        return 130
    found = {"dbproxy": output_of([str(binary), "version"]), "kernel": os.uname().release, "cores": CORES}
    if arguments.json:
        arguments.json.write_text(json.dumps({"versions": found, "results": results}) + "\n")
    for table in logins.tables(Figures(results), stage):
        print(render(*table, arguments.markdown))
    print(describe(results, arguments, found, asked))
    return 0


if __name__ == "__main__":
    sys.exit(main())
