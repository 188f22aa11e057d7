"""As much of a PostgreSQL client as misbehaving takes; it says exactly what it has received."""

import asyncio
import contextlib
import socket
import struct

SSL_REQUEST = struct.pack("!II", 8, 80877103)


class Ended(Exception):
    """Something ended an exchange; `application` says on which connection."""

    application = None


class ServerError(Ended):
    """An ErrorResponse."""

    def __init__(self, state, text):
        super().__init__(f"{state} {text}")
        self.state, self.text = state, text


class Gone(Ended):
    """The connection ended without a word."""


class WrongData(Exception):
    """An answer that is not the right one: the worst that can happen."""


def message(kind, body=b""):
    return kind + struct.pack("!I", len(body) + 4) + body


def text(*parts):
    return b"".join(part.encode() + b"\0" for part in parts)


class Connection:
    def __init__(self, address, application=None, on_end=None):
        self.address, self.tls, self.name = address, None, None
        self.application, self.on_end = application, on_end
        self.reader = self.writer = None
        self.pid = self.secret = None
        self.asking = False  # something was sent, and the answer has not ended
        self.peer, self.shut = None, False
        self.notifications = []

    async def log_in(self, user, database, tls=None, name="localhost", password=None):
        """Until the first ReadyForQuery."""
        await self.reach(tls, name)
        body = text("user", user, "database", database, "application_name", self.application) + b"\0"
        await self.send(struct.pack("!II", len(body) + 8, 196608) + body)
        while True:
            kind, body = await self.receive()
            if kind == b"R" and body[:4] == b"\0\0\0\x03" and password is not None:
                await self.send(message(b"p", text(password)))
            elif kind == b"R" and body[:4] != bytes(4):
                raise self.ended(Gone(f"asked to authenticate: {body[:4]!r}"))
            elif kind == b"K":
                self.pid, self.secret = struct.unpack("!I", body[:4])[0], body[4:]
            elif kind == b"Z":
                return

    def ended(self, error):
        error.application = self.application
        return error

    async def reach(self, tls, name):
        self.tls, self.name = tls, name
        try:
            self.reader, self.writer = await asyncio.open_connection(*self.address, limit=1 << 20)
            self.peer = self.writer.get_extra_info("socket")
            if tls:
                self.writer.write(SSL_REQUEST)
                if await self.reader.readexactly(1) != b"S":
                    raise self.ended(Gone("no TLS"))
                await self.writer.start_tls(tls, server_hostname=name)
        except (asyncio.IncompleteReadError, OSError) as error:
            raise self.ended(Gone(f"{type(error).__name__} before the login")) from error

    async def receive(self):
        """The next message that is not asynchronous; errors are raised."""
        while True:
            try:
                head = await self.reader.readexactly(5)
                body = await self.reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)
            except (asyncio.IncompleteReadError, OSError) as error:
                raise self.ended(Gone(type(error).__name__)) from error
            kind = head[:1]
            if kind == b"E":
                fields = {field[:1]: field[1:].decode(errors="replace") for field in body.split(b"\0") if field}
                raise self.ended(ServerError(fields.get(b"C", "?????"), fields.get(b"M", "")))
            if kind == b"A":
                sender = struct.unpack("!I", body[:4])[0]
                self.notifications.append((sender, *(part.decode() for part in body[4:].split(b"\0")[:2])))
            if kind not in (b"A", b"N", b"S"):
                self.asking = kind != b"Z"
                return kind, body

    async def send(self, *messages):
        self.asking = True
        if self.shut:
            return  # somebody has killed this client; reading tells
        try:
            self.writer.write(b"".join(messages))
            await self.writer.drain()
        except OSError:
            pass  # why, is found out by reading

    async def ask(self, sql):
        """The rows of a simple query, as lists of texts."""
        await self.send(message(b"Q", text(sql)))
        return await self.rows()

    async def rows(self):
        rows, failed = [], None
        while True:
            try:
                kind, body = await self.receive()
            except ServerError as error:
                if error.state.startswith("57P"):
                    raise  # no ReadyForQuery follows
                failed = error
                continue
            if kind == b"D":
                rows.append(columns(body))
            elif kind == b"Z":
                if failed:
                    raise failed
                return rows

    async def cancel(self, secret=None):
        """A CancelRequest on a connection of its own, by the way that this one took."""
        side = Connection(self.address)
        await side.reach(self.tls, self.name)
        body = struct.pack("!II", 80877102, self.pid) + (secret or self.secret)
        await side.send(struct.pack("!I", len(body) + 4) + body)
        with contextlib.suppress(OSError):
            await side.reader.read()
        side.abort()

    async def leave(self):
        await self.send(message(b"X"))
        self.over()
        if self.shut:
            return
        self.shut = True
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    def abort(self, reset=False):
        """Closes at once; with a reset, nothing that was sent or received counts any more."""
        self.over()
        if self.shut or self.writer is None:
            return
        self.shut = True
        with contextlib.suppress(OSError):
            if reset:
                self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def over(self):
        if self.on_end:
            self.on_end(self)
            self.on_end = None


def columns(body):
    found, at = [], 2
    for _ in range(struct.unpack("!H", body[:2])[0]):
        length = struct.unpack("!i", body[at:at + 4])[0]
        at += 4
        found.append(None if length < 0 else body[at:at + length].decode())
        at += max(0, length)
    return found
