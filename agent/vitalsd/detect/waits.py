"""
What Python code waits for, as far as the innermost frames of its stack tell.

Only what is written in Python has a frame: `time.sleep`, `open` and drivers written in C show the function that
called them and nothing of theirs. So a stack that tells nothing is no sign of anything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from vitalsd.detect.culprit import callback
from vitalsd.detect.machinery import Origin, last_name, origin
from vitalsd.model import Frame, Stack

__all__ = ["Wait", "waits_in"]

Wait = Literal["call", "lock", "disk", "nothing told", "loop"]
"""A socket, a pipe, a child or a peer; another thread; a file; own code at the end of the stack; only the loop."""

INNERMOST = 2
"""`raw_decode` on behalf of `requests` computes; `readinto` on behalf of whomever waits."""
# Of the file's end and the function's last name, the first that fits. The standard library as of 3.8 to 3.14.
_RULES: tuple[tuple[Wait, re.Pattern[str]], ...] = (
    (
        "call",
        re.compile(
            r"/(?:socket|ssl|subprocess|ftplib|smtplib|imaplib|poplib|socketserver|telnetlib|nntplib)\.py:|"
            r"/(?:http/client|urllib/request|xmlrpc/client|multiprocessing/(?:connection|managers|popen_\w+))\.py:|"
            r"/site-packages/(?:urllib3|requests|httpx|httpcore|psycopg2?|pg8000|pymysql|mysql|MySQLdb|mariadb|"
            r"redis|pymemcache|memcache|pymongo|botocore|boto3|kafka|pika|grpc|elastic_transport|elasticsearch|"
            r"ldap3|paramiko|cassandra|clickhouse_driver|pexpect|zmq|thrift|oracledb|snowflake|dns)/|"
            r"/tenacity/nap\.py:|"
            # Not the loop's selector: that one lies outside of what the loop called.
            r"/selectors\.py:select$|"
            r"^node:(?:child_process|internal/child_process):"
        ),
    ),
    (
        "lock",
        re.compile(
            r"/threading\.py:(?:wait|wait_for|acquire|_acquire_restore|__enter__|join|_wait_for_tstate_lock)$|"
            r"/queue\.py:(?:get|put|join)$|/concurrent/futures/_base\.py:(?:result|exception|wait|as_completed)$|"
            r"/multiprocessing/(?:synchronize|pool|queues)\.py:|"
            r"^<frozen importlib\._bootstrap>:(?:acquire|_lock_unlock_module)$|"
            r"^(?:native)?:wait$"  # Atomics.wait: no other builtin has this name
        ),
    ),
    (
        "disk",
        re.compile(
            r"/(?:pathlib(?:/\w+)?|shutil|tempfile|fileinput|glob|zipfile(?:/\w+)?|tarfile|linecache|filecmp|"
            r"mailbox|shelve)\.py:|/dbm/\w+\.py:|/os\.py:(?:walk|_walk|makedirs|fwalk)$|"
            r"/logging/(?:__init__|handlers)\.py:(?:flush|emit|_open|doRollover)$|"
            r"^node:(?:fs|internal/fs/\w+):.*Sync$"
        ),
    ),
)


def waits_in(stack: Stack) -> Wait:
    """What the code that the loop called waits for, if it waits."""
    called = callback(stack)
    if not any(origin(frame) is not Origin.LOOP for frame in called):
        return "loop"
    return _of_library(_libraries(called))


def _libraries(called: Sequence[Frame]) -> Sequence[Frame]:
    """The innermost frames up to own code: what is further out may only have prepared the work."""
    for index, frame in enumerate(called[:INNERMOST]):
        if origin(frame) is Origin.OWN:
            return called[:index]
    return called[:INNERMOST]


def _of_library(frames: Sequence[Frame]) -> Wait:
    for frame in frames:
        place = f"{frame.file}:{last_name(frame.function)}"
        for wait, rule in _RULES:
            if rule.search(place):
                return wait
    return "nothing told"
