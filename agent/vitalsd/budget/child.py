"""
Starts the command and waits for its end: streams, descriptors, group and terminal are ours, so nothing is copied.

The signals that end a program are blocked here and taken one by one, since only so it is known who has sent each:
what a terminal sends, it has sent to the command as well, and what somebody sent to us alone is handed on. So
threads are to be started after the command, and have them blocked too.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping

__all__ = ["CANNOT_EXECUTE", "NOT_FOUND", "Child", "CommandError"]

CANNOT_EXECUTE, NOT_FOUND = 126, 127
"""As shells have it."""
BY_SIGNAL = 128
HANDED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
WAITED_FOR = (*HANDED_ON, signal.SIGCHLD)
AS_EXPECTED = (signal.SIGPIPE, signal.SIGXFSZ)
"""Python ignores them, and a program expects that they end it."""
LOOK_SECONDS = 1.0
"""For the end of a command whose signal another thread has taken."""


class CommandError(Exception):
    """The command cannot be started: a sentence, and the exit code that shells have for it."""

    def __init__(self, sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


class Child:
    """The command while it runs."""

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, as some start us, it would take the exit code
        before = signal.pthread_sigmask(signal.SIG_BLOCK, WAITED_FOR)
        try:
            self.pid = os.posix_spawnp(
                command[0], command, environment, setsigmask=before - {signal.SIGCHLD}, setsigdef=AS_EXPECTED
            )
        except FileNotFoundError:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            raise CommandError(f"The command {command[0]} cannot be found.", NOT_FOUND) from None
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            sentence = f"The command {command[0]} cannot be executed: {error.strerror}."
            raise CommandError(sentence, CANNOT_EXECUTE) from error

    def wait(self) -> int:
        """The exit code when it has ended; 128 and more where a signal has ended it."""
        while True:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else BY_SIGNAL - code
            came = signal.sigtimedwait(WAITED_FOR, LOOK_SECONDS)
            if came is not None and came.si_signo in HANDED_ON:
                self._hand_on(came)

    def _hand_on(self, came: signal.struct_siginfo) -> None:
        from_kernel = came.si_code > 0
        with contextlib.suppress(OSError):
            if not (from_kernel and os.getpgid(self.pid) == os.getpgrp()):
                os.kill(self.pid, came.si_signo)
