"""
Run by `confined` in a process of its own: takes limits upon itself, then becomes the program it was asked for.

    python -I -S enter.py PARENT NICE ADDRESS_SPACE DATA FILE_SIZE CPU_SECONDS PROGRAM ARGUMENT...

This and not code between fork and exec in the agent, which has threads. It ends when the agent ends, however that
happens, and is the first to go when memory is short. Takes 20 ms.
"""

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1


def limit(which: int, most: int) -> None:
    """Lower this limit to `most`."""
    _, hard = resource.getrlimit(which)
    lowered = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(which, (lowered, lowered))


def main(arguments: list[str]) -> None:
    """Become the program."""
    parent, nice, address_space, data, file_size, cpu_seconds = map(int, arguments[:6])
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the agent has ended")
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)  # Python ignores them, and who is executed would inherit that
    os.nice(nice)
    with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 - pathlib would take as long as all else
        file.write("1000")
    limit(resource.RLIMIT_AS, address_space)
    limit(resource.RLIMIT_DATA, data)
    limit(resource.RLIMIT_FSIZE, file_size)
    limit(resource.RLIMIT_CPU, cpu_seconds)
    limit(resource.RLIMIT_CORE, 0)
    program = arguments[6:]
    try:
        os.execv(program[0], program)  # noqa: S606 - a shell has no part in this
    except OSError as error:
        sys.exit(f"{program[0]} cannot be started: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
