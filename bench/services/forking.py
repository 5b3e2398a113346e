"""Has very many short-lived children: `forking.py COUNT`, half of them forks, half of them programs."""

import os
import sys

AT_ONCE = 8


def fork():
    """A copy that ends at once, without what an interpreter does at its end."""
    pid = os.fork()
    if not pid:
        os._exit(0)
    return pid


children = []
for number in range(int(sys.argv[1])):
    children.append(fork() if number % 2 else os.posix_spawn("/bin/true", ["true"], os.environ))
    if len(children) >= AT_ONCE:
        os.waitpid(children.pop(0), 0)
for child in children:
    os.waitpid(child, 0)
print("done", flush=True)
sys.stdin.read()
