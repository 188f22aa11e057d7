"""The story with asyncpg: binary protocol, named statements, a pool, Flush without Sync."""

import asyncio
import os

import asyncpg

PLACE = {"host": "127.0.0.1", "port": int(os.environ["DBPROXY_PORT"]), "database": "app", "user": "app_rw"}


async def main():
    conn = await asyncpg.connect(**PLACE, ssl=False)
    assert await conn.fetchval("select current_user") == "app_rw"
    assert await conn.fetchval("select $1::int + 1", 41) == 42
    assert await conn.fetchval("select pg_backend_pid()") == conn.get_server_pid()
    try:
        async with conn.transaction():
            await conn.execute("insert into items values (1, 'again')")
        raise AssertionError("a duplicate key must fail")
    except asyncpg.UniqueViolationError:
        pass
    await conn.execute("create temp table t (i int, x text)")
    rows = [(i, "x" * 100) for i in range(10_000)]
    await conn.copy_records_to_table("t", records=rows)
    assert await conn.fetchval("select count(*) from t") == 10_000
    async with conn.transaction():
        count = 0
        async for _ in conn.cursor("select * from t", prefetch=100):
            count += 1
    assert count == 10_000
    big = b"z" * 5_000_000
    assert await conn.fetchval("select $1::bytea", big) == big

    heard = asyncio.get_running_loop().create_future()
    await conn.add_listener("news", lambda *event: heard.done() or heard.set_result(event[3]))
    other = await asyncpg.connect(**PLACE, ssl=False)
    await other.execute("notify news, 'extra'")
    assert await asyncio.wait_for(heard, 10) == "extra"
    await other.close()

    # asyncpg cancels by a second connection when a call times out.
    try:
        await conn.execute("select pg_sleep(60)", timeout=0.3)
        raise AssertionError("the query must time out")
    except asyncio.TimeoutError:
        pass
    assert await conn.fetchval("select 1") == 1
    await conn.close()

    async with asyncpg.create_pool(**PLACE, ssl=False, min_size=5, max_size=10) as pool:
        numbers = await asyncio.gather(*(pool.fetchval("select $1::int", n) for n in range(200)))
        assert numbers == list(range(200))


asyncio.run(main())
print("all steps passed")
