"""
`monitor.py PID`: a monitor as many write for themselves: what psutil tells of each child of PID, every 2 s.

Its CPU, memory, descriptors and threads, kept as the latest of each and sent nowhere.
"""

import sys
import time

import psutil

EVERY_SECONDS = 2.0


def read(worker):
    """What is wanted of one."""
    with worker.oneshot():
        return sum(worker.cpu_times()[:2]), worker.memory_info().rss, worker.num_fds(), worker.num_threads()


def main(pid):
    """Look again and again."""
    supervisor, latest, due = psutil.Process(pid), {}, time.monotonic()
    while True:
        latest = {worker.pid: read(worker) for worker in supervisor.children()}
        print(len(latest), flush=True)
        due = max(due + EVERY_SECONDS, time.monotonic())
        time.sleep(due - time.monotonic())


if __name__ == "__main__":
    main(int(sys.argv[1]))
