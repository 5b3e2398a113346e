"""
`crashes.py COUNT SECONDS HOW [FIRST [MOST]]`: a supervisor of forked workers, each of which lives so long.

HOW is an exit code, the name of a signal that the worker sends itself, or the folder of a control group that all
of them join, and whose memory it uses up. Whoever ends is replaced at once. `ready` is printed when all are there,
and at SIGUSR1 how many have ended. With COUNT 0 the process itself ends. The first live for FIRST seconds, and
after MOST ends nobody ends any more.
"""

import os
import signal
import sys
import time


def end(how):
    if how.isdigit():
        os._exit(int(how))
    if how.startswith("/"):
        kept = []
        while True:
            kept.append(b"x" * (1 << 20))
    os.kill(os.getpid(), getattr(signal, how))
    signal.pause()


def work(seconds, how):
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    time.sleep(seconds)
    end(how)


def fork(seconds, how):
    child = os.fork()
    if child == 0:
        work(seconds, how)
    return child


def main(count, seconds, how, first=None, most="1000000"):
    ended = [0]
    if how.startswith("/"):
        with open(how + "/cgroup.procs", "w") as procs:
            procs.write(str(os.getpid()))
    signal.signal(signal.SIGUSR1, lambda *_: print("ended", ended[0], flush=True))
    if not int(count):
        print("ready", flush=True)
        work(float(seconds), how)
    for number in range(int(count)):
        # Workers of a real service begin to fail at different times.
        fork(float(first or seconds) + float(seconds) * number / int(count), how)
    print("ready", flush=True)
    while True:
        os.wait()
        ended[0] += 1
        fork(float(seconds) if ended[0] + int(count) <= int(most) else 1000.0, how)


main(*sys.argv[1:])
