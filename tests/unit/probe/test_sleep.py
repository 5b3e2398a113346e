"""The probe's thread sleeps by itself: what gevent puts in place of `time.sleep` would switch greenlets there."""

import subprocess
import sys

PATCHED_BETWEEN = """
import time
real = time.sleep
from vitalsd.probe.python import lifecycle
time.sleep = None
from vitalsd.probe.python import active, counts, segment
assert counts.sleep is segment.sleep is real
"""


def test_it_is_taken_before_anybody_replaces_it():
    """With the other primitives, at arming: the rest is imported when the process is a second old."""
    subprocess.run([sys.executable, "-c", PATCHED_BETWEEN], check=True)
