"""Threads by name: which belong together, and how many are looked at."""

from __future__ import annotations

import pytest

from vitalsd.sources.threadnames import UNSEEN, thread_group, thread_names


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("ThreadPoolExecutor-3_7", "ThreadPoolExecutor-3"),
        ("ThreadPoolExecu", "ThreadPoolExecu"),
        ("Thread-12", "Thread"),
        ("Thread-12 (worker)", "Thread (worker)"),
        ("Thread-12 (work", "Thread (work"),
        ("asyncio_0", "asyncio"),
        ("grpc-worker #12", "grpc-worker"),
        ("MainThread", "MainThread"),
        ("libuv-worker", "libuv-worker"),
        ("worker42", "worker"),
        ("python3.12", "python3.12"),
        ("42", "42"),
        ("", ""),
    ],
)
def test_group(name, group):
    """The number that tells one from the other is left out, and a pool keeps its own."""
    assert thread_group(name) == group


@pytest.fixture
def threads(tree):
    """Return a function that gives the one process threads of these names."""

    def start(names):
        tree.add(10)
        for number, name in enumerate(names):
            folder = tree.root / f"10/task/{10 + number}"
            folder.mkdir(parents=True)
            (folder / "comm").write_text(f"{name}\n")

    return start


def test_names(tree, threads):
    """All threads by group, most first."""
    threads(["python", *(f"asyncio_{number}" for number in range(5))])
    assert list(thread_names(tree.root, 10).items()) == [("asyncio", 5), ("python", 1)]


def test_too_many(tree, threads):
    """Of very many, evenly spread ones are looked at, and the rest is told as such."""
    threads([f"pool-{number}" for number in range(40)])
    assert thread_names(tree.root, 10, limit=8) == {UNSEEN: 32, "pool": 8}


def test_more_than_are_listed(tree, threads, monkeypatch):
    """The list ends somewhere; how many there are is known all the same."""
    monkeypatch.setattr("vitalsd.sources.threadnames.MOST_LISTED", 10)
    threads([f"pool-{number}" for number in range(40)])
    if (tree.root / "10/task").stat().st_nlink != 42:
        pytest.skip("this file system does not count folders as procfs does")
    assert thread_names(tree.root, 10) == {UNSEEN: 30, "pool": 10}


def test_ended_meanwhile(tree, threads):
    """A thread that ends between the list and the look is not told, nor is one of a process that is gone."""
    threads(["python", "pool-1"])
    (tree.root / "10/task/11/comm").unlink()
    assert thread_names(tree.root, 10) == {"python": 1}
    assert thread_names(tree.root, 11) == {}
