"""Where tests put their files: in memory, as services put their segments; and in which order tests run."""

from __future__ import annotations

import re
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from support.lanes import Lanes, come_first, turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xdist.remote import Producer


settings.register_profile(
    "beside_others", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("beside_others")
"""Other tests have the processors, too: how long an example takes tells nothing."""


def pytest_configure() -> None:
    """A shell has what it starts in the background ignore Control-C, and services would, too: tests send it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """By their turn, and else as they were."""
    items.sort(key=lambda item: turn(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Lanes:
    """Several workers share the tests by lanes."""
    return Lanes(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Who measures moments comes before all others."""
    come_first(item.nodeid)


@pytest.fixture(scope="session")
def memory() -> Iterator[Path]:
    """A folder in memory, which goes at the end."""
    with tempfile.TemporaryDirectory(prefix="vitalsd-test-", dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.fixture
def tmp_path(memory: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder of the test's own: pytest's lies on a disk, where a probe goes about its segment differently."""
    folder = Path(tempfile.mkdtemp(prefix=re.sub(r"\W+", "-", request.node.name)[:40], dir=memory))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
