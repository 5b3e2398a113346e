"""Every Python that the machine has, for tests of the probe."""

from __future__ import annotations

import functools

import pytest
from support.probed import PYTHONS, find_python

cached_python = functools.lru_cache(find_python)


@pytest.fixture(params=PYTHONS)
def any_python(request: pytest.FixtureRequest) -> str:
    """An interpreter of each version that the probe supports; those the machine lacks are skipped."""
    found = cached_python(request.param)
    if found is None:
        pytest.skip(f"there is no Python {request.param} on PATH or in pyenv")
    return found
