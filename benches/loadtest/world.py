"""The clients of the soak, who disturbs them, and who watches."""

import asyncio
import collections
import contextlib
import random
import ssl
import time

from pgbench import say
from loadtest.pgclient import Connection, Gone, ServerError
from loadtest.stories import STORIES, copy_in, pipeline, vanish

USERS = ("app_rw", "app_ro")
OURS = "usename in ('app_rw', 'app_ro') and backend_type = 'client backend'"
SOON = 5.0  # seconds after which nothing of a client that has gone may be left on the server
HANGS = 150.0  # no story takes so long
# A peer that is still being sent to answers the close of the server with a reset, which can overtake the
# last words, with and without dbproxy.
TALKATIVE = {copy_in.__name__, pipeline.__name__}
WRONG_MAX = 40  # described one by one; all are counted


class World:
    def __init__(self, proxy, state, options):
        self.proxy, self.state, self.options = proxy, state, options
        self.address = ("127.0.0.1", state["ports"]["orders"])
        self.tls = ssl.create_default_context(cafile=state["ca"]["proxy_ca"])
        self.ending = asyncio.Event()
        self.connections, self.outcomes, self.events = 0, collections.Counter(), collections.Counter()
        self.live_now, self.gone, self.gone_in = {}, {}, {}
        self.terminated, self.killed = set(), set()
        self.wrong, self.minutes = [], []

    # -- what stories use ----------------------------------------------------------------------------

    async def connect(self, chance):
        self.connections += 1
        connection = Connection(self.address, f"soak-{self.connections}", self.left)
        self.live_now[connection.application] = connection
        try:
            await connection.log_in(chance.choice(USERS), self.state["database"], chance.choice([None, self.tls]))
        except BaseException:
            connection.abort()
            raise
        return connection

    def left(self, connection):
        self.live_now.pop(connection.application, None)
        self.gone[connection.application] = time.monotonic()

    async def pause(self, seconds):
        """Shorter when the soak ends."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.ending.wait(), seconds)

    def count(self, event):
        self.events[event] += 1

    def report(self, text):
        self.count("wrong")
        if len(self.wrong) < WRONG_MAX:
            self.wrong.append(text)
            say(f"WRONG: {text}")

    # -- clients ---------------------------------------------------------------------------------------

    async def client(self, number):
        chance, told = random.Random(f"{self.options.seed} {number}"), 0
        while not self.ending.is_set():
            told += 1
            story = chance.choices(list(STORIES), list(STORIES.values()))[0]
            outcome = await self.tell(story, chance, f"{number}-{told}")
            self.outcomes[story.__name__, outcome] += 1
            await self.pause(chance.uniform(0, 0.3))

    async def tell(self, story, chance, tag):
        connection = None
        try:
            async with asyncio.timeout(HANGS):
                connection = await self.connect(chance)
                await story(self, connection, chance, tag)
                if story is not vanish:
                    await connection.leave()
            return "done"
        except (ServerError, Gone) as error:
            return await self.judge(story.__name__, error)
        except TimeoutError:
            self.report(f"{story.__name__} {tag} hangs")
        except Exception as error:
            self.report(f"{story.__name__} {tag}: {type(error).__name__}: {error}")
        finally:
            if connection:
                connection.abort()
        return "wrong"

    async def judge(self, story, error):
        """An end must have a cause of which this program knows."""
        if error.application in self.killed:
            return "client killed"
        for _ in range(20):
            if error.application in self.terminated:
                break
            await asyncio.sleep(0.1)  # the answer to the killer may be under way
        else:
            self.report(f"{story} on {error.application} ended without cause: {type(error).__name__} {error}")
            return "wrong"
        if isinstance(error, ServerError) and error.state == "57P01":
            return "server process killed, told"
        if isinstance(error, Gone):
            if story not in TALKATIVE:
                self.report(f"{story} on {error.application}: the server's last words were lost ({error})")
            return "server process killed, not told"
        self.report(f"{story} on {error.application}: {error} instead of 57P01")
        return "wrong"

    # -- what disturbs them ------------------------------------------------------------------------------

    async def admin(self):
        """A superuser's connection that dbproxy has no part in."""
        writer = self.state["cluster"]["writer"]
        connection = Connection((writer["address"], writer["port"]), "soak watch")
        tls = ssl.create_default_context(cafile=self.state["ca"]["bundle"])
        password = self.state["passwords"]["sandbox_admin"]
        await connection.log_in("sandbox_admin", self.state["database"], tls, writer["address"], password)
        return connection

    async def kill_servers(self, chance):
        admin = await self.admin()
        while not self.ending.is_set():
            await self.pause(chance.uniform(0.5, 4))
            first = chance.choice(["pid > 0", "state = 'active'", "state like 'idle in transaction%'"])
            for name, _ in await admin.ask(
                    "select application_name, pg_terminate_backend(pid) from (select application_name, pid "
                    f"from pg_stat_activity where {OURS} and application_name like 'soak-%' "
                    f"order by {first} desc nulls last, random() limit 1) chosen"):
                self.terminated.add(name)
                self.count("server processes terminated")
        await admin.leave()

    async def kill_clients(self, chance):
        while not self.ending.is_set():
            await self.pause(chance.uniform(0.5, 4))
            ready = [connection for connection in self.live_now.values() if connection.pid]
            busy = [connection for connection in ready if connection.asking]
            if ready := busy if busy and chance.random() < 0.8 else ready:
                connection = chance.choice(ready)
                self.killed.add(connection.application)
                self.count("clients killed")
                connection.abort(reset=chance.random() < 0.5)

    async def reload(self, chance):
        while not self.ending.is_set():
            await self.pause(chance.uniform(10, 30))
            self.proxy.reload()
            self.count("SIGHUPs")

    async def watch(self):
        """Server processes of clients that have gone; those that stay are ended here, or the server would fill up."""
        admin = await self.admin()
        while not self.ending.is_set():
            await self.pause(0.5)
            await self.look(admin)
        await admin.leave()

    async def look(self, admin):
        rows = await admin.ask(f"select application_name, state, query, pid from pg_stat_activity where {OURS}")
        now, there = time.monotonic(), {row[0]: row for row in rows}
        for name, since in list(self.gone.items()):
            if name not in there:
                self.gone_in[name] = now - since
                del self.gone[name]
            elif now - since > SOON:
                _, state, query, pid = there[name]
                self.gone_in[name] = now - since
                self.count("server processes that stayed")
                if self.options.expect_cancel or state != "active":
                    self.report(f"{now - since:.0f} s after {name} has gone, its server process is {state}: "
                                f"{query[:60]}")
                await admin.ask(f"select pg_terminate_backend({pid})")
                del self.gone[name]

    async def every_minute(self, began):
        while True:
            self.minutes.append(self.sample(time.monotonic() - began))
            await self.pause(60)
            if self.ending.is_set():
                return

    def sample(self, elapsed):
        sample = {"s": round(elapsed), "pss_kib": self.proxy.pss(), "files": self.proxy.files(),
                  "clients": len(self.live_now), "told": self.outcomes.total(), **self.proxy.open_now()}
        say(f"{elapsed / 60:.1f} min: {sample['told']} stories, {sample['clients']} clients, "
            f"PSS {sample['pss_kib']} KiB, {sample['files']} files, {self.events['wrong']} wrong")
        return sample

    # -- the whole -----------------------------------------------------------------------------------------

    async def live(self):
        say(f"seed {self.options.seed}")
        warm = await self.connect(random.Random(0))
        await warm.ask("select 1")
        await warm.leave()
        await asyncio.sleep(1)
        files, began = self.proxy.files(), time.monotonic()
        chance = random.Random(f"{self.options.seed} kills")
        tasks = [self.kill_servers(chance), self.kill_clients(chance), self.reload(chance), self.watch(),
                 self.every_minute(began), *(self.client(n) for n in range(self.options.clients))]
        running = asyncio.gather(*tasks)
        await asyncio.wait([running], timeout=self.options.minutes * 60)
        self.ending.set()
        await running
        return await self.end(files, began)

    async def end(self, files, began):
        admin = await self.admin()
        for _ in range(int(4 * SOON)):  # twice as long as it takes to end what stays
            await self.look(admin)
            rows = await admin.ask(f"select pid, state, query from pg_stat_activity where {OURS}")
            if not rows:
                break
            await asyncio.sleep(0.5)
        await admin.leave()
        left = await asyncio.to_thread(self.proxy.settled, files) | {"server_processes": len(rows)}
        self.minutes.append(self.sample(time.monotonic() - began))
        if any(value > 0 for value in left.values()):
            self.report(f"left behind: {left} {rows[:3]}")
        if panics := self.proxy.panics():
            self.report(f"panics: {panics[:3]}")
        lags = sorted(self.gone_in.values())
        return {"minutes": self.minutes, "left": left, "events": dict(self.events), "wrong_found": self.wrong,
                "expect_cancel": self.options.expect_cancel, "connections": self.connections,
                "outcomes": [[story, what, n] for (story, what), n in sorted(self.outcomes.items())],
                "closed": self.proxy.closed(), "cancels": self.cancels(),
                "gone_s": {"p50": lags[len(lags) // 2], "max": lags[-1]} if lags else None}

    def cancels(self):
        return {name: int(n) for name, n in self.proxy.metrics().items() if "cancel_requests_total" in name}
