"""A command on a pseudo terminal, what somebody sees on it, and how it is left behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from typing import TYPE_CHECKING

import pyte

from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Terminal", "at_terminal"]


class Terminal:
    """What a command has drawn, and the keys that are pressed."""

    def __init__(
        self, process: subprocess.Popen[bytes], master: int, slave: int, columns: int, lines: int
    ) -> None:
        self.process = process
        self.written = b""
        """All that was ever written to it."""
        self._master, self._slave = master, slave
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._before = termios.tcgetattr(slave)

    def shown(self) -> str:
        """Its lines as they are now."""
        with contextlib.suppress(OSError):
            while select.select([self._master], [], [], 0)[0]:
                piece = os.read(self._master, 1 << 16)
                if not piece:
                    break
                self.written += piece
                # What pyte does not know: a private form of SM that has no letter of its own there.
                self._stream.feed(piece.replace(b"\x1b[>1u", b"").replace(b"\x1b[<u", b""))
        return "\n".join(self._screen.display)

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._master, keys.encode())

    def wait(self, text: str, seconds: float = 30.0) -> str:
        """The screen, once it has this text."""

        def look() -> str | None:
            shown = self.shown()
            return shown if text in shown else None

        try:
            return wait_for(f"`{text}` on the terminal", look, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; it shows:\n{self.shown()}") from None

    def resize(self, columns: int, lines: int) -> None:
        """As a window that is made larger or smaller."""
        _set_size(self._master, columns, lines)
        self._screen.resize(lines, columns)

    def ended(self, seconds: float = 30.0) -> int:
        """Its exit code; what it writes meanwhile is read."""

        def look() -> bool:
            self.shown()
            return self.process.poll() is not None

        wait_for("the command to end", look, seconds)
        time.sleep(0)
        self.shown()
        return int(self.process.returncode)

    def is_restored(self) -> bool:
        """Whether keys are echoed again, the cursor is there, and the first page of the terminal."""
        self.shown()
        last = {
            name: max(self.written.rfind(name + sign) for sign in (b"h", b"l")) for name in (ALTERNATE, CURSOR)
        }
        ends = {name: self.written[at + len(name) : at + len(name) + 1] for name, at in last.items() if at >= 0}
        is_drawn = ends.get(ALTERNATE, b"l") == b"l" and ends.get(CURSOR, b"h") == b"h"
        return is_drawn and termios.tcgetattr(self._slave) == self._before


ALTERNATE, CURSOR = b"\x1b[?1049", b"\x1b[?25"


@contextlib.contextmanager
def at_terminal(
    command: Sequence[str], environment: Mapping[str, str], columns: int = 80, lines: int = 24
) -> Iterator[Terminal]:
    """Run it in a session of its own, with the terminal as its own; it is killed at the end."""
    master, slave = pty.openpty()
    _set_size(master, columns, lines)
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env=dict(environment), start_new_session=True
    )
    try:
        yield Terminal(process, master, slave, columns, lines)
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(slave)


def _set_size(descriptor: int, columns: int, lines: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
