"""`orphans.py N`: N children that end at once and that nobody fetches, until a line comes on standard input."""

import os
import sys

for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        os.execvp("true", ["true"])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[1])):
    os.wait()
print("fetched", flush=True)
sys.stdin.readline()
