"""What an agent does not pay for once it has started: pages of code, and collections of what stays anyway."""

import subprocess
import sys

from vitalsd.thrift import file_mappings

SMAPS = """\
55d0c0000000-55d0c0001000 r--p 00000000 fe:00 11                     /usr/bin/python3
Anonymous:             0 kB
55d0c0001000-55d0c0003000 r-xp 00001000 fe:00 11                     /usr/bin/python3
Size:                  8 kB
Private_Dirty:         0 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me sd
55d0c0003000-55d0c0004000 rwxp 00001000 fe:00 11                     /usr/bin/python3
Anonymous:             0 kB
7f0000000000-7f0000004000 r-xp 00001000 fe:00 12                     /usr/lib/debug ged.so
Private_Dirty:         4 kB
Anonymous:             4 kB
7f0000010000-7f0000014000 r-xp 00000000 00:00 0
Anonymous:             0 kB
7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                      [vdso]
Anonymous:             0 kB
7f0000020000-7f0000024000 r-xs 00000000 00:01 99                     /dev/shm/shared
Anonymous:             0 kB
"""
PROGRAM = """
import ssl, sqlite3, re
from pathlib import Path
from vitalsd.thrift import give_back

def of_files():
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssFile"))
    return int(line.split()[1])

before = of_files()
given, after = give_back(), of_files()
assert sqlite3.connect(":memory:").execute("select 6 * 7").fetchone() == (42,)
ssl.create_default_context()
print(given > 3, after < 0.8 * before)
"""


def test_which_mappings():
    """What is mapped of a file, privately, that nobody may write to and nobody has, and nothing else."""
    first = 0x55D0C0000000
    assert file_mappings(SMAPS.splitlines()) == [(first, first + 0x1000), (first + 0x1000, first + 0x3000)]


def test_a_process_goes_on():
    """What is taken away comes back where it is run: the libraries work, and the process is smaller meanwhile."""
    answer = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (answer.stdout, answer.stderr) == ("True True\n", "")


KEEPS = """
import gc, weakref
from vitalsd.thrift import settle_objects

class Node:
    pass

def ring():
    one, other = Node(), Node()
    one.other, other.other = other, one
    return weakref.ref(one)

before = ring()
settle_objects()
after = ring()
seen = len(gc.get_objects())
gc.collect()
print(before() is None, after() is None, gc.get_freeze_count() > 5000, seen < 1000)
"""


def test_what_stays_is_looked_through_no_more():
    """What is there by then is left out of collections; garbage is not kept, of before or of later."""
    answer = subprocess.run([sys.executable, "-c", KEEPS], capture_output=True, text=True, check=False)
    assert (answer.stdout, answer.stderr) == ("True True True True\n", "")
