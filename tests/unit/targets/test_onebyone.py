"""Command lines of workers that wait in an epoll, and have no event loop."""

import pytest

from vitalsd.targets.onebyone import one_by_one


@pytest.mark.parametrize(
    "command",
    [
        "uwsgi --ini /srv/shop.ini",
        "/usr/bin/uwsgi-core --plugin python3 --http-socket :8080 --wsgi-file shop.py",
        "uwsgi_python3 --socket 127.0.0.1:3031",
        "uWSGI worker 2",
        "shop uWSGI worker 12",
        "celery -A shop worker -P solo",
        "/venv/bin/python -m celery -A shop worker --pool=solo -l INFO",
        "/venv/bin/python /venv/bin/celery -A shop worker --pool solo",
        "[celeryd: celery@shop:MainProcess] -active- (-A shop worker -P solo)",
    ],
)
def test_one_by_one(command):
    """It is said why nothing is told of a loop."""
    reason = one_by_one(command)
    assert reason is not None
    assert "one" in reason


@pytest.mark.parametrize(
    "command",
    [
        "uwsgi --ini shop.ini --gevent 100",
        "uwsgi --asyncio=50 --greenlet",
        "celery -A shop worker -c 4",
        "celery -A shop worker -P gevent",
        "gunicorn -k gevent shop:app",
        "uvicorn shop:app",
        "python shop.py",
        "node shop.js",
        "",
    ],
)
def test_with_a_loop(command):
    """Or nobody knows: it is looked for."""
    assert one_by_one(command) is None
