"""Command lines, which anybody may have as they like: what runs, what it was told, what is hidden of it."""

from __future__ import annotations

import msgspec

from fuzz.frame import Target, assert_sane
from vitalsd.budget.names import name_of
from vitalsd.model import WorkerKey
from vitalsd.targets.arguments import program_of
from vitalsd.targets.containers import container_of, target_of, workload_of
from vitalsd.targets.gunicorn import Surroundings, tell
from vitalsd.targets.launchers import goes_on, is_clustered, is_launcher, is_spawned, serves_others, wraps
from vitalsd.targets.processes import Process
from vitalsd.targets.supervisors import kind_named, supervises, supervisor_of

SECRET = "s3cret-Zq7"


def check(content: bytes) -> None:
    """Any of them as any process has it; a password where one is expected is never shown."""
    arguments = content[:65_536].rstrip(b"\0").decode("utf-8", "replace")
    process = Process(WorkerKey(4711, 99), 1, 0, arguments)
    child = Process(WorkerKey(4712, 99), 4711, 0, arguments, forked=True)
    assert_sane(process.shown, plain=False)
    assert len(process.shown) <= 200
    words = arguments.split("\0")
    assert_sane(name_of(words), plain=False)
    program = program_of(arguments)
    assert len(program.name) <= len(arguments)
    for told in (tell(program.words, None), tell(program.words, Surroundings(tuple(words), "4", arguments))):
        assert_sane([told.timeout_seconds or 0.0, told.workers or 0], plain=False)
    for each in (is_launcher, is_spawned, serves_others, kind_named):
        each(process.command)
    goes_on(process.command, arguments), wraps(process.command, arguments), is_clustered(arguments, arguments)
    supervises(process)
    found = supervisor_of(
        [child.pid], {process.pid: process, child.pid: child}, [process.pid], lambda _master: None
    )
    assert_sane(msgspec.to_builtins(found), plain=False)
    hidden = "\0".join([*words[:2], "--password", SECRET, *words[2:]])
    assert SECRET not in Process(WorkerKey(4711, 99), 1, 0, hidden).shown
    container = container_of(arguments)
    assert len(workload_of(arguments)) <= len(arguments)
    assert_sane(target_of("shop", container), plain=False)


TARGET = Target(
    "commands",
    "command lines",
    check,
    words=(
        *(
            b"\0--timeout\0",
            b"\0-w\0",
            b"gunicorn: master [",
            b"uWSGI ",
            b"--password=",
            b"mysql\0-p",
            b"://u:p@",
            b"\0-t",
        ),
        *(
            b"kubepods/pod",
            b"0" * 64,
            b"from multiprocessing.spawn import spawn_main",
            b"token ",
            b"authorization: ",
        ),
        *(
            b"\xd9\xa3",
            b"\xc2\xb2",
            b"'",
            b'"',
            b"\\",
            b"-" * 300,
            b"=" * 300,
            b"a:" * 300,
            b" " * 500,
            b"timeout = 5\n",
        ),
    ),
)
