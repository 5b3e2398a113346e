"""Control groups in a temporary folder, and a /proc with one process that says which it is in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from support.proctree import ProcTree

PID = 10


class Groups:
    """One hierarchy below `top`, and the process."""

    def __init__(self, tree: ProcTree, top: Path) -> None:
        self.tree, self.top = tree, top
        tree.add(PID)

    def joins(self, text: str, pid: int = PID) -> None:
        """What the process says of its groups."""
        (self.tree.root / str(pid) / "cgroup").write_text(text)

    def mounts(self, who: str, *lines: tuple[str, object, str, str]) -> None:
        """What is mounted where, as this process sees it: root, point, kind and options."""
        rows = [
            f"{30 + n} 23 0:28 {line[0]} {line[1]} rw - {line[2]} {line[2]} {line[3]}"
            for n, line in enumerate(lines)
        ]
        text = "22 1 8:1 / / rw - ext4 /dev/sda rw\n" + "\n".join(rows) + "\n"
        (self.tree.root / who / "mountinfo").write_text(text)

    def group(self, name: str | Path, **files: object) -> Path:
        """Make a group, or change its files: `cpu_stat` is `cpu.stat`, `memory_swap__max` is `memory.swap.max`."""
        folder = self.top / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            (folder / dotted(file)).write_text(f"{content}\n")
        return folder


def dotted(name: str) -> str:
    """The file that a keyword means: the first `_` is the dot behind the controller, and so is each `__`."""
    return name.replace("__", ".").replace("_", ".", 1)
