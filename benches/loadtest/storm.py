"""Storms of new connections: the rate that this machine sustains, a minute at it, and a full house."""

import contextlib

from pgbench import Problem, say
from loadtest.proxy import Meter, Stage, raise_file_limit, scratch, sessions_possible

LOOPS = (8, 32, 128)  # closed loop: clients
SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # open loop: of the closed loop's best
PLACES, CROWD, HOLD_MS = 50, 120, 20  # the full house: places, clients, how long each stays


def run(binary, crowd, options):
    files = raise_file_limit()
    result = {"closed": [], "open": [], "files_limit": files, "client_leg": "TLS" if options.tls else "plaintext"}
    with contextlib.ExitStack() as stack:
        stage = Stage(stack, binary, crowd, scratch("storm"), sessions_possible(files))
        clients = stage.clients(stack, options.tls)
        clients.ask("closed", 8, 1, 0)  # warms up
        start = stage.proxy.files()
        for number in LOOPS:
            result["closed"].append(measure(stage, clients, f"closed loop, {number} clients",
                                            "closed", number, options.step, 0))
        best = max(one["per_second"] for one in result["closed"])
        for share in SHARES:
            rate = round(options.rate or best * share)
            one = measure(stage, clients, f"open loop, {rate}/s", "rate", rate, options.step)
            result["open"].append(one | {"rate": rate, "sustained": sustained(one, rate)})
            if options.rate or not result["open"][-1]["sustained"]:
                break
        rates = [one["rate"] for one in result["open"] if one["sustained"]]
        if not rates and not options.rate:
            raise Problem(f"not even {result['open'][0]['rate']} connections a second are sustained")
        rate = options.rate or max(rates)
        result["minute"] = measure(stage, clients, f"{options.seconds:g} s at {rate}/s", "rate", rate,
                                   options.seconds) | {"rate": rate}
        result["left"] = stage.proxy.settled(start)
        result["panics"] = stage.proxy.panics()
        result["reasons"] = stage.proxy.closed()
    with contextlib.ExitStack() as stack:
        stage = Stage(stack, binary, crowd, scratch("storm-full"), PLACES)
        clients = stage.clients(stack, options.tls)
        result["full"] = measure(stage, clients, f"{CROWD} clients for {PLACES} places", "closed", CROWD,
                                 options.step, HOLD_MS)
        result["full"]["left"] = stage.proxy.settled(stage.proxy.files())
        result["full"]["reasons"] = stage.proxy.closed()
        result["panics"] += stage.proxy.panics()
    return result


def measure(stage, clients, title, *command):
    meter = Meter(dbproxy=stage.proxy.pid, server=stage.server.pid, clients=clients.pid)
    answer = clients.ask(*command)
    figures = meter.stop()
    outcomes = answer["outcomes"]
    total = sum(outcomes.values())
    one = answer | figures | {
        "title": title, "total": total, "served": outcomes.get("served", 0),
        "refused": sum(n for what, n in outcomes.items() if what.startswith("refused ")),
        "lost": sum(n for what, n in outcomes.items() if what.startswith(("lost", "wrong"))),
        "own": sum(n for what, n in outcomes.items() if what.startswith("own"))}
    one["per_second"] = one["served"] / answer["seconds"]
    one["cpu_us"] = figures["dbproxy_cpu_s"] * 1e6 / max(1, total)
    say(f"{title}: {one['per_second']:.0f}/s served, {one['refused']} refused, {one['lost']} lost, "
        f"p99 {(one['p99_us'] or 0) / 1000:.1f} ms, foreign CPU {one['foreign']:.0%}")
    return one


def sustained(one, rate):
    """All served, and the queue does not grow: at the end less than half a second's clients wait."""
    return one["served"] == one["due"] and one["under_way_at_end"] < max(10, rate / 2)


def tables(result):
    def row(one):
        def ms(field):
            return f"{one[field] / 1000:.1f}" if one[field] is not None else "-"
        return [one["title"], str(one["total"]), f"{one['per_second']:.0f}", str(one["refused"]), str(one["lost"]),
                ms("p50_us"), ms("p99_us"), ms("max_us"), f"{one['cpu_us']:.0f}",
                f"{one['dbproxy_cpu_s'] / one['wall_s']:.2f}", f"{one['foreign']:.0%}"]

    rows = [row(one) for one in (*result["closed"], *result["open"], result["minute"], result["full"])]
    yield (f"Storm of new connections, client leg {result['client_leg']}",
           ["", "connections", "served/s", "refused", "lost", "p50, ms", "p99, ms", "max, ms", "dbproxy, µs each",
            "dbproxy, cores", "foreign CPU"], rows)
    yield ("What became of them", ["", "outcome", "number"],
           [[one["title"], outcome, str(number)] for one in (result["minute"], result["full"])
            for outcome, number in one["outcomes"].items()])


def wrong(result):
    found = []
    for one in (*result["closed"], *result["open"], result["minute"], result["full"]):
        if one["lost"]:
            lost = {what: n for what, n in one["outcomes"].items() if what.startswith(("lost", "wrong"))}
            found.append(f"{one['title']}: {lost}")
        if one["own"] or one.get("skipped"):
            found.append(f"{one['title']}: the load generator itself could not: {one['outcomes']}, "
                         f"{one.get('skipped', 0)} not begun")
    for one in (*result["closed"], *result["open"], result["minute"]):
        if one["refused"]:
            found.append(f"{one['title']}: refused without need: {one['outcomes']}")
    full = result["full"]
    others = {what: n for what, n in full["outcomes"].items()
              if what.startswith("refused ") and not what.startswith("refused 53300 ")}
    if others or not full["refused"]:
        found.append(f"{full['title']}: refusals must be 53300, all of them: {full['outcomes']}")
    for title, left in (("storm", result["left"]), (full["title"], full["left"])):
        if any(value > 0 for value in left.values()):
            found.append(f"{title}: left behind: {left}")
    if result["panics"]:
        found.append(f"panics: {result['panics'][:3]}")
    return found
