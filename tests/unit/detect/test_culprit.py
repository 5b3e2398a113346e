"""Who it was, from stacks as py-spy and the probe take them of real servers."""

from __future__ import annotations

import pytest
from unit.detect.evidence import called, parsed

from vitalsd.detect.culprit import find_culprit, stacks_as_evidence
from vitalsd.detect.machinery import Origin, origin
from vitalsd.detect.words import place
from vitalsd.model import Frame, Stack, anonymous

SITE = "/srv/.venv/lib/python3.11/site-packages"
STDLIB = "/usr/lib/python3.11"
STARLETTE = f"""
    request_response.<locals>.app.<locals>.app {SITE}/starlette/routing.py:62
    wrap_app_handling_exceptions.<locals>.wrapped_app {SITE}/starlette/_exception_handler.py:42
    Route.handle {SITE}/starlette/routing.py:289
    Router.__call__ {SITE}/starlette/routing.py:683
    ExceptionMiddleware.__call__ {SITE}/starlette/middleware/exceptions.py:63
    BaseHTTPMiddleware.__call__.<locals>.call_next.<locals>.coro {SITE}/starlette/middleware/base.py:149
    TaskHandle._run_coro {SITE}/anyio/_core/_tasks.py:327
"""
ASYNCIO = f"""
    Handle._run {STDLIB}/asyncio/events.py:80
    BaseEventLoop._run_once {STDLIB}/asyncio/base_events.py:1922
    BaseEventLoop.run_forever {STDLIB}/asyncio/base_events.py:607
    BaseEventLoop.run_until_complete {STDLIB}/asyncio/base_events.py:640
"""
UVICORN = f"""
    Runner.run {STDLIB}/asyncio/runners.py:118
    asyncio_run {SITE}/uvicorn/_compat.py:30
    Server.run {SITE}/uvicorn/server.py:86
    main {SITE}/uvicorn/main.py:448
    Context.invoke {SITE}/click/core.py:911
    <module> /srv/.venv/bin/uvicorn:10
"""

REAL = {
    "uvicorn on uvloop": (
        "ask_database /srv/db.py:12\npage /srv/shop.py:11" + STARLETTE + UVICORN,
        "ask_database",
    ),
    "uvicorn on asyncio": (
        "ask_database /srv/db.py:12\npage /srv/shop.py:11" + STARLETTE + ASYNCIO + UVICORN,
        "ask_database",
    ),
    "a library that the service called": (
        f"SSLSocket.read {STDLIB}/ssl.py:1166\nreadinto {STDLIB}/socket.py:706\n"
        f"send {SITE}/requests/adapters.py:589\n"
        "fetch_prices /srv/prices.py:31\npage /srv/shop.py:11" + STARLETTE + UVICORN,
        "fetch_prices",
    ),
    "a comprehension": (
        "refresh.<locals>.<listcomp> /srv/jobs.py:8\nrefresh /srv/jobs.py:8" + ASYNCIO + UVICORN,
        "refresh",
    ),
    "a module that is imported late": (
        "<module> /srv/heavy.py:3\n_call_with_frames_removed <frozen importlib._bootstrap>:241\n"
        "page /srv/shop.py:11" + STARLETTE + UVICORN,
        "page",
    ),
    "aiohttp": (
        f"""
        ask_database /srv/db.py:12
        page /srv/aio.py:4
        Application._handle {SITE}/aiohttp/web_app.py:563
        RequestHandler._handle_request {SITE}/aiohttp/web_protocol.py:577
        {ASYNCIO}
        run_app {SITE}/aiohttp/web.py:502
        <module> /srv/aio.py:7
        """,
        "ask_database",
    ),
    "plain asyncio, Python 3.8": (
        """
        ask_slowly blocks.py:9
        main blocks.py:16
        _run /usr/lib/python3.8/asyncio/events.py:81
        _run_once /usr/lib/python3.8/asyncio/base_events.py:1859
        run_forever /usr/lib/python3.8/asyncio/base_events.py:570
        run_until_complete /usr/lib/python3.8/asyncio/base_events.py:603
        run /usr/lib/python3.8/asyncio/runners.py:44
        <module> blocks.py:23
        """,
        "ask_slowly",
    ),
    "uvloop, whose frames are in C": ("ask_slowly /srv/blocks.py:9\n<module> /srv/blocks.py:23", "ask_slowly"),
    "celery": (
        f"""
        resize /srv/tasks.py:21
        trace_task {SITE}/celery/app/trace.py:585
        Worker.workloop {SITE}/billiard/pool.py:362
        main {SITE}/celery/bin/celery.py:236
        <module> /srv/.venv/bin/celery:8
        """,
        "resize",
    ),
    "gunicorn's worker": (
        f"""
        page /srv/shop.py:11
        {ASYNCIO}
        UvicornWorker.run {SITE}/uvicorn/workers.py:107
        Arbiter.spawn_worker {SITE}/gunicorn/arbiter.py:609
        <module> /srv/.venv/bin/gunicorn:8
        """,
        "page",
    ),
    "only a package": (f"flush {SITE}/statsd_client/client.py:20" + ASYNCIO + UVICORN, "flush"),
    "only a framework": (
        f"run_asgi {SITE}/uvicorn/protocols/http/h11_impl.py:410" + ASYNCIO + UVICORN,
        "run_asgi",
    ),
    "under a probe": (
        "ask /srv/db.py:12\n" + ASYNCIO + "measured_select /opt/probe/vitalsd_probe/selectormeter.py:60" + UVICORN,
        "ask",
    ),
    "Node, a request": (
        """
        heavy /srv/shop.js:2
        Server.<anonymous> /srv/shop.js:5
        Server.emit node:events:524
        parserOnIncoming node:_http_server:1139
        HTTPParser.parserOnHeadersComplete node:_http_common:118
        """,
        "heavy",
    ),
    "Node, a package": (
        """
        compile /srv/node_modules/ejs/lib/ejs.js:600
        render /srv/views.js:7
        Layer.handle /srv/node_modules/express/lib/router/layer.js:95
        process.processTicksAndRejections node:internal/process/task_queues:95
        """,
        "render",
    ),
    "Express, a route": (
        """
        spawnSync node:internal/child_process:1108
        spawnSync node:child_process:832
        execSync node:child_process:954
        renderReport /srv/shop.js:36
        (anonymous:76) /srv/shop.js:76
        handleRequest /srv/node_modules/router/lib/layer.js:154
        dispatch /srv/node_modules/router/lib/route.js:104
        expressInit /srv/node_modules/express/lib/middleware/init.js:29
        emit node:events:524
        parserOnIncoming node:_http_server:1153
        """,
        "renderReport",
    ),
    "Express, a body that its parser parses": (
        """
        parse /srv/node_modules/body-parser/lib/types/json.js:76
        (anonymous) /srv/node_modules/body-parser/lib/read.js:134
        runInAsyncScope node:async_hooks:200
        invokeCallback /srv/node_modules/raw-body/index.js:230
        onEnd /srv/node_modules/raw-body/index.js:272
        emit node:events:471
        endReadableNT node:internal/streams/readable:1692
        processTicksAndRejections node:internal/process/task_queues:67
        """,
        "parse",
    ),
    "Fastify, a body that its parser parses": (
        """
        _parse /srv/node_modules/secure-json-parse/index.js:17
        parse /srv/node_modules/secure-json-parse/index.js:129
        defaultJsonParser /srv/node_modules/fastify/lib/content-type-parser.js:344
        onEnd /srv/node_modules/fastify/lib/content-type-parser.js:295
        emit node:events:471
        endReadableNT node:internal/streams/readable:1692
        processTicksAndRejections node:internal/process/task_queues:67
        """,
        "_parse",
    ),
    "Fastify alone": (
        """
        wrapThenable /srv/node_modules/fastify/lib/wrap-thenable.js:12
        preHandlerCallbackInner /srv/node_modules/fastify/lib/handle-request.js:206
        runInAsyncScope node:async_hooks:206
        done /srv/node_modules/fastify/lib/content-type-parser.js:211
        emit node:events:524
        endReadableNT node:internal/streams/readable:1698
        """,
        "wrapThenable",
    ),
    "Node, what a function hands to a builtin": (
        """
        (anonymous:31) /srv/shop.js:31
        map native:0
        (anonymous:30) /srv/shop.js:30
        sort native:0
        rank /srv/shop.js:29
        (anonymous:70) /srv/shop.js:70
        handleRequest /srv/node_modules/router/lib/layer.js:154
        """,
        "rank",
    ),
    "Node, a route without a name": (
        """
        (anonymous:70) /srv/shop.js:70
        handleRequest /srv/node_modules/router/lib/layer.js:154
        dispatch /srv/node_modules/router/lib/route.js:104
        """,
        "(anonymous:70)",
    ),
    "Node, a callback of another file": (
        """
        (anonymous:70) /srv/rules.js:70
        forEach native:0
        applyAll /srv/shop.js:29
        """,
        "(anonymous:70)",
    ),
    "Node, a timer": (
        "Timeout.sweep [as _onTimeout] /srv/cache.js:2\nlistOnTimeout node:internal/timers:581",
        "Timeout.sweep [as _onTimeout]",
    ),
}


@pytest.mark.parametrize("name", REAL)
def test_real_stacks(name: str) -> None:
    """The service's own function that was called last, whatever is around it."""
    text, function = REAL[name]
    culprit = find_culprit([parsed(text, 4)])
    assert culprit is not None
    assert (culprit.frame.function, culprit.agreement) == (function, 1.0)


LOOP_ALONE = (
    "",
    f"EpollSelector.select {STDLIB}/selectors.py:468",
    f"_SelectorTransport.write {STDLIB}/asyncio/selector_events.py:1",
)


@pytest.mark.parametrize("inner", LOOP_ALONE)
def test_the_loop_is_no_culprit(inner: str) -> None:
    """Neither the loop nor whoever started it."""
    assert find_culprit([called(inner, 4)]) is None
    assert find_culprit([]) is None


def test_innermost_that_most_samples_share() -> None:
    """`parse` is in all samples, `tokenise` in 3 of 5, which is not enough to blame it."""
    stacks = [
        called("tokenise /srv/c.py:7\nparse /srv/c.py:40\nrefresh /srv/app.py:20", 3),
        called("evaluate /srv/c.py:9\nparse /srv/c.py:41\nrefresh /srv/app.py:20", 2),
    ]
    culprit = find_culprit(stacks)
    assert culprit is not None
    assert (culprit.frame, culprit.agreement) == (Frame("parse", "/srv/c.py", 40), 1.0)
    assert find_culprit([Stack(8, stacks[0].frames), stacks[1]]).frame.function == "tokenise"


def test_one_helper_of_many_callbacks() -> None:
    """All callbacks call `render`; it is no callback that lasted."""
    stacks = [called(f"render /srv/html.py:4\nserve_{n} /srv/app.py:{n}", 1) for n in range(5)]
    culprit = find_culprit(stacks)
    assert culprit is not None
    assert culprit.agreement == pytest.approx(0.2)


def test_own_code_that_is_hardly_seen() -> None:
    """When own code is in few samples, it is asked which package is in most."""
    flush = f"flush {SITE}/statsd_client/client.py:20"
    culprit = find_culprit([called(flush, 8), called("tick /srv/app.py:5", 2)])
    assert culprit is not None
    assert (culprit.frame.function, culprit.agreement, culprit.origin) == ("flush", 0.8, Origin.PACKAGE)


def test_recursion() -> None:
    """A function that calls itself is one culprit, not one per depth."""
    deep = [
        called("\n".join(["walk /srv/tree.py:5"] * depth) + "\nprune /srv/tree.py:9", 1) for depth in (3, 5, 9)
    ]
    culprit = find_culprit(deep)
    assert culprit is not None
    assert (culprit.frame.function, culprit.agreement) == ("walk", 1.0)


def test_samples_of_nothing_else_count_against() -> None:
    """A culprit in 3 of 10 samples is one of 30 %."""
    culprit = find_culprit([called("tick /srv/app.py:5", 3), called("", 7)])
    assert culprit is not None
    assert culprit.agreement == pytest.approx(0.3)


ORIGINS = {
    "/srv/app.py": Origin.OWN,
    "/home/me/lib/pricing/app.py": Origin.OWN,
    "/srv/bin/app.py": Origin.OWN,
    "app.py": Origin.OWN,
    "<string>": Origin.OWN,
    "/usr/lib/python3/dist-packages/yaml/__init__.py": Origin.PACKAGE,
    "/srv/node_modules/lodash/index.js": Origin.PACKAGE,
    "/usr/lib/python3.13t/json/decoder.py": Origin.STANDARD,
    "node:internal/fs/sync": Origin.STANDARD,
    "node:internal/child_process": Origin.STANDARD,
    "node:zlib": Origin.STANDARD,
    "native": Origin.STANDARD,
    "<frozen runpy>": Origin.STANDARD,
    "/srv/.venv/bin/uvicorn": Origin.STANDARD,
    f"{SITE}/starlette/routing.py": Origin.FRAMEWORK,
    "/srv/node_modules/express/lib/router/index.js": Origin.FRAMEWORK,
    "/srv/node_modules/body-parser/lib/types/json.js": Origin.PACKAGE,
    "node:_http_server": Origin.FRAMEWORK,
    "node:internal/streams/readable": Origin.FRAMEWORK,
    f"{SITE}/uvloop/__init__.py": Origin.LOOP,
    "/usr/lib/python3.12/asyncio/tasks.py": Origin.LOOP,
    "node:internal/timers": Origin.LOOP,
    "/opt/agent/vitalsd/probe/python/selectormeter.py": Origin.LOOP,
}


@pytest.mark.parametrize("file", ORIGINS)
def test_origins(file: str) -> None:
    """Whose code a file is, by its path."""
    assert origin(Frame("work", file, 1)) is ORIGINS[file]


def test_a_function_without_a_name() -> None:
    """It is told by the line that it begins at, and is no name that could be called."""
    at = Frame(anonymous(70), "/srv/shop.js", 74)
    assert (anonymous(0), place(at)) == ("(anonymous)", "(anonymous:70) (shop.js:74)")


def test_generated_code() -> None:
    """What dataclasses write has the same file as `python -c`."""
    assert origin(Frame("__init__", "<string>", 2)) is Origin.STANDARD
    assert origin(Frame("<lambda>", "<string>", 1)) is Origin.STANDARD
    assert origin(Frame("work", "<string>", 3)) is Origin.OWN


def test_the_line_that_multiprocessing_starts_with() -> None:
    """`-c` of a spawned worker is nobody's own code, and is told where there is nothing else."""
    line = "<module> <string>:1"
    assert origin(Frame("<module>", "<string>", 1)) is Origin.STANDARD
    spawned = f"accept {SITE}/thing/serve.py:9\n_main {STDLIB}/multiprocessing/spawn.py:135\n{line}"
    culprit = find_culprit([called(spawned)])
    assert culprit is not None
    assert culprit.frame.function == "accept"
    alone = find_culprit([called(line)])
    assert alone is not None
    assert alone.frame.file == "<string>"


def test_stacks_as_evidence() -> None:
    """Equal stacks are one, the most seen comes first, and there are at most five."""
    one, other = called("ask /srv/db.py:3", 2), called("parse /srv/c.py:4", 3)
    rest = [called(f"tick /srv/app.py:{n}", 1) for n in range(9)]
    told = stacks_as_evidence([one, other, one, *rest])
    assert [stack["samples"] for stack in told] == [4, 3, 1, 1, 1]
    assert told[0]["frames"][0] == {"function": "ask", "file": "/srv/db.py", "line": 3}
