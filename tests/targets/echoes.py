"""Prints `ready PID`, echoes standard input line by line, and on SIGTERM or SIGINT says so and exits with 42."""

import os
import signal
import sys


def end(number, frame):
    os.write(1, b"ended by %d\n" % number)
    os._exit(42)


signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, end)
print("ready", os.getpid(), flush=True)
for line in sys.stdin:
    print("echo", line.strip(), flush=True)
while True:
    signal.pause()
