"""
Does with memory what it is told, line by line, and answers `done`:

`join FOLDER` enters a control group; `take N` keeps N MiB; `fill FILE` writes 40 MiB and reads them again and
again, so that their pages stay; `share` forks a child that has nothing of its own, and tells its pid; `burst N`
forks a child that takes N MiB and is the first to be killed, and tells how it ended.
"""

import mmap
import os
import sys

PAGE = 4096
kept = []


def take(mebibytes):
    area = mmap.mmap(-1, mebibytes << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(area, "madvise"):
        area.madvise(15)  # MADV_NOHUGEPAGE: as much as was asked for, not more
    for place in range(0, len(area), PAGE):
        area[place] = 1
    kept.append(area)


def join(folder):
    with open(folder + "/cgroup.procs", "w") as procs:
        procs.write(str(os.getpid()))


def fill(path):
    with open(path, "wb") as file:
        file.write(os.urandom(40 << 20))
        file.flush()
        os.fsync(file.fileno())
    for _ in range(4):
        with open(path, "rb", buffering=0) as file:
            while file.read(1 << 20):
                pass


def share():
    child = os.fork()
    if child == 0:
        sys.stdin.close()
        import signal

        signal.pause()
    return child


def burst(mebibytes):
    child = os.fork()
    if child == 0:
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write("1000")
        take(mebibytes)
        os._exit(0)
    return os.waitpid(child, 0)[1]


print("ready", flush=True)
for line in iter(sys.stdin.readline, ""):
    what, _, value = line.strip().partition(" ")
    if what == "join":
        answer = join(value)
    elif what == "take":
        answer = take(int(value))
    elif what == "fill":
        answer = fill(value)
    elif what == "share":
        answer = share()
    else:
        answer = burst(int(value))
    print("done", answer, flush=True)
