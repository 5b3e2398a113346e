"""What is seen and what keys do, on a terminal without a window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from support.tops import CannedAgent, capture, event, fleet, hear, incidents, play, seen, until
from support.views import BLOCKING, NOW, FixedView

from vitalsd.errors import VitalsdError
from vitalsd.top.columns import COLUMNS
from vitalsd.top.keys import SCREENS, line_of
from vitalsd_exporters.web.edge import as_json
from vitalsd_exporters.web.page.rows import brief
from vitalsd_exporters.web.targets import targets_as_json

if TYPE_CHECKING:
    from textual.pilot import Pilot


def workers(pilot: Pilot[int]) -> list[str]:
    """Those in the table, from top to bottom."""
    lines = seen(pilot).splitlines()
    begin = next(place for place, line in enumerate(lines) if line.startswith("WORKER"))
    end = next(place for place, line in enumerate(lines) if line.startswith("OPEN INCIDENTS"))
    return [line.split()[0] for line in lines[begin + 1 : end] if line.strip()]


def test_what_is_wrong_is_first() -> None:
    """Without a key: workers by what is wrong with them, incidents with the latest first."""

    async def look(pilot: Pilot[int]) -> None:
        assert workers(pilot)[:4] == ["shop/0", "shop/3", "mailer/-", "shop/1"]
        told = seen(pilot)
        assert "7 workers, 2 down  2 critical, 1 warning" in told
        assert told.index("worker_down/SIGKILL") < told.index("stall/blocking_cpu in parse") < told.index("  leak")

    play(look)


@pytest.mark.parametrize("back", [False, True])
def test_every_column_can_be_sorted_by(back: bool) -> None:
    """`<` and `>` go round through what is shown, and back to what is wrong."""
    titles = [each.title.lower() for each in COLUMNS if not each.name.endswith("_trail")]

    async def look(pilot: Pilot[int]) -> None:
        for title in titles[::-1] if back else titles:
            await pilot.press("less_than_sign" if back else "greater_than_sign")
            assert f"sorted by {title}" in seen(pilot)
        await pilot.press("less_than_sign" if back else "greater_than_sign")
        assert "sorted by what is wrong" in seen(pilot)

    play(look, (140, 24))


def test_the_other_end_first() -> None:
    """`r` turns the list around, and another column begins at its own end again."""

    async def look(pilot: Pilot[int]) -> None:
        before = workers(pilot)
        await pilot.press("r")
        assert workers(pilot) == before[::-1]
        assert "reversed" in seen(pilot)
        await pilot.press("greater_than_sign")
        assert "reversed" not in seen(pilot)

    play(look)


def test_words_filter_as_they_are_typed() -> None:
    """Enter keeps them, and keys are keys again; Esc shows everybody."""

    async def look(pilot: Pilot[int]) -> None:
        await pilot.press("slash", *"web")
        assert workers(pilot) == ["web/1", "web/0"]
        await pilot.press("enter", "r")
        assert workers(pilot) == ["web/0", "web/1"]
        assert "2 of 8 with" in seen(pilot)
        await pilot.press("escape")
        assert len(workers(pilot)) == 8
        await pilot.press("slash", *"nobody")
        assert "No worker fits the filter." in seen(pilot)

    play(look)


def test_who_is_chosen_stays_chosen() -> None:
    """While rows change places; and who has not moved, or has gone home, looks at whoever is first."""
    targets, view = fleet()
    without_first = FixedView(
        all_targets=(replace(targets[0], workers=targets[0].workers[1:]), *targets[1:]),
        last_minute=view.last_minute,
        trends=view.trends,
    )

    async def look(pilot: Pilot[int]) -> None:
        await pilot.press("down", "down", "down")
        hear(pilot, event("targets", targets_as_json(without_first)))
        await pilot.press("enter")
        assert seen(pilot).splitlines()[1] == "shop/1"
        await pilot.press("escape", "home")
        hear(pilot, event("targets", targets_as_json(view)))
        await pilot.press("enter")
        assert seen(pilot).splitlines()[1] == "shop/0"

    play(look)


def test_a_worker_is_looked_into() -> None:
    """Its state, its loop, the stalls that its probe remembers, and its incidents, of which one opens."""

    async def look(pilot: Pilot[int]) -> None:
        await pilot.press("enter")
        told = seen(pilot)
        assert "stalled 1.2s, python 3.12.4, pid 4684, up for 2 h 5 min" in told
        assert "main for 500ms in parse (orders.py:41)" in told
        await pilot.press("enter")
        assert "the thread was running in 9 of 10 looks" in seen(pilot)
        await pilot.press("escape", "escape")
        assert "OPEN INCIDENTS 3" in seen(pilot)

    play(look)


def test_what_is_missing_says_why() -> None:
    """A permission that is lacking is told where somebody looks for what is not there."""

    async def look(pilot: Pilot[int]) -> None:
        await pilot.press("end", "enter")
        assert "not known, and why" in seen(pilot)
        assert "open_fds: /proc/77/fd may not be read: run as the same user" in seen(pilot)

    play(look)


def test_an_incident_tells_everything_and_leads_to_its_worker() -> None:
    """The sentence, the cause, the culprit, the stack; what changes meanwhile is shown."""

    async def look(pilot: Pilot[int]) -> None:
        await pilot.press("tab", "down", "enter")
        told = seen(pilot)
        assert "`parse` in orders.py blocked worker 0 of `shop`" in told
        assert "stall/blocking_cpu in parse (orders.py:41)" in told
        assert "parse (/srv/shop/orders.py:41)" in told
        hear(pilot, incidents(replace(BLOCKING, state="resolved", count=15)))
        await pilot.pause()
        assert "resolved, critical" in seen(pilot)
        await pilot.press("w")
        assert "pid 4684" in seen(pilot)

    play(look)


def test_an_incident_that_is_forgotten_is_asked_for_again() -> None:
    """The agent may have it on its disk; in any case it is over, and gives no orders."""
    agent = CannedAgent()
    path = f"/api/v1/incidents/{BLOCKING.id}"
    ordered = replace(BLOCKING, summary=f"{BLOCKING.summary} Look: kill -QUIT 4684.")
    agent.answers[path] = as_json(ordered)

    async def look(pilot: Pilot[int]) -> None:
        hear(pilot, incidents(ordered))
        await pilot.press("tab", "down", "enter")
        await until(pilot, "kill -QUIT 4684")
        agent.answers[path] = as_json(replace(ordered, state="resolved", resolved_at=NOW, count=77))
        hear(pilot, event("gone", [BLOCKING.id]))
        await until(pilot, "resolved, critical")
        await until(pilot, "77 times")

    play(look, agent=agent)
    assert agent.asked.count(path) == 2


def test_an_incident_that_is_told_in_brief_is_asked_for() -> None:
    """As it is where there is no stream: all of it is shown as soon as the agent has told it."""
    agent = CannedAgent()
    told = brief(BLOCKING)

    async def look(pilot: Pilot[int]) -> None:
        hear(pilot, event("incidents", [told]))
        await pilot.press("tab", "down", "enter")
        await until(pilot, f"Nothing is known of /api/v1/incidents/{BLOCKING.id}")
        await pilot.press("escape")
        agent.answers[f"/api/v1/incidents/{BLOCKING.id}"] = as_json(BLOCKING)
        await pilot.press("enter")
        await until(pilot, "the thread was running in 9 of 10 looks")

    play(look, agent=agent)


def test_stacks_are_shown() -> None:
    """`k` asks for those of the chosen worker, and shows the text when it is there."""
    agent = CannedAgent()
    agent.answers["capture"] = capture(kind="stacks", state="waiting", progress=None, waits_for="for its turn")
    file = {"name": "stacks.txt", "size_bytes": 9, "sha256": "", "media_type": "text/plain; charset=utf-8"}
    done = capture(kind="stacks", state="done", ended_at="2026-07-01T12:00:00.000Z", artifacts=[file])
    agent.answers["/api/v1/captures/1n4a0a0r001/files/stacks.txt"] = (
        b"MainThread\n  parse [red](orders.py:41)\x1b[31m"
    )

    async def look(pilot: Pilot[int]) -> None:
        await pilot.press("k")
        await until(pilot, "It waits for its turn")
        hear(pilot, event("captures", [done]))
        await until(pilot, "parse [red](orders.py:41)?[31m")
        await until(pilot, "files in /var/lib/vitalsd/captures/1n4a0a0r001")

    play(look, agent=agent)
    wanted = {"kind": "stacks", "target": "shop", "worker": "0", "reason": "asked for in `vitalsd top`"}
    assert wanted in agent.asked


def test_a_capture_is_asked_for_followed_and_ended_early() -> None:
    """Kind and seconds are chosen; it tells how far it is, and where its files are."""
    agent = CannedAgent()
    agent.answers["capture"] = capture(progress=0.1)

    async def look(pilot: Pilot[int]) -> None:
        await pilot.press("c", "down", "tab", *"9999", "enter")
        assert "Seconds are from 0 to 3600." in seen(pilot)
        await pilot.press("backspace", "backspace", "enter")
        await until(pilot, "10%")
        hear(pilot, event("captures", [capture(progress=0.9)]))
        await until(pilot, "90%")
        await pilot.press("x")
        hear(pilot, event("captures", [capture(state="failed", problem="py-spy has ended")]))
        await until(pilot, "The cpu capture of shop/0 failed: py-spy has ended.")

    play(look, agent=agent)
    asked = [each for each in agent.asked if isinstance(each, dict)]
    assert [(each["kind"], each["seconds"]) for each in asked] == [("cpu", 99.0)]
    assert ("stop", "1n4a0a0r001") in agent.asked


def test_a_refusal_is_a_sentence() -> None:
    """The agent says why, and another may be asked for."""
    agent = CannedAgent()
    agent.refuses = VitalsdError("No target is called `shop`.")

    async def look(pilot: Pilot[int]) -> None:
        await pilot.press("k")
        await until(pilot, "No target is called `shop`.")
        agent.refuses = None
        agent.answers["capture"] = capture(
            kind="stacks", state="refused", problem="the host is busy", refusal="host"
        )
        await pilot.press("a")
        await until(pilot, "No stacks capture of shop/0: the host is busy.")

    play(look, agent=agent)


def test_a_stop_that_is_refused_is_told() -> None:
    """Beside how far the capture is, for it goes on."""
    agent = CannedAgent()
    agent.answers["capture"] = capture(progress=0.1)

    async def look(pilot: Pilot[int]) -> None:
        await pilot.press("c", "enter")
        await until(pilot, "10%")
        agent.refuses = VitalsdError("Capture `1n4a0a0r001` has ended.")
        await pilot.press("x")
        await until(pilot, "Capture `1n4a0a0r001` has ended.")
        assert "10%" in seen(pilot)

    play(look, agent=agent)


def test_what_was_refused_can_be_had_all_the_same() -> None:
    """By the key that the sentence and the last line name, where a person may; else there is no such key."""
    agent = CannedAgent()
    known = {
        "state": "refused",
        "asked_by": "person",
        "problem": "the last was capture 1n4",
        "ended_at": "2026-07-01T12:00:00.000Z",
    }
    agent.answers["capture"] = capture(refusal="cooldown", retry_after_seconds=65.0, **known)

    async def look(pilot: Pilot[int]) -> None:
        await pilot.press("c", "down", "enter")
        await until(pilot, "the last was capture 1n4: ask again in 1m5s, or now by")
        assert "`f`." in seen(pilot)
        assert "a again" in seen(pilot) and "f anyway" in seen(pilot)
        assert "end early" not in seen(pilot)
        agent.answers["capture"] = capture(refusal="stopped", retry_after_seconds=None, **known)
        await pilot.press("f")
        await until(pilot, "the last was capture 1n4.")
        assert "f anyway" not in seen(pilot)
        await pilot.press("f", "a")
        agent.answers["capture"] = capture(progress=0.1)
        await pilot.press("a")
        await until(pilot, "x end early")
        assert "again" not in seen(pilot) and "anyway" not in seen(pilot)

    play(look, agent=agent)
    asked = [each.get("force", False) for each in agent.asked if isinstance(each, dict)]
    assert asked[:2] == [False, True] and not any(asked[2:])


def test_where_there_is_no_worker_nothing_is_captured() -> None:
    """Of a target that has none there is a row, and no capture."""

    async def look(pilot: Pilot[int]) -> None:
        await pilot.press("down", "down", "k")
        await until(pilot, "There is no worker to capture.")

    agent = CannedAgent()
    play(look, agent=agent)
    assert not any(isinstance(each, dict) for each in agent.asked)


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
def test_it_ends_from_every_screen(key: str) -> None:
    """By one key, whatever is open; Ctrl-C also where letters are typed."""

    async def look(pilot: Pilot[int]) -> None:
        await pilot.press(*(["slash"] if key == "ctrl+c" else ["enter", "question_mark"]), key)
        await pilot.pause()
        assert pilot.app.return_value == 0

    play(look)


@pytest.mark.parametrize("width", [40, 80])
def test_all_keys_are_in_the_footer(width: int) -> None:
    """In one line where there are 80 columns, in three where there are half as many."""
    for keys in SCREENS.values():
        lines = line_of(keys, width).plain.split("\n")
        assert len(lines) <= (1 if width == 80 else 3)
        assert all(len(line) <= width for line in lines)
        assert all(f"{key.shown} {key.word}" in "\n".join(lines) for key in keys)


@pytest.mark.parametrize("size", [(80, 24), (20, 6), (1, 1), (300, 100)])
def test_any_size_of_terminal_will_do(size: tuple[int, int]) -> None:
    """Nothing fails where there is hardly any room, on whatever screen."""
    agent = CannedAgent()
    agent.answers["capture"] = capture()

    async def look(pilot: Pilot[int]) -> None:
        for keys in (["enter"], ["enter"], ["escape", "escape", "tab", "enter"], ["escape", "c"], ["escape", "k"]):
            await pilot.press(*keys)
        await pilot.resize_terminal(50, 20)
        await pilot.press("escape", "question_mark", "escape")
        assert "WORKER" in seen(pilot)

    play(look, size, agent)
