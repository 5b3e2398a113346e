"""Others want the same processor: six busy processes pinned to the one that this service has."""

import os
import signal
import time

from scenery import play

os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
others = []


def rival():
    while True:
        pass


def compete(seconds):
    for _ in range(6):
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            try:
                rival()
            finally:
                os._exit(0)
        others.append(pid)
    began = time.monotonic()
    total = 0
    try:
        while time.monotonic() < began + seconds:
            for number in range(2000):
                total += number
    finally:
        while others:
            pid = others.pop()
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return began, time.monotonic()


play(compete, "cpu_contention", None)
