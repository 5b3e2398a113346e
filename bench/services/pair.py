"""`pair.py NAME`: a parent and a worker that it has forked, both at rest."""

import os
import signal
import sys

if os.fork():
    print("ready", flush=True)
signal.pause()
sys.exit(1)
