"""What asyncpg shows, which speaks the protocol itself: binary, named statements, Flush without Sync."""

import asyncio
import io

import asyncpg
from diff_transcript import LABEL, Pids, say

TYPES = """select 1::int2 as a, 2::int4 as b, 3::int8 as c, 4.5::float8 as d, 6.70::numeric(8, 2) as e, true as f,
    'text' as g, '\\xdead'::bytea as h, '2020-02-03'::date as i, '2020-02-03 04:05:06.789+02'::timestamptz as j,
    '1 day 2 hours'::interval as k, '{1,null,3}'::int[] as l, '{"a": [1]}'::jsonb as m, null::uuid as n,
    '10.0.0.0/8'::cidr as o, '[1,5)'::int4range as p, row(1, 'x') as q, '(1,2)'::point as r"""


def fields(message):
    """All fields of an error or a notice, as asyncpg got them."""
    return {"detail": None, "hint": None, **message.as_dict()}


async def error(what, call):
    try:
        say(what, "no error", await call)
    except asyncpg.PostgresError as caught:
        say(what, type(caught).__name__, fields(caught))
    except (asyncpg.InterfaceError, OSError) as caught:
        say(what, type(caught).__name__)


def status(what, conn):
    say(what, repr(conn.get_settings()), conn.is_in_transaction())


async def results(conn):
    statement = await conn.prepare(TYPES)
    say("described", [[a.name, a.type.oid, a.type.name, a.type.kind] for a in statement.get_attributes()],
        statement.get_statusmsg())
    row = await statement.fetchrow()
    say("types", list(row.items()), statement.get_statusmsg())
    statement = await conn.prepare("select $1::int + 1, $2::text, $3::date, $4::int[]")
    say("parameters", [p.oid for p in statement.get_parameters()])
    say("row", tuple(await statement.fetchrow(41, "zwölf", None, [1, None])))
    say("rows", [tuple(row) for row in await conn.fetch("select * from items where id < $1 order by id", 4)])
    say("none", await conn.fetch("select id from items where false"), await conn.fetchrow("select 1 where false"))
    say("statuses", [await conn.execute(query) for query in (
        "create temp table t (id int primary key, x text check (x <> 'bad'))", "insert into t values (1, 'x')",
        "insert into t select n, 'n' from generate_series(2, 40) as n", "delete from t where id > 30",
        "select 1; select 2; begin; commit", "set work_mem = '5MB'")])
    await conn.executemany("insert into t values ($1, $2)", [(n, "many") for n in range(100, 400)])
    await error("one of many", conn.executemany("insert into t values ($1, $2)", [(500, "a"), (500, "b"), (501, "c")]))
    say("count", await conn.fetchval("select count(*) from t"))
    for size in 10, 100_000, 1_000_000:
        blob = bytes(range(256)) * (size // 256)
        say("large", size, await conn.fetchval("select $1::bytea", blob) == blob,
            len(await conn.fetchval("select repeat('x', $1)", size)))


async def errors(conn):
    for query in ("select 1 / 0", "selekt", "select nothing from items", "delete from items",
                  "insert into t values (1, 'again')", "insert into t values (600, 'bad')", "select 'x'::int",
                  "do $$ begin raise exception 'made by hand' using detail = 'a detail', hint = 'a hint', "
                  "errcode = 'ZZ001', column = 'c', constraint = 'k', datatype = 'd', table = 't', schema = 's'; end $$"):
        await error("simple", conn.execute(query))
        await error("extended", conn.fetch(query))
    await error("prepare", conn.prepare("select $1::nothing"))
    await error("late", conn.fetch("select 1 / ($1 - n) from generate_series(1, 500) as n", 300))
    try:
        async with conn.transaction(isolation="serializable", readonly=True, deferrable=True):
            status("in a transaction", conn)
            await error("read only", conn.execute("create table never (i int)"))
            await error("failed", conn.execute("select 1"))
            raise ValueError
    except ValueError:
        status("rolled back", conn)
    async with conn.transaction():
        try:
            async with conn.transaction():
                await conn.execute("select 1 / 0")
        except asyncpg.DivisionByZeroError:
            say("savepoint", await conn.fetchval("select 1"))


async def notices(conn):
    seen = []
    conn.add_log_listener(lambda _, message: seen.append(fields(message)))
    await conn.execute("set client_min_messages = debug1")
    await conn.execute("do $$ begin raise debug 'debug'; raise log 'log'; raise info 'info'; raise notice 'notice' "
                       "using detail = 'its detail', hint = 'its hint'; raise warning 'warning'; end $$")
    await conn.execute("reset client_min_messages")
    await conn.fetch("select 1")
    await asyncio.sleep(0)  # listeners are called from the loop
    say("notices", seen)


async def copies(conn):
    say("in", await conn.copy_records_to_table("t", records=[(n, "copied") for n in range(1000, 3000)]))
    say("csv", await conn.copy_to_table("t", source=io.BytesIO(b"4000,x\n4001,y\n"), format="csv"))
    for form in "text", "csv", "binary":
        out = io.BytesIO()
        status = await conn.copy_from_query("select * from t where id < $1 order by id", 5, output=out, format=form)
        say("out", status, out.getvalue())
    await error("bad line", conn.copy_to_table("t", source=io.BytesIO(b"x\ty\n" * 50_000)))
    await error("double", conn.copy_records_to_table("t", records=[(1, "again")]))
    await error("no table", conn.copy_from_table("nothing", output=io.BytesIO()))
    await error("fails", conn.copy_from_query("select 1 / (500 - n) from generate_series(1, 1000) n", output=io.BytesIO()))

    async def gives_up():
        yield b"9000\tnever\n"
        raise ValueError("the client gave up")

    try:
        await conn.copy_to_table("t", source=gives_up())
    except Exception as caught:
        say("given up", type(caught).__name__, str(caught))
    say("count", await conn.fetchval("select count(*) from t"))


async def cursors(conn):
    async with conn.transaction():
        say("cursor", [row[0] async for row in conn.cursor("select generate_series(1, 50)", prefetch=7)][-1])
        cursor = await conn.cursor("select generate_series($1::int, 100)", 5)
        say("forward", await cursor.forward(10), (await cursor.fetchrow())[0], len(await cursor.fetch(1000)))


async def parameters(conn):
    for name, value in (("application_name", "renamed"), ("TimeZone", "Asia/Kathmandu"), ("DateStyle", "German"),
                        ("IntervalStyle", "iso_8601"), ("standard_conforming_strings", "off")):
        await conn.execute(f"set {name} = '{value}'")
        status(name, conn)
    await conn.reset()
    status("reset", conn)


async def cancels(conn, other):
    async def sleeps():
        query = "select count(*) from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'"
        while await other.fetchval(query, conn.get_server_pid()) != 1:
            pass

    task = asyncio.ensure_future(conn.fetch("select pg_sleep(60)"))
    await sleeps()
    task.cancel()  # the driver sends a CancelRequest and waits for the error
    say("cancelled", (await asyncio.gather(task, return_exceptions=True))[0].__class__.__name__)
    say("after", await conn.fetchval("select 1"))
    try:
        await conn.fetch("select pg_sleep(60)", timeout=0.2)
    except asyncio.TimeoutError:
        say("timeout", await conn.fetchval("select 2"))
    await conn.execute("set statement_timeout = 30")
    await error("by the server", conn.fetch("select pg_sleep(60)"))
    await conn.execute("reset statement_timeout")


async def notifications(conn, other):
    pids, heard = Pids(), asyncio.Queue()
    for name, one in (("own", conn), ("other", other)):
        pids.learn(name, await one.fetchval("select pg_backend_pid()"))
        say("pid", name, pids.name(one.get_server_pid()))
    await conn.add_listener(LABEL, lambda *event: heard.put_nowait(event[1:]))
    for sender, payload in ((conn, "to myself"), (other, "from another ä"), (other, ""), (other, "x" * 7999)):
        await sender.execute("select pg_notify($1, $2)", LABEL, payload)
        pid, channel, payload = await heard.get()
        say("notified", pids.name(pid), channel, payload)


async def ends(conn, other):
    await error("terminated", conn.fetch("select pg_terminate_backend(pg_backend_pid())"))
    say("closed", conn.is_closed())
    pid = await other.fetchval("select pg_backend_pid()")
    ended = asyncio.get_running_loop().create_future()
    other.add_termination_listener(lambda _: ended.done() or ended.set_result("ended"))
    async with asyncpg.create_pool(min_size=1, max_size=3) as pool:
        say("killed", await pool.fetchval("select pg_terminate_backend($1)", pid), await ended)
        say("pool", await asyncio.gather(*(pool.fetchval("select $1::int", n) for n in range(30))))


async def connects():
    query = "select current_setting('search_path'), current_setting('application_name'), current_setting('work_mem')"
    for settings in ({"application_name": "named", "search_path": "pg_catalog"}, {"work_mem": "6MB"},
                     {"options": "-c work_mem=7MB"}, {"TimeZone": "Asia/Kathmandu", "client_encoding": "UTF8"}):
        conn = await asyncpg.connect(server_settings=settings)
        say("connected", settings, tuple(await conn.fetchrow(query)))
        status("with that", conn)
        await conn.close()
    for options in ({"database": "nothing"}, {"server_settings": {"nothing": "1"}},
                    {"server_settings": {"work_mem": "x"}}, {"server_settings": {"log_min_messages": "debug5"}}):
        try:
            say("connected", options, await asyncpg.connect(**options))
        except asyncpg.PostgresError as caught:
            say("not connected", options, type(caught).__name__, fields(caught))


async def main():
    say("asyncpg", asyncpg.__version__)
    conn, other = await asyncpg.connect(), await asyncpg.connect()
    say("server", tuple(conn.get_server_version()))
    status("at start", conn)
    for step in results, errors, notices, copies, cursors, parameters:
        say(f"--- {step.__name__} ---")
        await step(conn)
        status("after that", conn)
    for step in cancels, notifications, ends:
        say(f"--- {step.__name__} ---")
        await step(conn, other)
    await connects()
    say("end")


asyncio.run(main())
