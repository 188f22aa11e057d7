"""Clients that log in and leave, one after the other, by every way that a caller can be proven.

Blocking sockets and Python's ssl, which is OpenSSL: a login takes such a client less than a millisecond of its own.
What does not change from one login to the next (a password's key, a token) is computed before.
"""

import base64
import hashlib
import hmac
import secrets
import socket
import ssl
import struct
import time

from loadtest.pgclient import SSL_REQUEST, Gone, ServerError, message, text
from loadtest.witnesses import salted

PASSWORD, SALT = "a password of jane's own", b"salt of sixteen."


class Way:
    """One authenticator: its listener, and what a caller does there."""

    def __init__(self, key, title, authenticator, secret=None, mechanism=None, tls=True):
        self.key, self.title, self.authenticator = key, title, authenticator
        self.secret = secret or (lambda: None)  # a function: a proof is good for one login
        self.mechanism, self.tls = mechanism, tls
        self.port, self.context = None, None

    def log_in(self, user, database):
        """Connects as the user; returns the seconds until ReadyForQuery, or until the ErrorResponse, and its state."""
        secret = self.secret()
        began = time.perf_counter()
        stream = socket.create_connection(("127.0.0.1", self.port), 30)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.tls:
                stream.sendall(SSL_REQUEST)
                if stream.recv(1) != b"S":
                    raise Gone("no TLS")
                stream = self.context.wrap_socket(stream, server_hostname="localhost")
            body = text("user", user, "database", database, "")
            stream.sendall(struct.pack("!II", len(body) + 8, 196608) + body)
            state = self.converse(stream, secret)
            took = time.perf_counter() - began
            if state is None:
                stream.sendall(message(b"X"))
            return took, state
        finally:
            stream.close()

    def converse(self, stream, secret):
        exchange, received = None, bytearray()
        while True:
            kind, body = take(stream, received)
            if kind == b"Z":
                return None
            if kind == b"E":
                fields = {field[:1]: field[1:].decode() for field in body.split(b"\0") if field}
                if fields[b"C"] == "42501":
                    return "42501"
                raise ServerError(fields[b"C"], fields[b"M"])
            asked = struct.unpack("!I", body[:4])[0] if kind == b"R" else 0
            if asked == 3:
                stream.sendall(message(b"p", text(secret)))
            elif asked == 10:
                exchange = Scram(self.mechanism, stream)
                first = exchange.first()
                stream.sendall(message(b"p", text(self.mechanism) + struct.pack("!I", len(first)) + first))
            elif asked == 11:
                stream.sendall(message(b"p", exchange.final(body[4:], secret)))


def take(stream, received):
    """The next message."""
    while True:
        if len(received) >= 5:
            length = struct.unpack("!I", received[1:5])[0] + 1
            if len(received) >= length:
                kind, body = bytes(received[:1]), bytes(received[5:length])
                del received[:length]
                return kind, body
        more = stream.recv(16_384)
        if not more:
            raise Gone("closed before the login was complete")
        received += more


class Scram:
    """The client's half of an exchange; the secret is the salted password."""

    def __init__(self, mechanism, stream):
        self.header, self.binding = b"n,,", b""
        if mechanism.endswith("-PLUS"):
            self.header = b"p=tls-server-end-point,,"
            self.binding = hashlib.sha256(stream.getpeercert(binary_form=True)).digest()
        self.bare = b"n=,r=" + secrets.token_urlsafe(18).encode()

    def first(self):
        return self.header + self.bare

    def final(self, challenge, key):
        nonce = challenge.partition(b",")[0]
        without_proof = b"c=" + base64.b64encode(self.header + self.binding) + b"," + nonce
        client = hmac.digest(key, b"Client Key", "sha256")
        signed = b",".join((self.bare, challenge, without_proof))
        signature = hmac.digest(hashlib.sha256(client).digest(), signed, "sha256")
        proof = bytes(a ^ b for a, b in zip(client, signature))
        return without_proof + b",p=" + base64.b64encode(proof)


def ways(directory, witnesses, audience):
    """All ways; those who must are given a token once, or a proof for every login."""
    token, key = witnesses.token(audience), salted(PASSWORD, SALT)
    found = [
        Way("local", "`local`", "local"),
        Way("clear", "`local` without TLS", "local", tls=False),
        Way("scram", "`scram`", "scram", lambda: key, "SCRAM-SHA-256"),
        Way("scram-plus", "`scram` with channel binding", "scram", lambda: key, "SCRAM-SHA-256-PLUS"),
        Way("mtls", "`mtls`", "mtls"),
        Way("oidc", "`oidc`, keys cached", "oidc", lambda: token),
        Way("aws-iam", "`aws-iam`, stand-in for STS", "aws-iam", witnesses.proof),
    ]
    for way in found:
        way.context = ssl.create_default_context(cafile=directory / "authority.pem")
        if way.key == "mtls":
            way.context.load_cert_chain(directory / "client.pem", directory / "client.key")
    return found
