"""Which agent is asked by who names none."""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from vitalsd.cli.client import NoAgentError
from vitalsd.cli.nearby import nearby
from vitalsd.settings.model import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def agents(folder: Path, count: int, metrics: str = "0.0.0.0:9999") -> Iterator[list[int]]:
    """So many that listen, as their files say; and one that does no more."""
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count + 1)]
        ports = [each.getsockname()[1] for each in taken]
        taken[-1].close()
        for port in ports:
            (folder / f"control-{port}.token").write_text("token")
            (folder / f"control-{port}.listen").write_text(metrics)
        yield ports[:-1]


def asked(folder: Path, **control: str) -> Settings:
    """The settings of who names no agent, or one."""
    settings = Settings()
    exporters = settings.exporters
    return replace(
        settings,
        storage=replace(settings.storage, dir=str(folder)),
        exporters=replace(exporters, control=replace(exporters.control, **control)),
    )


def test_the_only_one_that_runs_is_meant(tmp_path: Path) -> None:
    """With where it serves metrics, by which what it has stored is called."""
    with agents(tmp_path, 1) as (port,):
        found = nearby(asked(tmp_path)).exporters
    assert (found.control.listen, found.prometheus.listen) == (f"127.0.0.1:{port}", "0.0.0.0:9999")


def test_of_several_one_has_to_be_named(tmp_path: Path) -> None:
    """And the sentence has what to write."""
    with agents(tmp_path, 2) as ports, pytest.raises(NoAgentError) as error:
        nearby(asked(tmp_path))
    assert all(f"--control-listen 127.0.0.1:{port} --listen 0.0.0.0:9999" in str(error.value) for port in ports)


def test_who_names_one_means_that(tmp_path: Path) -> None:
    """By its address or by its token."""
    with agents(tmp_path, 1):
        for named in ({"listen": "127.0.0.1:1"}, {"token_file": str(tmp_path / "token")}):
            settings = asked(tmp_path, **named)
            assert nearby(settings) is settings


def test_nobody_runs(tmp_path: Path) -> None:
    """Then the usual one is asked, which says that it is not there."""
    (tmp_path / "control-1.token").write_text("token")
    for folder in (tmp_path, tmp_path / "missing"):
        settings = asked(folder)
        assert nearby(settings) is settings
