"""What `make audit` makes of pip-audit's answers: nothing that was not asked about is called safe."""

import importlib.machinery
import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "audit"
SAFE = {"name": "msgspec", "version": "0.21.1", "vulns": []}
UNKNOWN = {
    "name": "psutil",
    "skip_reason": "Dependency not found on PyPI and could not be audited: psutil (7.0.0)",
}
FOUND = {
    "name": "jinja2",
    "version": "2.11.0",
    "vulns": [{"id": "PYSEC-2021-66", "fix_versions": ["2.11.3"]}, {"id": "PYSEC-2024-1", "fix_versions": []}],
}


@pytest.fixture(scope="module")
def audit():
    """The script as a module."""
    loader = importlib.machinery.SourceFileLoader("audit", str(SCRIPT))
    spec = importlib.util.spec_from_loader("audit", loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("dependencies", "code", "words"),
    [
        ([SAFE], 0, "Of 1 locked dependencies no vulnerability is known."),
        ([SAFE, UNKNOWN], 3, "1 of 2 could not be asked about"),
        ([SAFE, UNKNOWN, FOUND], 1, "jinja2 2.11.0: PYSEC-2021-66, mended in 2.11.3"),
        ([FOUND], 1, "PYSEC-2024-1, mended in no version yet"),
        ([], 3, "Nobody could be asked: no network"),
    ],
)
def test_verdict(audit, dependencies, code, words):
    """What is known comes before what could not be asked, and that before silence."""
    found, told = audit.verdict(dependencies, "Traceback\nno network")
    assert found == code
    assert words in told


def test_an_auditor_that_fails_is_no_answer(audit):
    """Whatever it prints that is no document of its own."""
    dependencies, complaint = audit.ask(["sh", "-c", "echo no network >&2; exit 1"], "msgspec==0.21.1\n")
    assert (dependencies, complaint) == ([], "no network")
