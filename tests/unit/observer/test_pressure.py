"""Pressure stall information of the host and of a group."""

from vitalsd.sources.pressure import Pressure, find_pressure


def test_host(tree):
    """`some total`, in seconds."""
    tree.pressure(1_500_000, 250_000)
    assert find_pressure(tree.root, None).read() == Pressure(1.5, 0.25)


def test_own_group(tree, tmp_path):
    """A group that has its own comes before the host."""
    for name, total in (("cpu", 7), ("memory", 8)):
        (tmp_path / f"{name}.pressure").write_text(f"some avg10=0.00 total={total}000000\nfull total=1\n")
    assert find_pressure(tree.root, str(tmp_path)).read() == Pressure(7.0, 8.0)
    assert find_pressure(tree.root, str(tmp_path / "none")).read() == Pressure(0.0, 0.0)


def test_not_there(tree):
    """A kernel without it tells nothing, and neither does a damaged line."""
    (tree.root / "pressure/cpu").unlink()
    (tree.root / "pressure/memory").write_text("some total=x\n")
    assert find_pressure(tree.root, None).read() == Pressure(None, None)
