#!/usr/bin/env python3
"""Many clients at once: idle ones, a storm of new ones, and a long mix of them with random kills.

    python3 benches/load.py idle  [--clients N] [--seconds N]
    python3 benches/load.py storm [--seconds N] [--step N] [--rate N] [--tls]
    python3 benches/load.py soak  [--minutes N] [--clients N] [--seed N] [--no-expect-cancel]

Each also takes --quick, --json FILE, --markdown and --dbproxy-bin FILE. `idle` and `storm` put dbproxy in
front of a server that is lighter than PostgreSQL (benches/crowd); `soak` starts a sandbox of its own
(tests/sandbox) and logs in with IAM tokens. What must not happen is counted; if it happens, the last
lines say what, and the exit status is 1. docs/benchmarks.md explains the method.
"""

import argparse
import datetime
import importlib
import json
import os
import signal
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # nothing is written beside the sources

from loadtest.proxy import build_crowd  # noqa: E402
from pgbench import CORES, Problem, build, output_of, say  # noqa: E402


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="idle | storm | soak")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--quick", action="store_true", help="short and small: does it work?")
    shared.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured there")
    shared.add_argument("--markdown", action="store_true", help="print Markdown tables")
    shared.add_argument("--dbproxy-bin", type=Path, metavar="FILE", help="measure this program, build none")

    idle = commands.add_parser("idle", parents=[shared], help="memory of idle clients")
    idle.add_argument("--clients", type=int, default=10_000, help="how many, if the limit of files permits [10000]")
    idle.add_argument("--seconds", type=float, default=60, help="how long they are silent [60]")

    storm = commands.add_parser("storm", parents=[shared], help="new connections at the rate that is sustained")
    storm.add_argument("--seconds", type=float, default=60, help="at that rate [60]")
    storm.add_argument("--step", type=float, default=10, help="seconds for each rate tried before [10]")
    storm.add_argument("--rate", type=int, help="new connections a second, instead of finding the rate")
    storm.add_argument("--tls", action="store_true", help="clients use TLS")

    soak = commands.add_parser("soak", parents=[shared], help="a mix of clients, with random kills")
    soak.add_argument("--minutes", type=float, default=20, help="how long [20]")
    soak.add_argument("--clients", type=int, default=40, help="at a time; the sandbox's server takes 200 [40]")
    soak.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"),
                      help="of what clients and kills choose; printed, but timing has its own will")
    soak.add_argument("--expect-cancel", action=argparse.BooleanOptionalAction, default=True,
                      help="a query whose client has gone must end on the server within seconds [yes]")
    arguments = parser.parse_args()
    if arguments.quick:
        small = {"idle": {"clients": 500, "seconds": 2}, "storm": {"seconds": 5, "step": 2},
                 "soak": {"minutes": 0.5, "clients": 20}}
        vars(arguments).update(small[arguments.command])
    return arguments


def render(title, head, rows, markdown):
    if markdown:
        return "\n".join([f"**{title}**", "", "| " + " | ".join(head) + " |",
                          "| --- |" + " ---: |" * (len(head) - 1),
                          *("| " + " | ".join(row) + " |" for row in rows), ""])
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    lines = ["   ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))])
             for row in [head, *rows]]
    return "\n".join([title, "─" * (sum(widths) + 3 * len(widths) - 3), *lines, ""])


def main():
    arguments = parse_arguments()
    # So that the processes started here are ended on SIGTERM too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        part = importlib.import_module(f"loadtest.{arguments.command}")
        crowd = None if arguments.command == "soak" else build_crowd()
        # After the crowd, whose build may leave a dbproxy with features that only tests use.
        binary = arguments.dbproxy_bin.absolute() if arguments.dbproxy_bin else build()
        result = part.run(binary, crowd, arguments)
    except Problem as problem:
        say(f"load.py: {problem}")
        return 1
    except KeyboardInterrupt:
        return 130
    result["wrong"] = part.wrong(result)
    result |= {"version": output_of([str(binary), "version"]), "kernel": os.uname().release, "cores": CORES,
               "load_average": os.getloadavg()}
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    for table in part.tables(result):
        print(render(*table, arguments.markdown))
    print(f"{result['version']}, {CORES} cores shared by clients, proxy and server, load average "
          f"{result['load_average'][1]:.1f} over five minutes, {datetime.date.today().isoformat()}.")
    for line in result["wrong"]:
        print(f"WRONG: {line}")
    if not result["wrong"]:
        print("Nothing was lost, left behind or refused without its reason.")
    return 1 if result["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
