"""Stacks that several tests look at."""

from __future__ import annotations

import pytest
from unit.detect.evidence import called

from vitalsd.model import Stack


@pytest.fixture
def parse_catalogue() -> tuple[Stack, ...]:
    """Five looks at one callback that computes."""
    own = "tokenise /srv/catalogue.py:{}\nparse_catalogue /srv/catalogue.py:40\nrefresh /srv/app.py:20"
    return (called(own.format(7), 3), called(own.format(9), 2))


@pytest.fixture
def ask_database() -> tuple[Stack, ...]:
    """Five looks at one callback that waits in C."""
    return (called("ask_database /srv/db.py:12\npage /srv/app.py:30", 5),)
