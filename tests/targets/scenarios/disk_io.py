"""A callback that writes a file and waits until it is on the disk."""

import os
import tempfile
import time

from scenery import play

folder = os.environ.get("SCENARIO_FOLDER") or tempfile.mkdtemp()
block = os.urandom(4096)


def write_report(seconds):
    began = time.monotonic()
    with open(os.path.join(folder, "report"), "wb", buffering=0) as file:
        while time.monotonic() < began + seconds:
            file.write(block)
            os.fsync(file.fileno())


play(write_report, "disk_io", "write_report")
