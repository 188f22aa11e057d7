"""What clients of the soak do. Each tells its own data from everybody else's by a tag."""

import asyncio
import hashlib
import struct

from loadtest.pgclient import ServerError, WrongData, message, text

SLEEP = "select pg_sleep(600)"  # longer than anyone waits


def expect(found, wanted, what):
    if found != wanted:
        raise WrongData(f"{what}: {str(found)[:200]!r} instead of {str(wanted)[:200]!r}")


def digest(lines):
    return hashlib.md5("".join(lines).encode()).hexdigest()


async def short(world, connection, chance, tag):
    for n in range(chance.randint(1, 5)):
        expect(await connection.ask(f"select '{tag}', {n}"), [[tag, str(n)]], "a row")


async def transaction(world, connection, chance, tag):
    rows = chance.randint(1, 300)
    await connection.ask("begin")
    await connection.ask("create temp table own (line text) on commit drop")
    await connection.ask(f"insert into own select '{tag} ' || g from generate_series(1, {rows}) g")
    await asyncio.sleep(chance.random())
    found = await connection.ask("select count(*), md5(string_agg(line, '' order by length(line), line)) from own")
    expect(found, [[str(rows), digest(f"{tag} {n}" for n in range(1, rows + 1))]], "a transaction's rows")
    await connection.ask(chance.choice(["commit", "rollback"]))
    await refused(connection, "select * from own", "42P01")


async def refused(connection, sql, state):
    try:
        found = await connection.ask(sql)
    except ServerError as error:
        if error.state != state:
            raise
    else:
        raise WrongData(f"{sql} was answered with {found} instead of error {state}")


async def copy_out(world, connection, chance, tag):
    rows = chance.choice([10, 1_000, 40_000])
    sql = f"copy (select '{tag} ' || g from generate_series(1, {rows}) g) to stdout"
    await connection.send(message(b"Q", text(sql)))
    found = hashlib.md5()
    while (received := await connection.receive())[0] != b"Z":
        if received[0] == b"d":
            found.update(received[1])
            if rows == 40_000 and chance.random() < 0.0001:
                await asyncio.sleep(0.5)  # a slow reader
    expect(found.hexdigest(), digest(f"{tag} {n}\n" for n in range(1, rows + 1)), "COPY out")


async def copy_in(world, connection, chance, tag):
    rows = chance.choice([10, 1_000, 40_000])
    await connection.ask("create temp table own (line text)")
    await connection.send(message(b"Q", text("copy own from stdin")))
    while (await connection.receive())[0] != b"G":
        pass
    for first in range(0, rows, 1_000):
        lines = "".join(f"{tag} {n}\n" for n in range(first, min(rows, first + 1_000)))
        await connection.send(message(b"d", lines.encode()))
    await connection.send(message(b"c"))
    await connection.rows()
    found = await connection.ask("select count(*), md5(string_agg(line, '' order by length(line), line)) from own")
    expect(found, [[str(rows), digest(f"{tag} {n}" for n in range(rows))]], "COPY in")


def extended(sql, *values):
    """Parse, Bind, Execute."""
    bound = b"".join(struct.pack("!I", len(value)) + value.encode() for value in values)
    return (message(b"P", text("", sql) + bytes(2))
            + message(b"B", bytes(4) + struct.pack("!H", len(values)) + bound + bytes(2))
            + message(b"E", bytes(5)))


async def pipeline(world, connection, chance, tag):
    number = chance.choice([3, 50, 1_000])
    broken = chance.randrange(number) if chance.random() < 0.3 else None
    sent = [extended("select 1/0") if n == broken else extended("select $1::text || $2::text", tag, str(n))
            for n in range(number)]
    # Sent beside reading: both directions are full at the same time.
    sending = asyncio.ensure_future(connection.send(*sent, message(b"S")))
    rows, failed = [], None
    try:
        while True:
            try:
                kind, body = await connection.receive()
            except ServerError as error:
                if error.state != "22012":
                    raise
                failed = error
                continue
            if kind == b"D":
                rows.append(body[6:].decode())
            elif kind == b"Z":
                break
    finally:
        await sending
    expect(rows, [f"{tag}{n}" for n in range(number if broken is None else broken)], "a pipeline's rows")
    expect(failed is not None, broken is not None, "a pipeline's error")


async def idle(world, connection, chance, tag):
    await connection.ask(f"set dbproxy.tag = '{tag}'")
    await world.pause(chance.uniform(5, 60))
    expect(await connection.ask("show dbproxy.tag"), [[tag]], "a setting of the session")


async def listener(world, connection, chance, tag):
    channel = f"c_{tag.replace('-', '_')}"
    await connection.ask(f"listen {channel}")
    other = await world.connect(chance)
    try:
        for n in range(chance.randint(1, 10)):
            await other.ask(f"notify {channel}, '{tag} {n}'")
            while not connection.notifications:
                await connection.ask("select 1")
                await asyncio.sleep(0.01)
            expect(connection.notifications.pop(0)[1:], (channel, f"{tag} {n}"), "a notification")
            await world.pause(chance.random())
    finally:
        other.abort()


async def cancelled(world, connection, chance, tag):
    """One at a time, or a storm with wrong keys in it; the session goes on afterwards."""
    asking = asyncio.ensure_future(connection.ask(SLEEP))
    storm = chance.random() < 0.3
    while not asking.done():
        wrong = [bytes(chance.randrange(256) for _ in range(4)) for _ in range(10 if storm else 0)]
        requests = [connection.cancel(secret) for secret in wrong + [None] * (20 if storm else 1)]
        await asyncio.gather(*requests, return_exceptions=True)
        await asyncio.wait([asking], timeout=0.5)
    try:
        found = await asking
    except ServerError as error:
        if error.state != "57014":
            raise
    else:
        raise WrongData(f"a query of ten minutes was answered: {found}")
    # A request of our own that PostgreSQL has not dealt with yet may still hit this session, no other.
    await asyncio.sleep(0.3)
    try:
        found = await connection.ask(f"select '{tag}'")
    except ServerError as error:
        if error.state != "57014":
            raise
        world.count("cancels that came late")
        found = await connection.ask(f"select '{tag}'")
    expect(found, [[tag]], "after a cancel")


async def vanish(world, connection, chance, tag):
    """Gone without a word, in the middle of something."""
    middle = chance.choice(["query", "query", "query", "result", "copy", "message", "transaction"])
    if middle == "query":
        await connection.send(message(b"Q", text(SLEEP)))
        await asyncio.sleep(chance.uniform(0.05, 1))
    elif middle == "result":
        await connection.send(message(b"Q", text("select repeat('x', 1000) from generate_series(1, 200000)")))
        await asyncio.sleep(chance.uniform(0, 0.5))
    elif middle == "copy":
        await connection.ask("create temp table own (line text)")
        await connection.send(message(b"Q", text("copy own from stdin")), message(b"d", b"line\n" * 1000))
    elif middle == "message":
        await connection.send(message(b"Q", text(f"select '{tag}'"))[:chance.randint(1, 9)])
    else:
        await connection.ask("begin")
        await connection.ask("lock table items in access share mode")
    way = chance.choice(["reset", "closed"])
    world.count(f"vanished in {middle}, {way}")
    connection.abort(reset=way == "reset")


# How often each is told.
STORIES = {short: 30, transaction: 15, copy_out: 8, copy_in: 8, pipeline: 12, idle: 8, listener: 6, cancelled: 6,
           vanish: 12}
