"""A healthy control: a slow start and big imports before the loop runs, as most services have."""

import time

end = time.monotonic() + 1.5
while time.monotonic() < end:
    pass

import concurrent.futures.process  # noqa: E402, F401
import http.server  # noqa: E402, F401
import unittest.mock  # noqa: E402, F401
import xml.dom.minidom  # noqa: E402, F401

from scenery import play  # noqa: E402


def nothing(_seconds):
    pass


play(nothing)
