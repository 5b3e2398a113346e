"""Tasks by coroutine: how many of each wait, and where."""

import asyncio
import sys
from pathlib import Path

import pytest

from vitalsd.probe.python import tasklist
from vitalsd.probe.python.protocol import Refused
from vitalsd.probe.python.tasklist import tasks


async def outer(event):
    """Wait by way of another coroutine and of asyncio's own."""
    await inner(event)


async def inner(event):
    """Wait."""
    await asyncio.wait_for(event.wait(), 60)  # here


SOURCE = Path(__file__).read_text().splitlines()
OUTER = SOURCE.index("async def outer(event):") + 1
HERE = next(n for n, line in enumerate(SOURCE, 1) if line.endswith("# here"))


def listed(running=list):
    """The head, and the rows by coroutine."""
    job = tasks(running)
    while True:
        try:
            next(job)
        except StopIteration as over:
            text = over.value.decode()
            break
    head, *rows = text.split("\n")
    return head, {row.split("\t")[1]: row.split("\t") for row in rows}


def while_running(starting):
    """What is listed while these coroutines wait."""

    async def main():
        running = [asyncio.create_task(coroutine) for coroutine in starting()]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        found = listed(lambda: [asyncio.get_running_loop()])
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        return found

    return asyncio.run(main())


def test_by_coroutine():
    """How many there are, where they are written, and the service's own line at which they wait."""
    head, rows = while_running(lambda: [outer(asyncio.Event()) for _ in range(250)])
    assert rows["outer"] == ["250", "outer", __file__, str(OUTER), "inner", __file__, str(HERE)]
    assert rows["while_running.<locals>.main"][0] == "1"
    total = sum(int(row[0]) for row in rows.values())
    assert head == f"tasks={total}\tuntold=0"


def test_done_tasks_do_not_count():
    """Neither those that are done nor those that are gone."""
    _, rows = while_running(lambda: [asyncio.sleep(0), outer(asyncio.Event())])
    assert {"outer", "while_running.<locals>.main"} <= set(rows)
    assert "sleep" not in rows


@pytest.mark.parametrize("kinds", [3, 7])
def test_many_kinds(monkeypatch, kinds):
    """Beyond what is told they are counted."""
    monkeypatch.setattr(tasklist, "MOST_KINDS", 5)
    monkeypatch.setattr(tasklist, "MOST_ROWS", 4)

    def starting():
        for number in range(kinds):
            code = f"async def kind{number}(event):\n    await event.wait()"
            made = {}
            exec(code, made)
            yield made[f"kind{number}"](asyncio.Event())

    head, rows = while_running(starting)
    total, untold = (int(pair.split("=")[1]) for pair in head.split("\t"))
    assert total >= kinds + 1
    assert len(rows) == min(4, total)
    assert untold == total - len(rows)


def test_what_is_no_coroutine_of_the_interpreters():
    """An awaitable of a service's own is told by its type: its attributes would be its code."""

    class Odd:
        def __getattr__(self, name):
            raise AssertionError(name)

    assert tasklist._place(Odd()) == (f"{__name__}.{Odd.__qualname__}", "", 0)
    assert tasklist._where_it_waits(Odd()) == ("", "", 0)


def test_without_asyncio(monkeypatch):
    """A process without it has none."""
    monkeypatch.delitem(sys.modules, "asyncio.tasks")
    assert listed() == ("tasks=0\tuntold=0", {})


def test_without_the_global_lock(monkeypatch):
    """It is not tried."""
    monkeypatch.setattr(tasklist, "GIL", False)
    with pytest.raises(Refused, match="global lock"):
        listed()
