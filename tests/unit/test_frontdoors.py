"""Packages whose own module is not run before somebody asks it for something."""

import subprocess
import sys

PROGRAM = """
import sys
from vitalsd.frontdoors import leave_unrun
leave_unrun("prometheus_client")
leave_unrun("there_is_no_such_package")
from prometheus_client.samples import Sample
before = "prometheus_client.exposition" in sys.modules
from prometheus_client import generate_latest, CollectorRegistry
print(before, Sample("a", {}, 1).name, generate_latest(CollectorRegistry()))
print("prometheus_client.exposition" in sys.modules)
import email
leave_unrun("email")
print(sys.modules["email"] is email)
try:
    import there_is_no_such_package
except ImportError:
    print("as ever")
import prometheus_client
try:
    prometheus_client.nothing
except AttributeError as error:
    print(error)
"""


def test_it_runs_when_it_is_asked():
    """Modules below it come without it; who asks for a name gets that of the real one, or its own error."""
    told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    assert told.splitlines() == [
        "False a b''",
        "True",
        "True",
        "as ever",
        "module 'prometheus_client' has no attribute 'nothing'",
    ]
