"""What psycopg shows: results, notices and errors with all their fields, COPY, pipelines, cancels."""

import asyncio
import tempfile
import threading

import psycopg
from psycopg import pq
from diff_transcript import LABEL, Pids, say

PARAMETERS = [
    "server_version", "server_encoding", "client_encoding", "application_name", "is_superuser",
    "session_authorization", "DateStyle", "IntervalStyle", "TimeZone", "integer_datetimes",
    "standard_conforming_strings", "default_transaction_read_only", "in_hot_standby", "no_such_parameter"]
TYPES = """select 1::int2, 2::int4, 3::int8, 4.5::float8, 6.70::numeric(8, 2), true, 'text', 'v'::varchar(9),
    'c'::char(4), '\\xdead'::bytea, '2020-02-03'::date, '2020-02-03 04:05:06.789+02'::timestamptz,
    '1 day 2 hours'::interval, '{1,null,3}'::int[], '{"a": [1]}'::jsonb, null::uuid,
    '11111111-2222-3333-4444-555555555555'::uuid, '10.0.0.0/8'::cidr, '[1,5)'::int4range"""


def diag(of):
    """All fields of an error or a notice."""
    return {name: getattr(of, name) for name in dir(of) if not name.startswith("_")}


def error(what, call):
    try:
        value = call()
        say(what, "no error", getattr(value, "statusmessage", value))
    except psycopg.Error as caught:
        say(what, type(caught).__name__, caught.sqlstate, diag(caught.diag))


def result(what, cursor):
    """A result as libpq holds it: before the driver makes Python objects of it."""
    held = cursor.pgresult
    columns = range(held.nfields)
    say(what, pq.ExecStatus(held.status).name, held.command_status, held.command_tuples, held.oid_value,
        [[held.fname(n), held.ftype(n), held.fmod(n), held.fsize(n), held.fformat(n), held.ftablecol(n)]
         for n in columns],
        [[held.get_value(row, n) for n in columns] for row in range(held.ntuples)])


def status(what, conn):
    say(what, pq.TransactionStatus(conn.pgconn.transaction_status).name,
        {name: conn.info.parameter_status(name) for name in PARAMETERS})


def results(conn):
    for binary in False, True:
        cursor = conn.cursor(binary=binary)
        result("types", cursor.execute(TYPES))
        result("parameters", cursor.execute(
            "select %s, %s, %s, %b::text, %t::int", [1, "zwölf", b"\0\xff", "binary", 5]))
        result("of a table", cursor.execute("select * from items where id < %s order by id", [5]))
        result("empty", cursor.execute("select from items where false"))
        result("no rows", cursor.execute("select id from items where false"))
    cursor = conn.execute("select 1 as a; select 2 as b, 3 as c; set work_mem = '5MB'; select 'four'")
    result("first", cursor)
    while cursor.nextset():
        result("next", cursor)
    result("nothing said", conn.execute(""))
    result("table made", conn.execute("create temp table t (id int primary key, x text check (x <> 'bad'))"))
    result("inserted", conn.execute("insert into t select n, 'x' || n from generate_series(1, 50) as n"))
    result("updated", conn.execute("update t set x = x || '!' where id > %s returning id", [45]))
    with conn.cursor() as cursor:
        cursor.executemany("insert into t values (%s, %s) returning *", [(n, "many") for n in (60, 61)],
                           returning=True)
        result("many", cursor)
        say("second", cursor.nextset(), cursor.fetchall())
    say("streamed", [row for row in conn.cursor().stream("select generate_series(1, 5)")])
    error("stream fails late", lambda: [
        row for row in conn.cursor().stream("select 1 / (3 - n) from generate_series(1, 5) as n")])
    for size in 10, 100_000, 1_000_000:
        text, blob = "ä" * (size // 2), bytes(range(256)) * (size // 256)
        row = conn.execute("select %s::text, %b::bytea, md5(%s::text)", [text, blob, text]).fetchone()
        say("large", size, row[0] == text, row[1] == blob, row[2])


def errors(conn):
    error("division", lambda: conn.execute("select 1 / 0"))
    error("division, extended", lambda: conn.execute("select 1 / %s", [0]))
    error("syntax", lambda: conn.execute("selekt %s", [1]))
    error("column", lambda: conn.execute("select   nothing from items"))
    error("unique", lambda: conn.execute("insert into t values (1, 'again')"))
    error("check", lambda: conn.execute("insert into t values (100, 'bad')"))
    error("permission", lambda: conn.execute("delete from items"))
    error("text of an int", lambda: conn.execute("select %s::int", ["x"]))
    error("by hand", lambda: conn.execute(
        "do $$ begin raise exception 'made by hand' using detail = 'a detail', hint = 'a hint', "
        "errcode = 'ZZ001', column = 'c', constraint = 'k', datatype = 'd', table = 't', schema = 's'; end $$"))
    error("long", lambda: conn.execute("do $$ begin raise exception '%', repeat('long ', 20000); end $$"))
    error("inner", lambda: conn.execute(
        "do $$ begin execute 'select 1 / 0'; end $$"))
    with conn.transaction(force_rollback=True):
        error("fails", lambda: conn.execute("select 1 / 0"))
        status("in a failed transaction", conn)
        error("after that", lambda: conn.execute("select 1"))
        error("commit", lambda: conn.execute("rollback and chain"))
        status("in the next one", conn)


def notices(conn):
    seen = []
    conn.add_notice_handler(lambda notice: seen.append(diag(notice)))
    conn.execute("set client_min_messages = debug1")
    conn.execute("do $$ begin raise debug 'debug'; raise log 'log'; raise info 'info'; raise notice 'notice' "
                 "using detail = 'its detail', hint = 'its hint', errcode = '01ZZZ'; raise warning 'warning'; end $$")
    conn.execute("reset client_min_messages")
    conn.execute("drop table if exists %s" % LABEL)
    conn.execute("rollback")
    conn.execute("do $$ begin for n in 1..300 loop raise notice 'notice %', n; end loop; end $$")
    say("notices", seen)


def copies(conn):
    cursor = conn.cursor()
    with cursor.copy("copy t (id, x) from stdin") as copy:
        for n in range(1000, 3000):
            copy.write_row((n, "copied"))
    say("copied in", cursor.rowcount, cursor.statusmessage)
    for options in "", "(format csv, header)", "(format binary)":
        with cursor.copy(f"copy (select * from t where id < 5 order by id) to stdout {options}") as copy:
            say("copied out", options, b"".join(copy))
    with cursor.copy("copy t (id, x) from stdin (format binary)") as copy:
        copy.set_types(["int4", "text"])
        copy.write_row((5000, "binary"))
    say("binary", cursor.rowcount)

    def refused(lines, fail=None):
        with conn.cursor().copy("copy t (id, x) from stdin") as copy:
            for line in lines:
                copy.write(line)
            if fail:
                raise fail

    error("a bad line", lambda: refused(["7000\tfine\n", "x\ty\n"]))
    error("a bad line before many", lambda: refused(["x\ty\n"] + ["8000\tz\n"] * 20_000))
    error("a double", lambda: refused(["7000\tonce\n", "7000\ttwice\n"]))
    try:
        refused(["7000\tnever\n"], ValueError("the client gave up"))
    except Exception as caught:
        say("given up", type(caught).__name__, str(caught))
    try:
        # Left early, the driver cancels the query; this one is sure to be still under way.
        with cursor.copy("copy (select n, pg_sleep(case when n > 50000 then 60 else 0 end)"
                         " from generate_series(1, 100000) as n) to stdout") as copy:
            raise ValueError(bytes(copy.read()))
    except ValueError as caught:
        say("left early", str(caught), conn.info.transaction_status.name)

    def read(query):
        with cursor.copy(query) as copy:
            for _ in copy:
                pass

    error("fails while it goes", lambda: read(
        "copy (select 1 / (500 - n) from generate_series(1, 1000) as n) to stdout"))
    error("no table", lambda: read("copy nothing to stdout"))
    say("count", conn.execute("select count(*), sum(id) from t").fetchone())


def prepared(conn):
    for n in range(3):
        result("prepared", conn.execute("select id, x from t where id = %s", [n], prepare=True))
    names = conn.execute("select name, statement, parameter_types::text, from_sql from pg_prepared_statements")
    say("names", names.fetchall())
    held = conn.pgconn.prepare(b"mine", b"select $1::int8 + 1, $2::text", None)
    say("prepare", pq.ExecStatus(held.status).name)
    held = conn.pgconn.describe_prepared(b"mine")
    say("describe", held.nparams, [held.param_type(n) for n in range(held.nparams)], held.nfields, held.ftype(0))
    held = conn.pgconn.exec_prepared(b"mine", [b"41", None])
    say("execute", held.get_value(0, 0), held.get_value(0, 1))
    for what, held in (("describe", conn.pgconn.describe_prepared(b"none")),
                       ("execute", conn.pgconn.exec_prepared(b"none", [])),
                       ("portal", conn.pgconn.describe_portal(b"none"))):
        say(what, pq.ExecStatus(held.status).name, held.error_field(pq.DiagnosticField.SQLSTATE), held.error_message)
    conn.pgconn.prepare(b"changed", b"select * from t where id = 1")
    conn.execute("alter table t add column more int")
    held = conn.pgconn.exec_prepared(b"changed", [])
    say("plan that changed", pq.ExecStatus(held.status).name, held.error_message)
    conn.execute("deallocate all")


def cursors(conn):
    with conn.transaction(), conn.cursor(name="walk", scrollable=True) as cursor:
        cursor.itersize = 7
        cursor.execute("select generate_series(1, 30), 'x'")
        say("walked", [row for row in cursor][-1], cursor.rownumber)
        cursor.scroll(-5)
        say("back", cursor.fetchmany(2))
    with conn.cursor(name="held", withhold=True) as cursor:
        cursor.execute("select id from items order by id limit 3")
        say("held", cursor.fetchall(), [column.type_code for column in cursor.description])
    error("no cursor", lambda: conn.execute("fetch 1 from walk"))


def raw_pipeline(pgconn):
    """Two groups of queries, the first with an error in its middle, answer by answer."""
    pgconn.enter_pipeline_mode()
    for query in b"select 1", b"select 1 / 0", b"select 2", None, b"select 3", None:
        if query is None:
            pgconn.pipeline_sync()
        else:
            pgconn.send_query_params(query, None)
    pgconn.flush()
    syncs = 0
    while syncs < 2:
        held = pgconn.get_result()
        if held is None:
            say("answer", None)
            continue
        syncs += held.status == pq.ExecStatus.PIPELINE_SYNC
        say("answer", pq.ExecStatus(held.status).name, held.get_value(0, 0), held.error_message,
            pq.PipelineStatus(pgconn.pipeline_status).name)
    pgconn.exit_pipeline_mode()


def pipelines(conn):
    with conn.pipeline() as pipeline:
        many = [conn.execute("select %s::int", [n]) for n in range(300)]
        pipeline.sync()
        say("pipeline", [cursor.fetchone()[0] for cursor in many] == list(range(300)))
    # Where the driver raises depends on what has come back by then; that it does and what, does not.
    try:
        with conn.pipeline():
            for query in "select 'before'", "select 1 / 0", "select 'skipped'":
                conn.execute(query)
    except psycopg.Error as caught:
        say("error", caught.sqlstate, diag(caught.diag))
    raw_pipeline(conn.pgconn)
    status("after the pipeline", conn)
    say("works", conn.execute("select 'again'").fetchone())
    try:
        with conn.pipeline(), conn.transaction():
            conn.execute("insert into t values (9000, 'x')")
            conn.execute("insert into t values (9000, 'y')")
            conn.execute("insert into t values (9001, 'z')")
    except psycopg.Error as caught:
        say("transaction", caught.sqlstate, diag(caught.diag))
    say("rolled back", conn.execute("select count(*) from t where id >= 9000").fetchone())


def parameters(conn):
    for name, value in (("application_name", "renamed ä"), ("TimeZone", "Asia/Kathmandu"), ("DateStyle", "German"),
                        ("IntervalStyle", "iso_8601"), ("client_encoding", "LATIN1"),
                        ("standard_conforming_strings", "off"), ("default_transaction_read_only", "on")):
        conn.execute("select set_config(%s, %s, false)", [name, value])
        status(name, conn)
    with conn.transaction(force_rollback=True):
        conn.execute("set local timezone = 'UTC'")
        status("local", conn)
    status("rolled back", conn)
    conn.execute("reset all")
    status("reset", conn)


def waits(conn, pid):
    """Until that process sleeps."""
    query = "select count(*) from pg_stat_activity where pid = %s and wait_event = 'PgSleep'"
    while conn.execute(query, [pid]).fetchone() != (1,):
        pass


def cancels(conn, other):
    calls = [("cancel", conn.cancel)]
    if hasattr(conn, "cancel_safe"):  # not in psycopg 3.1; a cancel of libpq's new kind with libpq 17
        calls.append(("cancel_safe", conn.cancel_safe))
    for what, call in calls:
        def run():
            waits(other, conn.info.backend_pid)
            call()
        thread = threading.Thread(target=run)
        thread.start()
        error(what, lambda: conn.execute("select pg_sleep(60)"))
        thread.join()
        say("after", conn.execute("select 1").fetchone())
    # A cancel that finds nothing to cancel has come and gone when the call is back.
    conn.cancel()
    error("an idle one", lambda: conn.execute("select 2"))
    conn.execute("set statement_timeout = 30")
    error("timeout", lambda: conn.execute("select pg_sleep(60)"))
    conn.execute("reset statement_timeout")


def notifications(conn, other):
    pids = Pids()
    pids.learn("own", conn.execute("select pg_backend_pid()").fetchone()[0])
    pids.learn("other", other.execute("select pg_backend_pid()").fetchone()[0])
    say("pids", pids.name(conn.info.backend_pid), pids.name(other.info.backend_pid))
    seen = []
    conn.add_notify_handler(seen.append)
    conn.execute(f"listen {LABEL}")
    for sender, payload in ((conn, "to myself"), (other, "from another ä"), (other, ""), (other, "x" * 7999)):
        sender.execute("select pg_notify(%s, %s)", [LABEL, payload])
    error("too long", lambda: other.execute("select pg_notify(%s, %s)", [LABEL, "x" * 8000]))
    other.execute("select pg_notify(%s, 'end')", [LABEL])
    while not (seen and seen[-1].payload == "end"):
        conn.execute("select 1")
    for heard in seen:
        say("notified", pids.name(heard.pid), heard.channel, heard.payload)
    conn.execute("unlisten *")


def objects(conn):
    with conn.transaction(force_rollback=True):
        made = conn.execute("select lo_from_bytea(0, %s)", [b"large " * 20_000]).fetchone()[0]
        handle = conn.execute("select lo_open(%s, 393216)", [made]).fetchone()[0]
        say("read", handle, conn.execute("select loread(%s, 10), lo_lseek(%s, 5, 0)", [handle] * 2).fetchone())
        say("whole", len(conn.execute("select lo_get(%s)", [made]).fetchone()[0]))
    error("gone", lambda: conn.execute("select lo_get(4294967290)"))


def two_phases(conn):
    for query in ("begin", "select 1", f"prepare transaction '{LABEL}'", "select gid, owner from pg_prepared_xacts "
                  f"where gid = '{LABEL}'", f"rollback prepared '{LABEL}'", "commit prepared 'nothing'"):
        error(query, lambda: conn.execute(query))


def messages(conn):
    """The messages themselves, as libpq traces them."""
    with tempfile.TemporaryFile() as file:
        conn.pgconn.trace(file.fileno())
        conn.pgconn.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS | pq.Trace.REGRESS_MODE)
        for query in (b"select 1, 'x', null", b"select 1 / 0", b"set timezone = 'Asia/Tokyo'", b"", b"reset timezone",
                      b"begin; select 1; commit", b"do $$ begin raise notice 'n'; end $$", b"select; select 2"):
            conn.pgconn.exec_(query)
        conn.pgconn.exec_params(b"select $1::int, $2::text", [b"1", None], result_format=1)
        conn.pgconn.prepare(b"traced", b"select $1::int")
        conn.pgconn.describe_prepared(b"traced")
        conn.pgconn.exec_prepared(b"traced", [b"1"])
        conn.pgconn.exec_prepared(b"traced", [b"x"])
        conn.pgconn.untrace()
        file.seek(0)
        for line in file.read().decode().splitlines():
            say("message", line)


def ends(conn):
    error("terminated", lambda: conn.execute("select pg_terminate_backend(pg_backend_pid())"))
    say("closed", conn.closed, conn.broken, pq.ConnStatus(conn.pgconn.status).name)
    error("after the end", lambda: conn.execute("select 1"))


def connects():
    settings = "select current_setting('search_path'), current_setting('work_mem'), current_setting('application_name')"
    for options in ({"options": "-c search_path=pg_catalog -c work_mem=6MB"}, {"application_name": "named ä"},
                    {"fallback_application_name": "by default"}, {"client_encoding": "LATIN1"},
                    {"options": "-c DateStyle=German -c TimeZone=Asia/Kathmandu"}, {"keepalives": "0"}):
        with psycopg.connect(**options) as conn:
            say("connected", options, conn.execute(settings).fetchone())
            status("with that", conn)
    for options in ({"dbname": "nothing"}, {"options": "-c nothing=1"}, {"options": "-c work_mem=x"},
                    {"client_encoding": "KLINGON"}, {"options": "-c default_transaction_isolation=none"}):
        try:
            psycopg.connect(**options)
            say("connected", options)
        except psycopg.Error as caught:
            say("not connected", options, type(caught).__name__, caught.sqlstate)
            print(caught)  # as it is: `normal` knows libpq's words


async def asynchronous():
    async with await psycopg.AsyncConnection.connect(autocommit=True) as conn:
        seen = []
        conn.add_notice_handler(lambda notice: seen.append(diag(notice)))
        result("types", await conn.execute(TYPES))
        await conn.execute("do $$ begin raise warning 'w' using detail = 'd'; end $$")
        say("notices", seen)
        try:
            await conn.execute("select 1 / %s", [0])
        except psycopg.Error as caught:
            say("error", caught.sqlstate, diag(caught.diag))
        cursor = conn.cursor()
        await conn.execute("create temp table a (i int)")
        async with cursor.copy("copy a from stdin") as copy:
            for n in range(100):
                await copy.write_row([n])
        async with cursor.copy("copy a to stdout") as copy:
            say("copied", b"".join([bytes(part) async for part in copy]))
        async with conn.pipeline():
            many = [await conn.execute("select %s::int", [n]) for n in range(50)]
            say("pipeline", [(await cursor.fetchone())[0] for cursor in many])

        async def cancelled():
            async with await psycopg.AsyncConnection.connect(autocommit=True) as other:
                query = "select count(*) from pg_stat_activity where pid = %s and wait_event = 'PgSleep'"
                while await (await other.execute(query, [conn.info.backend_pid])).fetchone() != (1,):
                    pass
                if hasattr(conn, "cancel_safe"):
                    await conn.cancel_safe()
                else:
                    conn.cancel()
        sleeping = asyncio.gather(conn.execute("select pg_sleep(60)"), cancelled(), return_exceptions=True)
        caught = (await sleeping)[0]
        say("cancelled", type(caught).__name__, diag(caught.diag))
        heard = []
        conn.add_notify_handler(heard.append)
        await conn.execute(f"listen {LABEL}")
        await conn.execute(f"notify {LABEL}, 'async'")
        while not heard:
            await conn.execute("select 1")
        say("notified", heard[0].pid == conn.info.backend_pid, heard[0].channel, heard[0].payload)

    async def one(number):
        async with await psycopg.AsyncConnection.connect() as conn:
            return (await (await conn.execute("select %s::int", [number])).fetchone())[0]

    say("at once", await asyncio.gather(*(one(number) for number in range(10))))


def main():
    say("libpq", pq.version() // 10000, pq.__impl__, psycopg.__version__)
    with psycopg.connect(autocommit=True) as conn, psycopg.connect(autocommit=True) as other:
        say("protocol", conn.pgconn.protocol_version, conn.pgconn.server_version)
        if pq.version() >= 180000:
            say("in full", conn.pgconn.full_protocol_version)
        status("at start", conn)
        for step in (results, errors, notices, copies, prepared, cursors, pipelines, parameters, objects, two_phases,
                     messages):
            say(f"--- {step.__name__} ---")
            step(conn)
            status("after that", conn)
        say("--- two connections ---")
        cancels(conn, other)
        notifications(conn, other)
        ends(conn)
    connects()
    asyncio.run(asynchronous())
    say("end")


main()
