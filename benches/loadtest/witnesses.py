"""Whom dbproxy believes about callers: an authority of certificates, an issuer of tokens, a stand-in for STS."""

import base64
import hashlib
import hmac
import http.server
import json
import os
import secrets
import subprocess
import threading
import time

from pgbench import Problem

USER, ROUNDS = "arn:aws:iam::111122223333:user/jane", 4096  # rounds as PostgreSQL's default
SPIFFE = "spiffe://example.org/jane"


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(directory, arguments, **options):
    done = subprocess.run(["openssl", *arguments.split()], cwd=directory, capture_output=True, **options)
    if done.returncode != 0:
        raise Problem(f"openssl: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def make_client_certificate(directory):
    """By the authority of loadtest.proxy; the caller is its SPIFFE id."""
    (directory / "client-extensions").write_text(f"subjectAltName=URI:{SPIFFE}\nextendedKeyUsage=clientAuth\n")
    openssl(directory, "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=jane -keyout client.key"
                       " -out client.csr")
    openssl(directory, "x509 -req -in client.csr -CA authority.pem -CAkey authority.key -set_serial 77 -days 30"
                       " -extfile client-extensions -out client.pem")


def salted(password, salt):
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ROUNDS)


def verifier(password, salt):
    """As PostgreSQL keeps it."""
    key = salted(password, salt)
    stored = hashlib.sha256(hmac.digest(key, b"Client Key", "sha256")).digest()
    server = hmac.digest(key, b"Server Key", "sha256")
    salt, stored, server = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${ROUNDS}:{salt}${stored}:{server}"


class Witnesses:
    """One HTTP server: the issuer's documents, and an STS that believes everybody and says `jane`."""

    def __init__(self, stack, directory):
        self.directory, self.keys_asked, self.proofs_asked = directory, 0, 0
        openssl(directory, "genrsa -out issuer.key 2048")
        modulus = openssl(directory, "rsa -in issuer.key -noout -modulus").decode().strip().partition("=")[2]
        self.key = {"kty": "RSA", "use": "sig", "kid": "one", "alg": "RS256", "n": base64url(bytes.fromhex(modulus)),
                    "e": "AQAB"}
        witnesses = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one piece: Nagle would hold back the second
            disable_nagle_algorithm = True

            def do_GET(self):
                body = json.dumps(witnesses.answer(self.path)).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)

    def answer(self, path):
        if path.startswith("/.well-known/"):
            return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        if path == "/keys":
            self.keys_asked += 1
            return {"keys": [self.key]}
        self.proofs_asked += 1
        identity = {"Account": "111122223333", "Arn": USER, "UserId": "AIDAEXAMPLE234567ABCD"}
        return {"GetCallerIdentityResponse": {"GetCallerIdentityResult": identity,
                                              "ResponseMetadata": {"RequestId": "r"}}}

    def token(self, audience):
        """A token with ten groups, signed as most issuers do."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": audience, "sub": "jane", "email": "jane@example.org", "iat": now,
                  "exp": now + 7200, "groups": [f"group-{number}" for number in range(10)]}
        parts = ({"alg": "RS256", "kid": "one", "typ": "JWT"}, claims)
        signed = ".".join(base64url(json.dumps(part).encode()) for part in parts)
        signature = openssl(self.directory, "dgst -sha256 -sign issuer.key", input=signed.encode())
        return f"{signed}.{base64url(signature)}"

    def proof(self):
        """Of the shape of `dbproxy login`'s. Only STS could tell that the signature is none, and this one does not."""
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        fields = {"region": "us-east-1", "date": date, "nonce": secrets.token_urlsafe(16),
                  "credential": f"AKIAEXAMPLE234567890/{date[:8]}/us-east-1/sts/aws4_request",
                  "token": base64.b64encode(os.urandom(900)).decode(), "signature": secrets.token_hex(32)}
        return "dbproxy-aws-v1." + base64url(json.dumps(fields).encode())
