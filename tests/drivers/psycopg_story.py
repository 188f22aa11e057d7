"""The story with psycopg 3: sync, async and pipeline."""

import asyncio
import os
import threading

import psycopg

DSN = f"host=127.0.0.1 port={os.environ['DBPROXY_PORT']} dbname=app user=app_rw"


def sync_story():
    with psycopg.connect(DSN) as conn:
        assert conn.execute("select current_user").fetchone() == ("app_rw",)
        assert conn.execute("select %s::int + 1", [41]).fetchone() == (42,)
        pid = conn.execute("select pg_backend_pid()").fetchone()[0]
        assert conn.info.backend_pid == pid, "the real backend pid reaches the driver"
        try:
            with conn.transaction():
                conn.execute("insert into items values (1, 'again')")
            raise AssertionError("a duplicate key must fail")
        except psycopg.errors.UniqueViolation as error:
            assert error.diag.constraint_name == "items_pkey"
        conn.execute("create temp table t (i int, x text)")
        with conn.cursor().copy("copy t from stdin") as copy:
            for i in range(10_000):
                copy.write_row((i, "x" * 100))
        with conn.cursor().copy("copy t to stdout") as copy:
            assert sum(1 for _ in copy.rows()) == 10_000
        big = "y" * 5_000_000
        assert conn.execute("select %s::text", [big]).fetchone() == (big,)
        notices = []
        conn.add_notice_handler(lambda diag: notices.append(diag.message_primary))
        conn.execute("do $$ begin raise notice 'hello'; end $$")
        assert notices == ["hello"]

    with psycopg.connect(DSN, autocommit=True) as conn:
        conn.execute("listen news")
        with psycopg.connect(DSN, autocommit=True) as other:
            other.execute("notify news, 'extra'")
        assert next(conn.notifies(timeout=10)).payload == "extra"

        timer = threading.Timer(0.3, conn.cancel_safe)
        timer.start()
        try:
            conn.execute("select pg_sleep(60)")
            raise AssertionError("the query must be cancelled")
        except psycopg.errors.QueryCanceled:
            pass
        timer.join()

        with conn.pipeline() as pipeline:
            cursors = [conn.execute("select %s::int", [i]) for i in range(200)]
            pipeline.sync()
            assert [cursor.fetchone()[0] for cursor in cursors] == list(range(200))

        with conn.cursor(name="walk", withhold=True) as cursor:
            cursor.itersize = 100
            cursor.execute("select generate_series(1, 1000)")
            assert sum(1 for _ in cursor) == 1000


async def async_story():
    async def one(number):
        async with await psycopg.AsyncConnection.connect(DSN) as conn:
            row = await (await conn.execute("select %s::int", [number])).fetchone()
            assert row == (number,)

    await asyncio.gather(*(one(number) for number in range(30)))


sync_story()
asyncio.run(async_story())
print("all steps passed")
