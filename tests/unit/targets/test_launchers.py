"""Services as they are really started: below shells, inits, sudo and `uv run`, and what forks beside them."""

import pytest

from vitalsd.model import WorkerKey
from vitalsd.targets.launchers import goes_on, is_clustered, is_launcher, wraps
from vitalsd.targets.processes import Process
from vitalsd.targets.rules import TargetRule, workers_of

FORKED = True
GUNICORN = "gunicorn shop.web -w 2"
"""As it is typed; the kernel shows it as what follows."""
RUNNING = f"/venv/bin/python3.12 /venv/bin/{GUNICORN}"
CELERY = "celery -A shop worker"
CELERY_RUNNING = f"/app/.venv/bin/python3 /app/.venv/bin/{CELERY}"
SERVICE = "python -m shop.web"
SPAWNED = (
    "python -c from multiprocessing.spawn import spawn_main; spawn_main(pipe_handle=9) --multiprocessing-fork"
)
FORKSERVER = "python -c from multiprocessing.forkserver import main; main(9, 10, ['__main__'])"
TRACKER = "python -c from multiprocessing.resource_tracker import main;main(6)"


def tree(*processes):
    """A table from (pid, parent, command), and FORKED where it has executed nothing since it was forked."""
    return {
        pid: Process(WorkerKey(pid, 1000 + pid), parent, 0, command.replace(" ", "\0"), *forked)
        for pid, parent, command, *forked in processes
    }


def two_forks(parent, command):
    """Two workers below a master."""
    return [(pid, parent, command, FORKED) for pid in (21, 22)]


TREES = {
    "sh -c": (
        tree((10, 1, f"/bin/sh -c {GUNICORN}"), (11, 10, RUNNING), *two_forks(11, RUNNING)),
        (),
        {21, 22},
    ),
    "a shell that does something else besides": (
        tree(
            (10, 1, f"bash -c cd /srv && {GUNICORN} > log 2>&1; true"), (11, 10, RUNNING), *two_forks(11, RUNNING)
        ),
        (),
        {21, 22},
    ),
    "a script, and a subshell of it that rotates logs": (
        tree(
            (10, 1, "bash start.sh"),
            (11, 10, RUNNING),
            *two_forks(11, RUNNING),
            (12, 10, "bash start.sh", FORKED),
            (13, 12, "sleep 60"),
        ),
        (),
        {21, 22},
    ),
    "tini, which orphans come to as well": (
        tree((10, 1, f"tini -- {GUNICORN}"), (11, 10, RUNNING), *two_forks(11, RUNNING), (12, 10, "sleep 60")),
        (),
        {21, 22},
    ),
    "sudo": (
        tree((10, 1, f"sudo -u shop {GUNICORN}"), (11, 10, RUNNING), *two_forks(11, RUNNING)),
        (),
        {21, 22},
    ),
    "sudo with a monitor, as it has a terminal of its own": (
        tree(
            (10, 1, f"sudo -u shop {GUNICORN}"),
            (11, 10, f"sudo -u shop {GUNICORN}", FORKED),
            (12, 11, RUNNING),
            *two_forks(12, RUNNING),
        ),
        (),
        {21, 22},
    ),
    "sudo with a monitor around a single process": (
        tree(
            (10, 1, f"sudo -u shop {SERVICE}"),
            (11, 10, f"sudo -u shop {SERVICE}", FORKED),
            (12, 11, SERVICE),
        ),
        (),
        {12},
    ),
    "sudo with a monitor that has started nothing yet": (
        tree((10, 1, f"sudo -u shop {SERVICE}"), (11, 10, f"sudo -u shop {SERVICE}", FORKED)),
        (),
        {10},
    ),
    "su, a shell and the service": (
        tree(
            (10, 1, f"su shop -c {GUNICORN}"),
            (11, 10, f"bash -c {GUNICORN}"),
            (12, 11, RUNNING),
            *two_forks(12, RUNNING),
        ),
        (),
        {21, 22},
    ),
    "celery under uv run": (
        tree((10, 1, f"uv run {CELERY}"), (11, 10, CELERY_RUNNING), *two_forks(11, CELERY_RUNNING)),
        (),
        {21, 22},
    ),
    "celery under uv run, with titles of its own": (
        tree(
            (10, 1, f"uv run {CELERY}"),
            (11, 10, "[celeryd: celery@host:MainProcess] -active- (celery -A shop worker)"),
            *two_forks(11, "[celeryd: celery@host:ForkPoolWorker]"),
        ),
        (),
        {21, 22},
    ),
    "a script under uv run": (
        tree((10, 1, "uv run serve.py --fast"), (11, 10, "/app/.venv/bin/python3 serve.py --fast")),
        (),
        {11},
    ),
    "a shell with a probe, as somebody has called a service `sh`": (
        tree((10, 1, "sh serve"), *two_forks(10, "sh serve")),
        (10,),
        {10, 21, 22},
    ),
    "a wrapper of somebody's own": (
        tree((10, 1, f"with-secrets -- {GUNICORN}"), (11, 10, RUNNING), *two_forks(11, RUNNING)),
        (),
        {21, 22},
    ),
    "uvicorn with spawned workers, one of which has a pool of its own": (
        tree(
            (10, 1, "uvicorn shop.web:app --workers 2"),
            (11, 10, TRACKER),
            (12, 10, SPAWNED),
            (13, 10, SPAWNED),
            (21, 13, SPAWNED, FORKED),
            (14, 13, "postgres -D data"),
            (15, 14, "postgres: checkpointer", FORKED),
        ),
        (12, 13),
        {12, 13, 21},
    ),
    "workers from a fork server": (
        tree((10, 1, SERVICE), (11, 10, TRACKER), (12, 10, FORKSERVER), *two_forks(12, FORKSERVER)),
        (10,),
        {10, 21, 22},
    ),
    "a server that starts itself again when files change": (
        tree((10, 1, "python manage.py runserver"), (11, 10, "python manage.py runserver"), *two_forks(11, "x")),
        (),
        {21, 22},
    ),
    "a helper with a segment, and what it forks": (
        tree((10, 1, SERVICE), (11, 10, "bash convert.sh"), (12, 11, "python convert.py"), *two_forks(12, "x")),
        (12,),
        {12, 21, 22},
    ),
    "a helper below a worker": (
        tree(
            (10, 1, RUNNING),
            *two_forks(10, RUNNING),
            (30, 21, "bash convert.sh"),
            (31, 30, "bash convert.sh", FORKED),
            (32, 30, "python pool.py"),
            (33, 32, "python pool.py", FORKED),
        ),
        (),
        {21, 22},
    ),
    "a worker that forks": (
        tree((10, 1, RUNNING), *two_forks(10, RUNNING), (31, 21, RUNNING, FORKED)),
        (),
        {21, 22, 31},
    ),
}


@pytest.mark.parametrize("name", TREES)
def test_workers(name):
    """With a root that is given by its pid, nothing but the tree tells what is what."""
    table, with_segment, expected = TREES[name]
    assert workers_of(TargetRule("shop", pid=10), table, with_segment).workers == expected


@pytest.mark.parametrize("launcher", ["sudo -u shop", "tini --", "/bin/sh -c", "timeout 600", "uv run"])
def test_last_worker_is_replaced(launcher):
    """A launcher whose service has lost its last worker is not the worker then."""
    table = tree((10, 1, f"{launcher} {GUNICORN}"), (11, 10, RUNNING), *two_forks(11, RUNNING))
    rule = TargetRule("shop", pid=10)
    masters = [table[pid].key for pid in workers_of(rule, table, ()).perhaps_masters]
    del table[21], table[22]
    assert workers_of(rule, table, (), masters=masters).workers == set()


def test_nested_match():
    """A program of the service's own that starts it, and that the pattern selects too, hides no worker."""
    table = tree((10, 1, "python supervise.py shop.web"), (11, 10, RUNNING), *two_forks(11, RUNNING))
    assert workers_of(TargetRule("shop", match=r"shop\.web"), table, ()).workers == {21, 22}


def test_helper_that_the_pattern_selects_too():
    """A shell that the service uses is no service, whatever it is told to do."""
    command = "sh -c tar c /srv/shop.web | gzip"
    table = tree((10, 1, SERVICE), (11, 10, command), (12, 11, command, FORKED))
    assert workers_of(TargetRule("shop", match=r"shop\.web"), table, ()).workers == {10}


def test_worker_with_a_title_like_a_command():
    """A fork is never what its master was there to start, even when it calls itself so."""
    table = tree((10, 1, "python serve.py worker"), (11, 10, "worker", FORKED))
    found = workers_of(TargetRule("shop", pid=10), table, ())
    assert (found.workers, found.perhaps_masters) == ({11}, {10})


def test_agent_below_a_shell():
    """What the agent itself starts or forks belongs to no service."""
    table = tree(
        (10, 1, "bash start.sh"), (11, 10, "vitalsd watch"), (12, 11, "vitalsd watch", FORKED), (13, 10, RUNNING)
    )
    assert workers_of(TargetRule("shop", pid=10), table, (), [11]).workers == {10}


@pytest.mark.parametrize(
    ("command", "launches"),
    [
        ("bash", True),
        ("-bash", True),
        ("/usr/bin/sudo -u shop x", True),
        ("/usr/bin/python3 /usr/bin/supervisord -n", True),
        ("node /usr/bin/npm start", True),
        ("npm start", True),
        ("supervisord", True),
        ("python make.py", False),
        ("python -m shop.web", False),
        ("gunicorn: master [shop]", False),
        ("/srv/bash/server", False),
        ("", False),
    ],
)
def test_is_launcher(command, launches):
    """By the name of the program, or of the script that an interpreter runs."""
    assert is_launcher(command) == launches


@pytest.mark.parametrize(
    ("outer", "inner", "is_wrapped"),
    [
        (f"tini -- {SERVICE}", SERVICE, True),
        (f"tini -- {SERVICE}", f"/usr/bin/{SERVICE}", True),
        (f"tini -- {GUNICORN}", RUNNING, True),
        (f"tini -- /venv/bin/{GUNICORN}", RUNNING, True),
        (f"sh -c {SERVICE} && true", SERVICE, False),
        ("sh -c python migrate.py; python serve.py", "python migrate.py", False),
        (SERVICE, SERVICE, False),
        (SERVICE, "", False),
        ("python notserve.py", "serve.py", False),
        ("bash python", "python", True),
    ],
)
def test_wraps(outer, inner, is_wrapped):
    """A command is wrapped by one that ends with it, as it is typed or as the kernel shows it."""
    assert wraps(outer, inner) == is_wrapped


@pytest.mark.parametrize(
    ("command", "same"),
    [(SPAWNED, True), (FORKSERVER, True), (SERVICE, True), (TRACKER, False), ("bash x", False)],
)
def test_goes_on(command, same):
    """A fresh interpreter for the same program, and what is another program."""
    assert goes_on(command, SERVICE) == same


@pytest.mark.parametrize(
    ("parent", "child", "expected"),
    [
        ("node server.js", "/usr/bin/node /srv/server.js", True),
        ("node ./src/../server.js", "/usr/bin/node /srv/server.js", True),
        ("node ../shop/server.js", "/usr/bin/node /srv/shop/server.js", True),
        ("/usr/bin/node --inspect /srv/server.js", "/usr/bin/node --inspect /srv/server.js", True),
        ("node --max-old-space-size=300 server.js --port 1", "/opt/node /srv/server.js --port 1", True),
        ("node .", "/usr/bin/node /srv", True),
        ("node server", "/usr/bin/node /srv/server", True),
        ("node server.js", "/usr/bin/node /srv/thumbnail.js a.png", False),
        ("node server.js", "/usr/bin/node /srv/server.js --migrate", False),
        ("node server.js", "/usr/bin/node /srv/otherserver.js", False),
        ("node server.js", "python server.js", False),
        ("python server.py", "python /srv/server.py", False),
        ("node -e code", "node -e code", False),
        ("node", "node", False),
    ],
)
def test_clustered(parent, child, expected):
    """Node's cluster runs its parent's script again, by its whole path and with the same arguments."""
    assert is_clustered(child.replace(" ", "\0"), parent.replace(" ", "\0")) == expected


def test_node_cluster():
    """Its workers are the target's; who shares out connections among them is not, nor a script it runs."""
    child = "/usr/bin/node /srv/server.js"
    table = tree(
        (10, 1, "node server.js"), (11, 10, child), (12, 10, child), (13, 10, "node /srv/resize.js a.png")
    )
    assert workers_of(TargetRule("shop", pid=10), table, ()).workers == {11, 12}


def test_a_primary_stays_one_while_its_last_worker_is_replaced():
    """It publishes a segment as its workers do, and does not take the place of the one that has died."""
    rule, child = TargetRule("shop", pid=10), "/usr/bin/node /srv/server.js"
    before = tree((10, 1, "node server.js"), (11, 10, child))
    known = workers_of(rule, before, (10, 11))
    assert (known.workers, known.masters) == ({11}, {10})

    meanwhile = tree((10, 1, "node server.js"))
    masters = [before[pid].key for pid in known.masters]
    assert workers_of(rule, meanwhile, (10,), masters=masters).workers == set()
    assert workers_of(rule, meanwhile, (10,)).workers == {10}


@pytest.mark.parametrize("library", ["multiprocessing", "billiard"])
def test_spawned(library):
    """A fresh interpreter that serves its parent is a worker, by Python's own library or by celery's."""
    spawned = f"python -c from {library}.spawn import spawn_main; spawn_main(pipe_handle=9)"
    table = tree((10, 1, "celery -A shop worker"), (11, 10, spawned), (12, 10, TRACKER))
    assert workers_of(TargetRule("shop", pid=10), table, ()).workers == {11}
