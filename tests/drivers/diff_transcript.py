"""What the Python scripts write their transcripts with: a JSON text a line, whatever the values are."""

import datetime
import decimal
import json
import os
import uuid

LABEL = os.environ["DIFF_LABEL"]
PLAIN = (str, int, float, bool, type(None))


def plain(value):
    """As JSON has it, with the type's name where JSON has no such type."""
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return repr(bytes(value))
    if isinstance(value, (decimal.Decimal, datetime.date, datetime.time, datetime.timedelta, uuid.UUID)):
        return f"{type(value).__name__} {value}"
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    return f"{type(value).__name__} {value!r}"


def say(what, *facts):
    """One line of the transcript."""
    print(json.dumps([what, *map(plain, facts)], ensure_ascii=False), flush=True)


class Pids:
    """Names for process ids, which differ from run to run."""

    def __init__(self):
        self.names = {}

    def learn(self, name, pid):
        self.names[pid] = name

    def name(self, pid):
        return self.names.get(pid, f"unknown process {pid}")
