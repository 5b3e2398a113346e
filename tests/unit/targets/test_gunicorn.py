"""What a gunicorn was told, by everything that may tell it, and what cannot be known of it."""

import pytest
from msgspec.structs import replace

from vitalsd.targets.gunicorn import Surroundings, Told, tell

BARE = Surroundings()


def told(command="shop", **around):
    """What follows from a command line and what else was read, without the reasons for what does not."""
    return replace(tell(command.split(), Surroundings(**around)), missing={})


def test_defaults():
    """One worker of the class sync, ended after 30 s."""
    assert told() == Told(30.0, "sync", 1)


@pytest.mark.parametrize("spelled", ["-t 90", "-t90", "--timeout 90", "--timeout=90", "--time 90", "-t 1 -t 90"])
def test_timeout_on_the_command_line(spelled):
    """It is known whatever else cannot be."""
    assert tell(f"{spelled} shop".split(), None).timeout_seconds == 90.0
    assert told(f"{spelled} shop", config=None, arguments=("-t", "5")).timeout_seconds == 90.0


def test_never():
    """0 is no timeout at all."""
    assert told("-t 0 shop").timeout_seconds == 0.0


def test_surroundings_that_cannot_be_read():
    """Nothing is taken for a default then."""
    assert replace(tell(["shop"], None), missing={}) == Told()
    assert told(config=None) == Told()


def test_order_of_places():
    """The command line before the environment, that before the file, and that before the default."""
    config = "timeout = 60\nworkers = 3\nworker_class = 'gthread'\n"
    assert told(config=config) == Told(60.0, "gthread", 3)
    arguments = ("--timeout", "50", "-w", "4", "-k", "tornado")
    assert told(config=config, arguments=arguments) == Told(50.0, "tornado", 4)
    assert told("-t 40 -w 5 -k gevent shop", config=config, arguments=arguments) == Told(40.0, "gevent", 5)


def test_concurrency():
    """WEB_CONCURRENCY is the default number of workers, and no more than that."""
    assert told(concurrency="7").workers == 7
    assert told("-w 2 shop", concurrency="7").workers == 2
    assert told(concurrency="auto").workers is None


@pytest.mark.parametrize(
    ("command", "config", "worker_class"),
    [
        ("--threads 4 shop", "", "gthread"),
        ("--threads=1 shop", "", "sync"),
        ("-k sync shop", "threads = 8", "gthread"),
        ("-k sync shop", "threads = cores()", None),
        ("-k uvicorn.workers.UvicornWorker --threads 4 shop", "", "uvicorn.workers.UvicornWorker"),
        ("-k gunicorn.workers.sync.SyncWorker shop", "", "gunicorn.workers.sync.SyncWorker"),
    ],
)
def test_threads(command, config, worker_class):
    """A sync worker with threads is a gthread one, as gunicorn itself has it."""
    assert told(command, config=config).worker_class == worker_class


@pytest.mark.parametrize(
    ("config", "timeout"),
    [
        ("", 30.0),
        ("bind = '0.0.0.0:80'\ngraceful_timeout = 10\n", 30.0),
        ("timeout = 60", 60.0),
        ("timeout=60  # half of the proxy's\n", 60.0),
        ("# timeout = 5\ntimeout = 60\n  # timeout = 7\n", 60.0),
        ("timeout = int(os.environ['T'])", None),
        ("timeout = 60 * 2", None),
        ("if fast:\n    timeout = 60\n", None),
        ("timeout = 60\nif slow:\n    timeout = 600\n", None),
        ("timeout: int = 60", None),
        ("from settings import timeout", None),
        ("from settings import *", None),
        ("from settings import (\n  *\n)", None),
        ("exec(open('more.py').read())", None),
        ("globals().update(load())", None),
        ("workers, timeout = 2, 60", None),
    ],
)
def test_configuration_file(config, timeout):
    """A name that stands there once with a plain value is known, one that does not stand there is a default."""
    assert told(config=config).timeout_seconds == timeout


def test_paste():
    """The file of a paste deployment has settings too, and is not read."""
    assert told("--paste shop.ini") == Told()


@pytest.mark.parametrize(
    ("command", "around", "why"),
    [
        ("shop", None, "the same user or CAP_SYS_PTRACE"),
        ("--paste a.ini", Surroundings(), "paste deployment"),
        ("shop", Surroundings(config=None), "no file that can be read"),
        ("shop", Surroundings(config="from a import *"), "by code"),
        ("shop", Surroundings(config="timeout = seconds()"), "computes it"),
    ],
)
def test_why_it_is_not_known(command, around, why):
    """Each field that is unknown says what is in the way; one that is known, or never, says nothing."""
    assert why in tell(command.split(), around).missing["timeout_seconds"]
    assert "timeout_seconds" not in tell([*command.split(), "-t", "0"], around).missing
