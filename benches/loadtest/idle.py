"""Idle clients: what each costs, whether a new one is served between them, what is left when they go."""

import contextlib
import time

from pgbench import Problem, say
from loadtest.proxy import Meter, Stage, raise_file_limit, scratch, sessions_possible

NEWCOMERS = 10  # places beside the crowd


def run(binary, crowd, options):
    files = raise_file_limit()
    clients = min(options.clients, sessions_possible(files) - NEWCOMERS)
    if clients < options.clients:
        say(f"this machine permits {files} open files, hence {clients} clients instead of {options.clients}")
    passes = []
    for tls in (False, True):
        with contextlib.ExitStack() as stack:
            stage = Stage(stack, binary, crowd, scratch("idle"), clients + NEWCOMERS)
            passes.append(one_pass(stack, stage, clients, tls, options.seconds))
    return {"files_limit": files, "wanted": options.clients, "clients": clients, "passes": passes}


def one_pass(stack, stage, clients, tls, seconds):
    """A process that is new for each pass, so that no pass uses the memory that another has left."""
    way = "TLS" if tls else "plaintext"
    crowd, proxy = stage.clients(stack, tls), stage.proxy
    checked(crowd.ask("open", 20), 20)
    checked(crowd.ask("ask"), 20)
    crowd.ask("leave")
    proxy.settled(0, 3)
    time.sleep(1)
    files, empty = proxy.files(), proxy.pss()
    result = {"client_leg": way, "empty_kib": empty, "steps": [], "wrong": []}
    meter = Meter(dbproxy=proxy.pid, server=stage.server.pid, clients=crowd.pid)

    def step(title, count, **more):
        time.sleep(2)
        pss = proxy.pss()
        result["steps"].append({"title": title, "clients": count, "pss_kib": pss,
                                "each_kib": (pss - empty) / count if count else None, **more})
        say(f"{way}: {title}: PSS {pss} KiB")

    present = 0
    for count in sorted({min(1_000, clients), clients}):
        checked(crowd.ask("open", count - present), count)
        present = count
        newcomer = crowd.ask("one")
        if "error" in newcomer:
            result["wrong"].append(f"a new client beside {count}: {newcomer['error']}")
        say(f"{way}: a new client beside {count}: {newcomer}")
        step("logged in", count, newcomer=newcomer)
    opened = proxy.open_now()  # the newcomer has left two seconds ago
    if any(value != clients for value in opened.values()):
        result["wrong"].append(f"the gauges say {opened}, there are {clients} clients")
    asked = crowd.ask("ask")
    checked(asked, clients)
    step("after one row", clients, p50_us=asked["p50_us"], p99_us=asked["p99_us"])
    before, began = proxy.cpu(), time.monotonic()
    time.sleep(seconds)
    result["idle_cpu_share"] = (proxy.cpu() - before) / (time.monotonic() - began)
    checked(crowd.ask("ask"), clients)
    step(f"again after {seconds} s of silence", clients)
    crowd.ask("leave")
    left = proxy.settled(files)
    left["server"] = stage.server.ask("sessions")["sessions"]
    step("all have left", 0)
    # What the process keeps must be what the next crowd is given, else it is a leak.
    checked(crowd.ask("open", clients), clients)
    step("as many again", clients)
    crowd.ask("leave")
    left = {name: max(value, left.get(name, 0)) for name, value in proxy.settled(files).items()} | {
        "server": max(left["server"], stage.server.ask("sessions")["sessions"])}
    result |= {"left": left, "files": {"before": files, "after": proxy.files()}, "closed": proxy.closed()}
    if any(value > 0 for value in left.values()):
        result["wrong"].append(f"left behind: {left}")
    if panics := proxy.panics():
        result["wrong"].append(f"panics: {panics[:3]}")
    return result | meter.stop()


def checked(answer, count):
    """All of the crowd must be there and served; else the figures mean nothing."""
    if answer["present"] != count or set(answer["outcomes"]) - {"served"}:
        raise Problem(f"{count} clients wanted, but: {answer}")


def tables(result):
    rows = []
    for one in result["passes"]:
        for step in one["steps"]:
            newcomer = step.get("newcomer", {})
            rows.append([f"{one['client_leg']}: {step['title']}", str(step["clients"]), f"{step['pss_kib']}",
                         f"{step['each_kib']:.1f}" if step["each_kib"] else "-",
                         f"{newcomer['query_us'] / 1000:.2f}" if "query_us" in newcomer else "-",
                         f"{step['p50_us'] / 1000:.2f}" if "p50_us" in step else "-"])
    yield ("Idle clients", ["client leg: state", "clients", "PSS, KiB", "each, KiB", "new client's row, ms",
                            "p50 of all rows, ms"], rows)
    yield ("While and after they were there", ["client leg", "CPU while idle", "open files before / after",
                                              "left open", "foreign CPU"],
           [[one["client_leg"], f"{one['idle_cpu_share']:.2%}",
             f"{one['files']['before']} / {one['files']['after']}",
             ", ".join(f"{name} {max(0, value)}" for name, value in one["left"].items()),
             f"{one['foreign']:.0%}"] for one in result["passes"]])


def wrong(result):
    return [f"{one['client_leg']}: {text}" for one in result["passes"] for text in one["wrong"]]
