"""Where tests put their files: in memory, as services put their segments."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator


settings.register_profile(
    "beside_others", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("beside_others")
"""Other tests have the processors, too: how long an example takes tells nothing."""
LONGEST = {"test_growth.py", "test_node_growth.py"}
"""Files that take minutes: what begins with them ends with nobody waiting for one of them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, all else as it was; `--no-loadscope-reorder` keeps it so."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


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
