"""The thread that listens: it begins anew, asks where there is no stream, and never runs after a slow terminal."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from support.tops import CannedAgent
from support.waiting import wait_for

from vitalsd.errors import VitalsdError
from vitalsd.top.feed import ASKED, Begun, Feed, Lost, News, Problems
from vitalsd.top.told import Captures, Incidents, Targets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vitalsd.top.told import Event


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> CannedAgent:
    """One that is asked again at once."""
    monkeypatch.setattr("vitalsd.top.feed.PAUSE_SECONDS", 0.01)
    agent = CannedAgent()
    agent.answers["/api/v1/agent"] = {"problems": ["the disk is full"]}
    return agent


@pytest.fixture
def hear(agent: CannedAgent) -> Iterator[Callable[[Callable[[list[News]], bool]], list[News]]]:
    """A function that waits until what was heard so far is as wanted."""
    feed = Feed(agent, lambda: None)
    heard: list[News] = []

    def until(fits: Callable[[list[News]], bool]) -> list[News]:
        def look() -> bool:
            heard.extend(feed.take())
            return fits(heard)

        wait_for("news", look)
        return heard

    feed.start()
    yield until
    feed.end()
    agent.told.put(None)


def kinds(news: list[News]) -> list[type]:
    """What came, in order."""
    return [type(each) for each in news]


def test_news_begins_and_comes_in_order(agent: CannedAgent, hear) -> None:
    """With what is wrong with the agent itself."""
    agent.told.put(b": heartbeat\n\n")
    agent.tell("targets", [])
    agent.tell("incidents", [])
    agent.tell("weather", [])
    news = hear(lambda news: len(news) >= 4)
    assert set(kinds(news)) == {Problems, Begun, Targets, Incidents}
    assert kinds(news).index(Begun) < kinds(news).index(Targets)


def test_an_agent_that_comes_back_is_heard_anew(agent: CannedAgent, hear) -> None:
    """In between it is lost, with the sentence that says why."""
    agent.tell("targets", [])
    agent.told.put(VitalsdError("nobody is there"))
    hear(lambda news: any(isinstance(each, Lost) for each in news))
    agent.tell("targets", [])
    news = hear(lambda news: kinds(news).count(Begun) == kinds(news).count(Targets) == 2)
    (lost,) = (each for each in news if isinstance(each, Lost))
    assert lost.because.startswith("Nothing is known of /api/v1/targets")


def test_without_a_stream_it_asks(agent: CannedAgent, hear) -> None:
    """All that a stream would tell, again and again."""
    for name, path in ASKED.items():
        agent.answers[path] = {name.decode(): []}
    agent.told.put(VitalsdError("too many connections"))
    news = hear(lambda news: len(news) >= 4)
    assert kinds(news)[-4:] == [Begun, Targets, Incidents, Captures]
    assert not any(isinstance(each, Lost) for each in news)


def test_what_is_not_understood_is_told(agent: CannedAgent, hear) -> None:
    """And asked for again: a newer agent may be replaced by an older one."""
    agent.told.put(b'event: targets\ndata: {"targets": 7}\n\n')
    news = hear(lambda news: any(isinstance(each, Lost) for each in news))
    assert agent.asked.count("/api/v1/stream") >= 1
    assert kinds(news)[-1] is Lost


def test_of_targets_only_the_latest_waits(agent: CannedAgent) -> None:
    """A terminal that is slow to draw is told once, and is late and never behind; changes are all kept."""
    calls = threading.Semaphore(0)
    feed = Feed(agent, calls.release)
    feed._put(Begun())
    for number in range(50):
        feed._put(Targets(()))
        feed._put(Incidents([{"id": str(number)}]))
    taken = feed.take()
    assert kinds(taken).count(Targets) == 1
    assert kinds(taken).count(Incidents) == 50
    assert calls.acquire(blocking=False)
    assert not calls.acquire(blocking=False)


def test_who_has_left_is_told_nothing(agent: CannedAgent) -> None:
    """The thread may wait for the network for longer than anybody waits for it."""
    told: list[Event | None] = []
    feed = Feed(agent, lambda: told.append(None))
    feed.end()
    feed._put(Targets(()))
    assert told == []
