"""Asks a service for each path in turn, `PATH*N` so often: `load.py PORT PATH...`."""

import sys
import time
import urllib.request

base = "http://127.0.0.1:" + sys.argv[1]
until = time.monotonic() + 30
while True:
    try:
        urllib.request.urlopen(base + "/", timeout=5)
        break
    except OSError:
        if time.monotonic() > until:
            raise
        time.sleep(0.05)
for asked in sys.argv[2:]:
    path, _, count = asked.partition("*")
    for _ in range(int(count or 1)):
        urllib.request.urlopen(base + path, timeout=20).read()
        time.sleep(0.05)
