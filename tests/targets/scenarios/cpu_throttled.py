"""The processor quota of the cgroup is used up: the loop is ready and may not run. $CGROUP is a folder to join."""

import os
import time

from scenery import play

with open(os.path.join(os.environ["CGROUP"], "cgroup.procs"), "w") as procs:
    procs.write(str(os.getpid()))


def price_everything(seconds):
    began = time.monotonic()
    total = 0
    while time.monotonic() < began + seconds:
        for number in range(2000):
            total += number


play(price_everything, "cpu_throttled", None)
