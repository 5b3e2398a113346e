"""
Shops on Express and Fastify as npm has them, visited all the time: what is told of them, and how they go on.

Uses shop_express.js and shop_fastify.mjs of tests/targets/shops.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from support.agent import Agent, Scrape, Service, running, watching
from support.attached import attach, bare
from support.probed import NODE, TARGETS
from support.shops import (
    EXPRESS,
    FASTIFY,
    FOLDER,
    SESSIONS,
    VISITS,
    Customers,
    Request,
    ask,
    incidents,
    needs_shops,
    node_major,
    probed_workers,
    selling,
)
from support.taken import taken
from support.waiting import wait_for

from vitalsd.sources.perf import NoSamplesError, ThreadSamples

pytestmark = needs_shops
ARTICLES = [f'{{"name":"article {n}","tags":["a","b"],"stock":{{"here":{n}}}}}' for n in range(100)]
CATALOGUE = f"[{','.join(ARTICLES * 3000)}]"
BLOCKS = {
    "readCatalogue": ("blocking_cpu", Request("POST", "/catalogue", CATALOGUE)),
    "trimComment": ("blocking_cpu", Request("POST", "/comments", " " * 25_000 + "x")),
    "renderReport": ("blocking_call", Request("GET", "/report")),
}
"""The shop's own function to blame, the cause, and what has it called."""
ERRANDS = [
    *VISITS,
    *SESSIONS,
    Request("GET", "/orders/0"),
    Request("POST", "/orders", "[1,", "application/json"),
    Request("POST", "/mail", "somebody"),
    Request("GET", "/nowhere"),
]


@pytest.fixture(params=[EXPRESS, FASTIFY])
def program(request: pytest.FixtureRequest) -> str:
    """Each of the shops."""
    if request.param == FASTIFY and node_major() < 20:
        pytest.skip("Fastify 5 needs Node 20")
    return str(request.param)


def test_what_blocks_is_told_by_its_own_name(program: str, tmp_path: Path) -> None:
    """The shop's own function with its file, cause and stack; never a framework's. Nobody stays unanswered."""
    with selling(program, tmp_path) as shop, Customers(shop.port) as customers:
        customers.wait_for(100)
        for function, (cause, request) in BLOCKS.items():
            incident = shop.blamed((function,), cause, request)
            assert incident["culprit"]["file"] == shop.file
            assert "Worker 0 of `shop` was blocked for " in incident["summary"]
            assert function in incident["summary"]
            frames = incident["evidence"]["stacks"][0]["frames"]
            called = [frame["function"] for frame in frames if frame["file"] == shop.file]
            assert called[:2] == [function, f"(anonymous:{line_of(shop.file, request.path)})"]
            assert any("/node_modules/" in frame["file"] for frame in frames)
        customers.wait_for(20)
        customers.end()
        told = incidents(shop.agent, "stall")
        ended = shop.service.end()

    assert {each["culprit"]["file"] for each in told if each["culprit"] is not None} == {shop.file}
    assert customers.failed == []
    assert ended == (0, "", "")


def line_of(file: str, path: str) -> int:
    """Where the shop has its handler, which has no name."""
    lines = Path(file).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if f'("{path}", ' in line)


PARSERS = {EXPRESS: (("parse",), "/body-parser/"), FASTIFY: (("_parse", "parse"), "/secure-json-parse/")}
"""V8 may have made one of both functions of the latter."""


def test_a_body_that_is_too_big(program: str, tmp_path: Path) -> None:
    """Where a package parses it, before the shop has it, that package is told: no framework's, nor Node's own."""
    try:
        ThreadSamples(os.getpid(), 0.001).close()
    except NoSamplesError as error:
        pytest.skip(str(error))
    functions, package = PARSERS[program]
    with selling(program, tmp_path) as shop, Customers(shop.port) as customers:
        body = Request("POST", "/orders", CATALOGUE, "application/json")
        incident = shop.blamed(functions, "blocking_cpu", body)
    assert package in incident["culprit"]["file"]
    assert customers.failed == []


def test_an_answer_that_is_too_big(program: str, tmp_path: Path) -> None:
    """That the framework makes a text of it is computation, and no flood of promises, though it is done in one."""
    with selling(program, tmp_path) as shop:

        def told() -> list[dict[str, Any]] | None:
            assert shop.ask(Request("GET", "/articles")).status == 200
            found = incidents(shop.agent, "stall")
            return found if any(each["cause"] == "blocking_cpu" for each in found) else None

        causes = {each["cause"] for each in wait_for("a stall", told, 30)}
        assert shop.service.end() == (0, "", "")
    assert "microtask_flood" not in causes


def test_a_shop_is_what_it_was(program: str, tmp_path: Path) -> None:
    """With the probe and without: the same answers, errors for its own handlers, the same output and exit code."""
    with bare(tmp_path, program=program) as without:
        port = without.ready().port
        answers = [ask(port, request)[:2] for request in ERRANDS]
        usual = without.end()
    with selling(program, tmp_path) as shop:
        assert [shop.ask(request)[:2] for request in ERRANDS] == answers
        shop.agent.wait_scrape("the rejection", lambda scrape: rejections(scrape) == 1)
        assert shop.service.end() == usual
    assert [status for status, _ in answers] == [200] * 5 + [404, 400, 202, 404]
    code, _, err = usual
    assert code == 0
    assert "left behind: no mailbox of somebody" in err.splitlines()


def rejections(scrape: Scrape) -> float | None:
    """Counted of the shop's main process."""
    return scrape.one("vitals_unhandled_errors_total", target="shop", worker="0", channel="rejection")


def test_the_series_of_its_loop(program: str, tmp_path: Path) -> None:
    """Delay, time, heap and collections are measured inside, and rise with the customers."""
    labels = {"target": "shop", "worker": "0"}
    with selling(program, tmp_path) as shop, Customers(shop.port) as customers:
        before = shop.agent.scrape()
        customers.wait_for(200)

        def risen(scrape: Scrape) -> bool:
            names = ("delay_seconds_count", "busy_seconds_total", "idle_seconds_total")
            return all(
                (scrape.one(f"vitals_eventloop_{name}", **labels) or 0)
                > (before.one(f"vitals_eventloop_{name}", **labels) or 0)
                for name in names
            )

        scrape = shop.agent.wait_scrape("its loop to be measured", risen)
    assert scrape.one("vitals_worker_info", **labels, runtime="node", lag_source="probe") == 1
    for name in ("vitals_heap_used_bytes", "vitals_heap_limit_bytes", "vitals_gc_pause_seconds_count"):
        assert scrape.all(name, **labels), name
    assert customers.failed == []


CAPTURE = {"VITALSD__CAPTURE__COOLDOWN": "0s", "VITALSD__CAPTURE__PER_HOUR": "100"}


def test_what_is_kept_has_its_keeper_named(program: str, tmp_path: Path) -> None:
    """Sessions that nobody takes out: the first site of an allocation capture is who makes and keeps them."""
    with selling(program, tmp_path, **CAPTURE) as shop, Customers(shop.port, SESSIONS) as customers:
        customers.wait_for(20)
        told, _ = taken(shop.agent, "memory", "shop/0", "--seconds", "3")
        customers.end()
        ended = shop.service.end()
    site = told["summary"]["top_sites"][0]
    assert site["function"] in ("openSession", "Session"), site
    assert site["file"] == shop.file
    assert customers.failed == []
    assert ended == (0, "", "")


def test_a_probe_is_attached_to_a_shop_that_sells(tmp_path: Path) -> None:
    """No customer notices; from then on its loop is measured from within, and its stalls have their culprit."""
    agent = Agent(tmp_path)
    agent.segments.mkdir()
    with bare(agent.segments, "--inspect-port=0", program=EXPRESS) as service:
        port = service.ready().port
        with watching(agent, "--pid", str(service.pid), "--name", "shop"), Customers(port) as customers:
            customers.wait_for(50)
            answer = attach(service, "--name", "shop")
            assert (answer.returncode, answer.stderr) == (0, ""), answer
            assert service.listening() == set()
            agent.wait_scrape("the probe", lambda scrape: probed_workers(scrape) == {"0"})
            customers.wait_for(50)

            def blamed() -> dict[str, Any] | None:
                ask(port, BLOCKS["trimComment"][1])
                return next((each for each in incidents(agent, "stall") if each["culprit"]), None)

            incident = wait_for("an incident", blamed, 90)
            customers.end()
        code, _, err = service.end()
    assert incident["culprit"]["function"] == "trimComment"
    assert customers.failed == []
    assert code == 0
    assert err.count("Debugger listening") == 1


def test_a_cluster_of_shops(tmp_path: Path) -> None:
    """Its workers have the slots, each is blamed for what it does itself; a new one has the place of the old."""
    agent = Agent(tmp_path, {"WORKERS": "2"})
    with running(agent, [NODE or "node", str(TARGETS / EXPRESS)], "--name", "shop") as service:
        port = wait_for("the cluster", lambda: port_of(service))
        agent.wait_scrape("both workers", lambda scrape: probed_workers(scrape) == {"0", "1"})
        workers = service.workers("shop")
        assert service.pid not in workers.values()

        def blamed() -> dict[str, dict[str, Any]] | None:
            assert ask(port, BLOCKS["renderReport"][1]).worker in workers.values()
            found = [each for each in incidents(agent, "stall") if each["cause"] == "blocking_call"]
            named = {each["worker"]: each for each in found if named_by(each) == "renderReport"}
            return named if len(named) == 2 else None

        with Customers(port) as customers:
            customers.wait_for(50)
            told = wait_for("an incident of each worker", blamed, 30)
            customers.end()
        assert customers.failed == []
        os.kill(workers["1"], signal.SIGKILL)
        wait_for("the next", lambda: service.workers("shop").get("1", workers["1"]) != workers["1"])
        assert service.workers("shop")["0"] == workers["0"]
        code = service.end()
        words = [line for line in service.said().splitlines() if not line.startswith("{")]

    assert told.keys() == {"0", "1"}
    for incident in told.values():
        assert incident["culprit"]["function"] == "renderReport"
        assert incident["culprit"]["file"] == str(TARGETS / EXPRESS)
    assert (code, words) == (0, [f"ready {port}"])


def named_by(incident: dict[str, Any]) -> str | None:
    """The function that it blames, if any."""
    return (incident["culprit"] or {}).get("function")


def port_of(service: Service) -> int | None:
    """Where it serves, once it has said so."""
    ready = [line for line in service.said().splitlines() if line.startswith("ready ")]
    return int(ready[0].split()[1]) if ready else None


def test_what_is_installed_is_what_is_locked() -> None:
    """Exact versions, each with its checksum, from whatever registry there is: the lock names none."""
    wanted = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    packages = json.loads((FOLDER / "package-lock.json").read_text())["packages"]
    for name, version in wanted.items():
        installed = json.loads((FOLDER / "node_modules" / name / "package.json").read_text())
        assert installed["version"] == version == packages[f"node_modules/{name}"]["version"]
    locked = {name: package for name, package in packages.items() if name}
    assert all(package["integrity"].startswith("sha512-") for package in locked.values())
    assert [name for name, package in locked.items() if "resolved" in package] == []
