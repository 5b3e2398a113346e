"""Who is above the workers of a target, by trees of processes as the real servers have them."""

import pytest

from vitalsd.model import WorkerKey
from vitalsd.targets.gunicorn import Surroundings
from vitalsd.targets.processes import Process
from vitalsd.targets.rules import TargetRule, workers_of
from vitalsd.targets.supervisors import supervisor_of

FORKED = True
SPAWN = "python -c from:multiprocessing.spawn:import:spawn_main;:spawn_main(pipe_handle=9) --multiprocessing-fork"
FORKSERVER = "python -c from:multiprocessing.forkserver:import:main;:main(9)"
TRACKER = "python -c from:multiprocessing.resource_tracker:import:main;main(6)"
BILLIARD = "python -c from:billiard.spawn:import:spawn_main;:spawn_main(pipe_handle=9) --billiard-fork"


def tree(*processes):
    """A table from (pid, parent, command), and FORKED; a colon stands for a space within an argument."""
    return {
        pid: Process(WorkerKey(pid, 1000 + pid), parent, 0, _arguments(command), *forked)
        for pid, parent, command, *forked in ((1, 0, "/sbin/init"), *processes)
    }


def _arguments(command):
    return "\0".join(word.replace(":", " ") for word in command.split(" "))


def forks(command, *pids, parent=10):
    """Children that have executed nothing."""
    return [(pid, parent, command, FORKED) for pid in pids]


def supervise(table, pid=10, with_segment=(), read=None):
    """The supervisor of the target whose root is `pid`, and the workers of it."""
    found = workers_of(TargetRule("shop", pid=pid), table, with_segment)
    return supervisor_of(found.workers, table, found.masters | found.perhaps_masters, read), found.workers


def one(command, child=None, count=2):
    """The supervisor of a master with so many children, forked where no command is named."""
    pids = range(11, 11 + count)
    children = forks(command, *pids) if child is None else [(pid, 10, child) for pid in pids]
    supervisor, workers = supervise(tree((10, 1, command), *children))
    assert workers == set(pids)
    assert supervisor is not None
    assert supervisor.key == WorkerKey(10, 1010)
    return supervisor


def told(supervisor):
    """What a test looks at."""
    return supervisor.kind, supervisor.worker_class, supervisor.timeout_seconds, supervisor.workers


@pytest.mark.parametrize(
    ("command", "child", "expected"),
    [
        ("/v/bin/python /v/bin/gunicorn -w 2 -t 60 -k gthread shop", None, ("gunicorn", "gthread", 60.0, 2)),
        ("python3 -m gunicorn -t 60 -w 2 -k gevent shop", None, ("gunicorn", "gevent", 60.0, 2)),
        ("gunicorn -t 0 -w 2 -k gevent shop", None, ("gunicorn", "gevent", None, 2)),
        ("gunicorn shop", None, ("gunicorn", None, None, None)),
        ("python /v/bin/uvicorn shop:app --workers 2", SPAWN, ("uvicorn", None, None, 2)),
        ("python -m uvicorn --workers=2 shop:app", SPAWN, ("uvicorn", None, None, 2)),
        ("python -m uvicorn shop:app", SPAWN, ("uvicorn", None, None, None)),
        ("/v/bin/python /v/bin/fastapi run --workers 2 shop.py", SPAWN, ("uvicorn", None, None, 2)),
        ("python /v/bin/hypercorn -w 2 shop:app", SPAWN, ("hypercorn", "asyncio", None, 2)),
        ("hypercorn -w 2 -k trio shop:app", SPAWN, ("hypercorn", "trio", None, 2)),
        ("hypercorn -c a.toml shop:app", SPAWN, ("hypercorn", None, None, None)),
        ("python /v/bin/celery -A shop worker -c2", None, ("celery", "prefork", None, 2)),
        ("python -m celery -A shop worker --concurrency=2", None, ("celery", "prefork", None, 2)),
        ("python -m celery -A shop worker -c auto", BILLIARD, ("celery", "prefork", None, None)),
        ("/usr/bin/uwsgi-core --master -p 2 --harakiri 20", None, ("uwsgi", None, 20.0, 2)),
        ("uwsgi --processes=2 --ini shop.ini", None, ("uwsgi", None, None, 2)),
        ("python crunch.py", None, ("multiprocessing", "fork", None, None)),
        ("python -m crunch", SPAWN, ("multiprocessing", "spawn", None, None)),
        ("node server.js", "/usr/bin/node /srv/server.js", ("node_cluster", None, None, None)),
        ("starman --workers 2", None, ("plain", None, None, None)),
        ("perl prefork.pl", None, ("plain", None, None, None)),
    ],
)
def test_by_its_command_line(command, child, expected):
    """Each kind, with what its command line says of its workers."""
    assert told(one(command, child)) == expected


@pytest.mark.parametrize(
    ("title", "worker", "expected"),
    [
        ("gunicorn: master [shop:app]", "gunicorn: worker [shop:app]", ("gunicorn", None, None, None)),
        (
            "[celeryd: celery@host:MainProcess] -active- (worker -A shop -c 2)",
            "[celeryd: celery@host:ForkPoolWorker-1]",
            ("celery", "prefork", None, None),
        ),
        ("uWSGI master", "uWSGI worker 1", ("uwsgi", None, None, None)),
        ("shop uWSGI master", "shop uWSGI worker 1", ("uwsgi", None, None, None)),
    ],
)
def test_by_its_title(title, worker, expected):
    """A title says which kind it is, and nothing of its options."""
    table = tree((10, 1, ""), *forks("", 11, 12))
    for pid, text in ((10, title), (11, worker), (12, worker)):
        table[pid] = Process(table[pid].key, table[pid].parent, 0, text, table[pid].forked)
    supervisor, workers = supervise(table)
    assert (told(supervisor), workers) == (expected, {11, 12})
    assert ("timeout_seconds" in supervisor.missing) == (expected[0] in ("gunicorn", "uwsgi"))


def titled(*processes):
    """A table from (pid, parent, title), each forked but the first."""
    table = tree(*((pid, parent, "", FORKED) for pid, parent, _ in processes))
    for at, (pid, parent, title) in enumerate(processes):
        table[pid] = Process(table[pid].key, parent, 0, title, forked=at > 0)
    return table


def test_what_uwsgi_has_beside_its_workers():
    """Routers, mules and spoolers are forked too; where they say what they are, they are no workers."""
    others = ("uWSGI http 1", "uWSGI mule 1", "uWSGI spooler", "uWSGI fastrouter 1")
    workers = ("uWSGI worker 1", "uWSGI worker 2")
    children = enumerate((*workers, *others), 11)
    supervisor, found = supervise(titled((10, 1, "uWSGI master"), *((pid, 10, title) for pid, title in children)))
    assert (supervisor.kind, found) == ("uwsgi", {11, 12})


def test_scheduler_within_celery():
    """`celery worker -B` forks a scheduler too."""
    table = titled(
        (10, 1, "[celeryd: celery@host:MainProcess] -active- (worker -B)"),
        (11, 10, "[celeryd: celery@host:ForkPoolWorker-1]"),
        (12, 10, "[celery beat]"),
    )
    assert supervise(table)[1] == {11}


def test_second_pool_of_gunicorn():
    """The master of a gunicorn's other pool is no worker; its workers are, and belong to the same gunicorn."""
    pool = [(pid, 12, "gunicorn: dirty-worker [shop]") for pid in (21, 22, 23)]
    table = titled(
        (10, 1, "gunicorn: master [shop]"),
        (11, 10, "gunicorn: worker [shop]"),
        (12, 10, "gunicorn: dirty-arbiter"),
        *pool,
    )
    supervisor, found = supervise(table)
    assert (supervisor.key.pid, found) == (10, {11, 21, 22, 23})


def test_what_gunicorn_has_read():
    """Environment and configuration fill in what the command line leaves open, and are asked of the master."""
    asked = []

    def read(master):
        asked.append(master.pid)
        return Surroundings(config="timeout = 120")

    command = "gunicorn -w 2 shop"
    supervisor, _ = supervise(tree((10, 1, command), *forks(command, 11, 12)), read=read)
    assert (told(supervisor), asked) == (("gunicorn", "sync", 120.0, 2), [10])


def test_command_is_scrubbed():
    """What is shown of it has no secrets."""
    assert "hunter2" not in one("gunicorn --env API_TOKEN=hunter2 shop").command


@pytest.mark.parametrize(
    "table",
    [
        tree((10, 1, "python -m shop")),
        tree((10, 1, "python -m shop"), (11, 10, "ffmpeg a.mp4")),
        tree((10, 1, "sh -c python:-m:shop"), (11, 10, "python -m shop")),
        tree((10, 1, "supervisord"), (11, 10, "python -m shop")),
        tree((10, 1, "celery -A shop worker -P solo")),
    ],
)
def test_alone(table):
    """A worker that stands alone has none; what only launches, or is launched by it, is no supervisor."""
    assert supervise(table)[0] is None


def test_helpers_of_multiprocessing():
    """The tracker is no worker; what the forkserver forks belongs to whoever has started the server."""
    command = "python crunch.py"
    table = tree(
        (10, 1, command),
        (11, 10, TRACKER),
        (12, 10, FORKSERVER),
        (13, 12, FORKSERVER, FORKED),
        (14, 12, "", FORKED),
    )
    supervisor, workers = supervise(table)
    assert workers == {13, 14}
    assert (supervisor.key.pid, told(supervisor)) == (10, ("multiprocessing", "forkserver", None, None))


def test_reloader():
    """The process that `uvicorn --reload` serves from is the worker, and its parent is not."""
    command = "python /v/bin/uvicorn --reload shop:app"
    supervisor, workers = supervise(tree((10, 1, command), (11, 10, TRACKER), (12, 10, SPAWN)))
    assert (supervisor.kind, supervisor.key.pid, workers) == ("uvicorn", 10, {12})


def test_a_service_with_a_loop_and_a_pool():
    """Who works itself and has forked others is their supervisor all the same."""
    command = "python -m shop"
    supervisor, workers = supervise(tree((10, 1, command), *forks(command, 11, 12)), with_segment=(10,))
    assert (supervisor.kind, supervisor.key.pid, workers) == ("multiprocessing", 10, {10, 11, 12})


def test_pools_below_workers():
    """A worker that has forked a pool stays one of its own supervisor's."""
    command = "gunicorn shop"
    table = tree((10, 1, command), *forks(command, 11, 12), *forks(command, 21, 22, 23, 24, parent=11))
    supervisor, workers = supervise(table)
    assert (supervisor.key.pid, workers) == (10, {11, 12, 21, 22, 23, 24})


def test_behind_launchers():
    """A shell or an init around it is not who replaces workers."""
    command = "gunicorn -w 2 shop"
    table = tree((9, 1, "tini -- gunicorn -w 2 shop"), (10, 9, command), *forks(command, 11, 12))
    assert supervise(table, pid=9)[0].key.pid == 10


def test_two_masters():
    """A gunicorn that was told to replace itself has two for a while: who has more workers, else the new one."""
    command = "gunicorn -w 2 shop"
    both = [(10, 1, command), *forks(command, 11, 12), (20, 10, command)]
    old, _ = supervise(tree(*both, *forks(command, 21, parent=20)))
    new, workers = supervise(tree(*both, *forks(command, 21, 22, parent=20)))
    assert (old.key.pid, new.key.pid, workers) == (10, 20, {11, 12, 21, 22})


def test_workers_that_are_executed():
    """A parent that starts its workers as programs of their own is a plain one."""
    table = tree((10, 1, "python start.py"), (11, 10, "python serve.py"), (12, 10, "python serve.py"))
    supervisor, workers = supervise(table, with_segment=(11, 12))
    assert (supervisor.kind, supervisor.key.pid, workers) == ("plain", 10, {11, 12})


def test_workers_that_are_executed_further_down():
    """It is the parent that started them, not whoever started that."""
    table = tree((10, 1, "python a.py"), (11, 10, "ruby b.rb"), (12, 11, "python c.py"), (13, 11, "python c.py"))
    supervisor, workers = supervise(table, with_segment=(12, 13))
    assert (supervisor.kind, supervisor.key.pid, workers) == ("plain", 11, {12, 13})


def test_services_of_one_script():
    """A shell that has started several services ends and replaces none of them."""
    table = tree((10, 1, "sh start.sh"), (11, 10, "python -m shop"), (12, 10, "python -m shop"))
    assert supervise(table, with_segment=(11, 12)) == (None, {11, 12})


def test_without_a_rule():
    """Workers that were found by their segments alone have the parent that has forked them, and no other."""
    command = "gunicorn shop"
    table = tree((10, 1, command), *forks(command, 11, 12), (20, 1, "python a.py"), (21, 1, "python a.py"))
    assert supervisor_of({11, 12}, table).key.pid == 10
    assert supervisor_of({20, 21}, table) is None


def test_circle():
    """A table read while pids changed hands may have a circle of parents; it is followed once."""
    table = tree((10, 11, "python a.py", FORKED), (11, 10, "python a.py", FORKED))
    assert supervisor_of({10, 11}, table, ()).kind == "multiprocessing"
