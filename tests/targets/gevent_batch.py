"""Does things at once by gevent, then computes for 1.5 s and prints `ready`; it serves nobody."""

import time

import gevent


def look_up():
    gevent.sleep(0.2)


for _ in range(8):
    gevent.joinall([gevent.spawn(look_up) for _ in range(10)])
began = time.monotonic()
while time.monotonic() - began < 1.5:
    pass
print("ready", flush=True)
time.sleep(3600)
