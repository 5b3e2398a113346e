"""Which processes of a tree are workers, as a table of trees that services really have."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vitalsd.model import WorkerKey
from vitalsd.settings.model import Target
from vitalsd.targets.processes import Process
from vitalsd.targets.rules import TargetRule, Tree, program_name, workers_by_segment, workers_of

AGENT = 900
FORKED = True
SPAWNED = (
    "python -c from multiprocessing.spawn import spawn_main; spawn_main(pipe_handle=9) --multiprocessing-fork"
)
TRACKER = "python -c from multiprocessing.resource_tracker import main;main(6)"
GUNICORN = "python /venv/bin/gunicorn shop.web -w 2"
UVICORN = "python /venv/bin/uvicorn shop.web:app --workers 2"


def tree(*processes):
    """A table from (pid, parent, command), and FORKED where it has executed nothing since it was forked."""
    return {
        pid: Process(WorkerKey(pid, 1000 + pid), parent, 0, command, *forked)
        for pid, parent, command, *forked in processes
    }


SHOP = TargetRule("shop", match=r"shop\.web")
INIT = (1, 0, "/sbin/init")
TREES = {
    "plain asyncio process": (
        tree(INIT, (10, 1, "python -m shop.web"), (11, 1, "python -m bank.web")),
        (),
        {10},
    ),
    "plain asyncio process with a probe": (
        tree(INIT, (10, 1, "python -m shop.web")),
        (10,),
        {10},
    ),
    "gunicorn, forked workers without segments": (
        tree(INIT, (10, 1, GUNICORN), (11, 10, GUNICORN, FORKED), (12, 10, GUNICORN, FORKED)),
        (),
        {11, 12},
    ),
    "gunicorn that has no workers yet": (tree(INIT, (10, 1, GUNICORN)), (), {10}),
    "gunicorn, one worker still without its segment": (
        tree(INIT, (10, 1, GUNICORN), (11, 10, GUNICORN, FORKED), (12, 10, GUNICORN, FORKED)),
        (11,),
        {11, 12},
    ),
    "uvicorn, spawned workers and a resource tracker": (
        tree(INIT, (10, 1, UVICORN), (11, 10, TRACKER), (12, 10, SPAWNED), (13, 10, SPAWNED)),
        (12, 13),
        {12, 13},
    ),
    "uvicorn, spawned workers without segments": (
        tree(INIT, (10, 1, UVICORN), (11, 10, TRACKER), (12, 10, SPAWNED), (13, 10, SPAWNED)),
        (),
        {12, 13},
    ),
    "shells out to ffmpeg and to a python helper": (
        tree(
            INIT,
            (10, 1, "python -m shop.web"),
            (11, 10, "ffmpeg -i a.mp4 b.webm"),
            (12, 10, "python /srv/shop.web/thumbnail.py a.png"),
            (13, 10, "sh -c convert a.png b.png"),
            (14, 13, "convert a.png b.png"),
        ),
        (),
        {10},
    ),
    "shells out, and has a probe itself": (
        tree(INIT, (10, 1, "python -m shop.web"), (11, 10, "ffmpeg -i shop.web.mp4")),
        (10,),
        {10},
    ),
    "forks a pool beside its own loop": (
        tree(
            INIT,
            (10, 1, "python -m shop.web"),
            (11, 10, "python -m shop.web", FORKED),
            (12, 10, "python -m shop.web", FORKED),
        ),
        (10,),
        {10, 11, 12},
    ),
    "nested match: the wrapper matches, and so does what it starts": (
        tree(
            INIT,
            (10, 1, f"sudo -u shop {GUNICORN}"),
            (11, 10, GUNICORN),
            (12, 11, GUNICORN, FORKED),
            (13, 11, GUNICORN, FORKED),
        ),
        (),
        {12, 13},
    ),
    "a master that was started by a script": (
        tree(INIT, (10, 1, "bash start.sh shop.web"), (11, 10, GUNICORN), (12, 11, GUNICORN, FORKED)),
        (),
        {12},
    ),
    "two services of one kind": (
        tree(INIT, (10, 1, "python -m shop.web --port 1"), (20, 1, "python -m shop.web --port 2")),
        (),
        {10, 20},
    ),
    "the agent itself, which has the pattern in its command line": (
        tree(INIT, (10, 1, "python -m shop.web"), (AGENT, 1, "vitalsd watch --match shop.web")),
        (10, AGENT),
        {10},
    ),
    "the agent below the service": (
        tree(INIT, (10, 1, "python -m shop.web"), (AGENT, 10, "python -m shop.web")),
        (AGENT,),
        {10},
    ),
    "kernel threads, which have no command line": (
        tree((2, 0, ""), (3, 2, ""), (10, 1, "python -m shop.web")),
        (),
        {10},
    ),
    "nobody": (tree(INIT, (11, 1, "python -m bank.web")), (), set()),
}


@pytest.mark.parametrize("name", TREES)
def test_workers_by_match(name):
    """A pattern over command lines."""
    table, with_segment, expected = TREES[name]
    assert workers_of(SHOP, table, with_segment, [AGENT]).workers == expected


@pytest.mark.parametrize(
    ("pid", "expected"), [(10, {11, 12}), (11, {11}), (1, {11, 12}), (99, set()), (AGENT, set())]
)
def test_workers_by_pid(pid, expected):
    """A pid selects the tree below it, and nothing when no such process is there."""
    table = tree(
        INIT, (10, 1, GUNICORN), (11, 10, GUNICORN, FORKED), (12, 10, GUNICORN, FORKED), (AGENT, 1, "vitalsd")
    )
    assert workers_of(TargetRule("shop", pid=pid), table, (), [AGENT]).workers == expected


def test_masters():
    """Who has workers is their master, and does not take their place while the last of them is replaced."""
    table = tree(INIT, (10, 1, f"sudo {GUNICORN}"), (11, 10, GUNICORN), (12, 11, GUNICORN, FORKED))
    found = workers_of(SHOP, table, ())
    assert found == Tree(frozenset({12}), frozenset(), perhaps_masters=frozenset({10, 11}))
    del table[12]
    masters = [table[pid].key for pid in found.perhaps_masters]
    assert workers_of(SHOP, table, (), masters=masters) == Tree(frozenset(), frozenset())
    assert workers_of(SHOP, table, ()).workers == {11}


@pytest.mark.parametrize("with_segment", [(), (10,)])
def test_helper_that_forks(with_segment):
    """A database, a browser or a shell that the service has started forks for its own sake."""
    table = tree(
        INIT,
        (10, 1, "python -m shop.web"),
        (11, 10, "chromium --type=zygote"),
        (12, 11, "chromium --type=renderer", FORKED),
        (13, 10, "bash convert.sh"),
        (14, 13, "bash convert.sh", FORKED),
    )
    assert workers_of(SHOP, table, with_segment).workers == {10}


def test_circle():
    """A table read while pids changed hands may have a circle of parents; it is followed once."""
    table = tree((10, 11, "python -m shop.web"), (11, 10, "python -m bank.web"))
    assert workers_of(TargetRule("shop", pid=10), table, ()).workers == {10}


@pytest.mark.parametrize("wrapper", ["tini --", "sudo -u shop", "/bin/sh -c", "timeout 600"])
def test_wrapper(wrapper):
    """A program that only starts the service and waits is not its worker: its memory is not the service's."""
    table = tree(INIT, (10, 1, f"{wrapper} python -m shop.web"), (11, 10, "python -m shop.web"))
    assert workers_of(SHOP, table, ()).workers == {11}


def test_workers_with_titles_of_their_own():
    """With setproctitle installed, gunicorn's master and workers say what they are."""
    table = tree(
        INIT,
        (10, 1, "gunicorn: master [shop]"),
        (11, 10, "gunicorn: worker [shop]", FORKED),
        (12, 10, "gunicorn: worker [shop]", FORKED),
    )
    assert workers_of(TargetRule("shop", pid=10), table, ()).workers == {11, 12}


def test_segments_without_rule():
    """What no rule claims goes by the name in the segment, or else by its program; the rest is left alone."""
    table = tree(
        (10, 1, "python -m shop.web"),
        (11, 1, "python -m shop.web"),
        (12, 1, "python /srv/bank.py"),
        (13, 1, "python /srv/bank.py"),
        (14, 1, "python /srv/taken.py"),
    )
    segments = {10: "shop", 11: "", 12: "", 13: "shop", 14: "", 99: "gone"}
    assert workers_by_segment(segments, table, {14}) == {"shop": {10, 13}, "shop.web": {11}, "bank": {12}}


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("python3 -m shop.web --port 1", "shop.web"),
        ("/usr/bin/python3.11 -u -m shop.web", "shop.web"),
        ("python /srv/shop/main.py --fast", "main"),
        ("python -u main.py", "main"),
        ("/venv/bin/python /venv/bin/gunicorn shop:app -w 2", "gunicorn"),
        ("/venv/bin/uvicorn shop:app", "uvicorn"),
        ("node /srv/web/server.mjs", "server"),
        ("node --max-old-space-size=300 dist/index.js", "index"),
        ("pypy3 app.py", "app"),
        ("python", "python"),
        ("python -m", "python"),
        ("", "service"),
        ("täglich.py", "t_glich"),
        ("x" * 100, "x" * 63),
        ("python3 2fa_server.py", "_2fa_server"),
        ("./-x", "_-x"),
    ],
)
def test_program_name(command, name):
    """The file or module that is run, as a label may be spelled."""
    assert program_name(command) == name


@given(st.one_of(st.text(), st.text().map("python3 {}.py".format), st.text("0123-.:/_a \n", max_size=99)))
@example("python3 " + "9" * 63)
def test_program_name_may_be_a_targets(command):
    """Whatever is started, the name made of it is one that a target may have."""
    msgspec.convert({"name": program_name(command)}, Target)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("python -W ignore main.py", "main"),
        ("python -X dev main.py", "main"),
        ("python main.py -m fast", "main"),
        ("node -r dotenv/config server.js", "server"),
        (SPAWNED, "python"),
    ],
)
def test_program_name_after_options(command, name):
    """An argument of an option is not the program, and neither is code on the command line."""
    assert program_name(command) == name
