"""What a gunicorn has read beside its command line, found out from real processes that only wait."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support.waiting import wait_for

from vitalsd.targets.gunicorn import Surroundings
from vitalsd.targets.processes import Process, read_key
from vitalsd.targets.surroundings import MOST_AT_ONCE, SurroundingsReader, read_surroundings

PROC = Path("/proc")
WAITS = [sys.executable, "-I", "-S", "-c", "import sys; print(flush=True); sys.stdin.read()"]


@pytest.fixture
def master(tmp_path):
    """Return a function that starts a process in the test's folder and shows it under a command line."""
    with contextlib.ExitStack() as stack:

        def start(command="gunicorn shop", cwd=tmp_path, **environment):
            process = stack.enter_context(
                subprocess.Popen(
                    WAITS, env=environment, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
            )
            stack.callback(process.kill)
            process.stdout.readline()
            key = read_key(PROC, process.pid)
            return Process(key, os.getpid(), os.geteuid(), command.replace(" ", "\0"))

        yield start


def read(process):
    """All that is known of it."""
    return read_surroundings(PROC, process)


def test_environment(master):
    """Options and the number of workers that the environment tells."""
    process = master(GUNICORN_CMD_ARGS="--timeout 60 -n 'my shop'", WEB_CONCURRENCY="4")
    assert read(process) == Surroundings(("--timeout", "60", "-n", "my shop"), "4", "")


def test_nothing(master):
    """A gunicorn with no more than its command line."""
    assert read(master()) == Surroundings()


def test_options_that_are_no_shell_words(master):
    """gunicorn itself would not start with them: nothing is known."""
    assert read(master(GUNICORN_CMD_ARGS="--name 'shop")) is None


@pytest.mark.parametrize(
    ("command", "environment"),
    [
        ("gunicorn shop", {}),
        ("gunicorn -c gunicorn.conf.py shop", {}),
        ("gunicorn -c file:gunicorn.conf.py shop", {}),
        ("gunicorn -c {folder}/gunicorn.conf.py shop", {}),
        ("gunicorn --chdir /tmp -c {folder}/gunicorn.conf.py shop", {}),
        ("gunicorn shop", {"GUNICORN_CMD_ARGS": "--config=gunicorn.conf.py"}),
        ("gunicorn shop", {"PWD": "{folder}"}),
        ("gunicorn shop", {"PWD": "/"}),
        ("gunicorn shop", {"PWD": "/no/such/folder"}),
    ],
)
def test_configuration(master, tmp_path, command, environment):
    """The file that it has read, wherever it was told to look for it."""
    (tmp_path / "gunicorn.conf.py").write_text("timeout = 60\n")
    environment = {name: value.format(folder=tmp_path) for name, value in environment.items()}
    assert read(master(command.format(folder=tmp_path), **environment)).config == "timeout = 60\n"


@pytest.mark.parametrize(
    "command",
    [
        "gunicorn -c python:shop.conf shop",
        "gunicorn -c missing.py shop",
        "gunicorn --chdir /srv shop",
        "gunicorn --chdir /srv -c gunicorn.conf.py shop",
    ],
)
def test_configuration_that_cannot_be_known(master, tmp_path, command):
    """A module, a file that is not there, or one relative to a place that is not known any more."""
    (tmp_path / "gunicorn.conf.py").write_text("timeout = 60\n")
    assert read(master(command)).config is None


@pytest.mark.parametrize("both", [False, True])
def test_configuration_that_has_moved_it(master, tmp_path, both):
    """There is a file where it may have been started, and it is not there now: that file may have moved it."""
    started, here = tmp_path / "started", tmp_path / "here"
    for folder in (started, here):
        folder.mkdir()
    for folder in (started, here) if both else (started,):
        (folder / "gunicorn.conf.py").write_text(f"chdir = {str(here)!r}\n")
    assert read(master(cwd=here, PWD=str(started))).config is None


def test_configuration_that_has_changed(master, tmp_path):
    """It may have read what stands there, or what stood there before."""
    file = tmp_path / "gunicorn.conf.py"
    file.write_text("timeout = 60\n")
    process = master()
    later = time.time() + 60
    os.utime(file, (later, later))
    assert read(process).config is None


@pytest.mark.parametrize("kind", ["pipe", "long", "folder"])
def test_configuration_that_is_no_such_file(master, tmp_path, kind):
    """Nothing is waited for, and nothing endless is read."""
    path = tmp_path / "gunicorn.conf.py"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_text("x = 1\n" * 20_000)
    assert read(master()).config is None


def test_process_that_has_ended(master):
    """Nothing is known of it."""
    process = master()
    gone = Process(process.key, 1, 0, "gunicorn")
    assert read_surroundings(PROC / "self" / "fdinfo", gone) is None


def test_reader(master):
    """It is read once, and known from then on."""
    process, reader = master(WEB_CONCURRENCY="3"), SurroundingsReader()
    wait_for("what it has read", lambda: reader(process) is not None)
    assert reader(process).concurrency == "3"
    reader.keep({process.key})
    assert reader(process).concurrency == "3"


def test_reader_that_hangs(tree):
    """Who cannot be read holds nobody up, and no more than a few threads."""
    reader = SurroundingsReader(tree.root)
    pipes, masters = [], []
    for pid in range(10, 10 + 2 * MOST_AT_ONCE):
        tree.add(pid, "gunicorn shop")
        pipes.append(tree.root / f"{pid}/environ")
        os.mkfifo(pipes[-1])
        masters.append(Process(read_key(tree.root, pid), 1, 0, "gunicorn\0shop"))
    assert [reader(process) for process in masters] == [None] * len(masters)
    assert len(_threads()) == MOST_AT_ONCE
    wait_for("the readers to end", lambda: _let_go(pipes) or not _threads())


def _threads():
    return [thread for thread in threading.enumerate() if thread.name == "vitalsd-gunicorn"]


def _let_go(pipes):
    for pipe in pipes:
        with contextlib.suppress(OSError):  # nobody reads it
            os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
