"""How a source is run: whatever it raises stays its own, and the others are still read."""

import pytest
from structlog.testing import capture_logs

from vitalsd.model import WorkerKey
from vitalsd.sources import registry
from vitalsd.sources.probe import ProbeSource
from vitalsd.sources.proc import ProcSource
from vitalsd.sources.registry import NoData, Worker, execute, make_sources, register

WORKER = Worker("shop", WorkerKey(10, 1000), None)


class Source:
    """Answers or raises what a test says."""

    name = "any"
    fills = "anything"

    def __init__(self, answer):
        self._answer = answer

    def read(self, _worker, missing):
        """Read one worker."""
        missing["field"] = "told"
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer


def run(answer, missing=None):
    """Execute a source: (value, problem, log events)."""
    with capture_logs() as logs:
        outcome = execute(Source(answer), WORKER, {} if missing is None else missing)
    assert outcome.source == "any"
    assert outcome.duration_seconds >= 0
    return outcome.value, outcome.problem, logs


def test_value():
    """What the source answers, and what it tells as missing."""
    missing = {}
    assert run(42, missing) == (42, None, [])
    assert missing == {"field": "told"}


@pytest.mark.parametrize("answer", [NoData(), FileNotFoundError("x"), ProcessLookupError()])
def test_nothing_to_report(answer):
    """Nothing to say, and a worker that went while it was read, are no failures."""
    assert run(answer) == (None, None, [])


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (ValueError("seven"), "ValueError: seven"),
        (PermissionError(13, "Permission denied", "/x"), "PermissionError: [Errno 13] Permission denied: '/x'"),
        (RecursionError(), "RecursionError: "),
        (MemoryError(), "MemoryError: "),
    ],
)
def test_failure(error, problem):
    """Any other error becomes a sentence; whoever asked decides whether it is news."""
    value, told, logs = run(error)
    assert (None, problem) == (value, told)
    assert logs == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_end_of_the_agent(error):
    """Only what ends the agent itself comes through."""
    with pytest.raises(type(error)):
        run(error)


def test_register(monkeypatch):
    """A registered source is made once for each sampler, in the order of registration."""
    monkeypatch.setattr(registry, "_factories", [])

    @register
    class First(Source):
        def __init__(self):
            super().__init__(1)

    @register
    class Second(First):
        pass

    assert [type(source) for source in make_sources()] == [First, Second]
    assert make_sources()[0] is not make_sources()[0]


def test_registered():
    """Every source of this agent registers itself, under names and for fields of its own."""
    sources = make_sources()
    assert {ProbeSource, ProcSource} <= {type(source) for source in sources}
    assert len(sources) == len({source.name for source in sources}) == len({source.fills for source in sources})
