"""A /proc of the tests' own, as kernels before and after 6.2 show it."""

import os
from types import SimpleNamespace

import pytest
from support.proctree import ProcTree


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """
    An empty /proc of an old kernel.

    Only there the size of an `fd` folder is zero, as it is on no file system a test could use.
    """
    made = ProcTree(tmp_path / "proc")
    made.fd_size = 0
    stat = os.stat

    def as_procfs(path, **options):
        return SimpleNamespace(st_size=made.fd_size) if str(path).endswith("/fd") else stat(path, **options)

    monkeypatch.setattr(os, "stat", as_procfs)
    return made
