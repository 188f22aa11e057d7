"""Logs in by OAUTHBEARER with psycopg's libpq 18, as an application does that has its tokens in hand.

libpq asks the application for a token by a hook, which psycopg does not know; it is set in the libpq that psycopg has
loaded. The token is that of the environment, or there is none. Prints what the application was asked and how the login
ended, in one line of JSON. The connection's parameters are the first argument.
"""

import ctypes
import json
import os
import sys

import psycopg

PROMPT_DEVICE, BEARER_TOKEN = 0, 1
GIVEN, NOT_GIVEN = 1, -1
TOKEN = os.environ.get("TOKEN")
ASKED = []


class BearerRequest(ctypes.Structure):
    """`PGoauthBearerRequest` of libpq-fe.h."""

    _fields_ = [
        ("openid_configuration", ctypes.c_char_p),
        ("scope", ctypes.c_char_p),
        ("asynchronously", ctypes.c_void_p),
        ("cleanup", ctypes.c_void_p),
        ("token", ctypes.c_char_p),
        ("user", ctypes.c_void_p),
    ]


def text(value):
    return value and value.decode()


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
def hook(kind, _connection, data):
    if kind != BEARER_TOKEN:
        return 0
    request = ctypes.cast(data, ctypes.POINTER(BearerRequest)).contents
    ASKED.append([text(request.openid_configuration), text(request.scope)])
    if TOKEN is None:
        return NOT_GIVEN
    request.token = TOKEN.encode()
    return GIVEN


def loaded_libpq():
    with open("/proc/self/maps") as maps:
        paths = {line.split()[-1] for line in maps if "/libpq" in line}
    (path,) = paths
    return ctypes.CDLL(path)


assert psycopg.pq.version() >= 180000, f"libpq {psycopg.pq.version()} knows no OAuth"
if os.environ.get("HOOK") != "none":
    loaded_libpq().PQsetAuthDataHook(hook)
try:
    with psycopg.connect(sys.argv[1]) as connection:
        user, error = connection.execute("select current_user").fetchone()[0], None
except psycopg.OperationalError as failure:
    user, error = None, str(failure)
print(json.dumps({"asked": ASKED, "user": user, "error": error}))
