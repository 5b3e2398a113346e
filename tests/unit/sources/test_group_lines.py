"""A group is called as whoever made it likes; only a line feed ends what the kernel tells of one."""

import pytest

from vitalsd.sources.cgroup.cpu import find_cpu_group

SEPARATORS = ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"]
"""What `str.splitlines` takes for the end of a line, and a name of a folder may hold."""


@pytest.mark.parametrize("separator", SEPARATORS, ids=ascii)
def test_a_name_that_forges_a_group(tmp_path, separator):
    """The accounts of another group are not taken for those of a process whose group has a name that looks so."""
    named = f"mine{separator}1:cpu:/victim"
    for group in ("victim", named):
        (tmp_path / "group" / group).mkdir(parents=True)
        (tmp_path / "group" / group / "cpu.stat").write_text("nr_periods 1\nnr_throttled 1\nthrottled_usec 1\n")
    process = tmp_path / "proc" / "7"
    process.mkdir(parents=True)
    (tmp_path / "proc" / "self").mkdir()
    mounts = (
        f"31 23 0:27 / {tmp_path}/group rw - cgroup2 cgroup2 rw\n32 23 0:28 / {tmp_path}/group rw - cgroup c cpu\n"
    )
    (tmp_path / "proc" / "self" / "mountinfo").write_text(mounts)
    (process / "cgroup").write_text(f"0::/{named}\n", newline="")

    found = find_cpu_group(tmp_path / "proc", 7)

    assert found is not None
    assert found.folders[0] == f"{tmp_path}/group/{named}"
