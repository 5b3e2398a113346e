"""From the live words of a process to when the first of its loops can be late, and whose probe is woken for it."""

import math

from hypothesis import given
from hypothesis import strategies as st

from vitalsd.model import WorkerKey
from vitalsd.probe.python import layout
from vitalsd.segment.reader import LIVE
from vitalsd.sources.observer import probed
from vitalsd.sources.observer.calls import Calls
from vitalsd.sources.observer.inside import NOTED_SECONDS
from vitalsd.sources.observer.probed import Probed, calm_until_by
from vitalsd.sources.observer.stretch import Stretch
from vitalsd.sources.observer.watch import Setting
from vitalsd.sources.room import Descriptors

WORD = st.sampled_from([0.0, -3.5, 7.25, math.nan, math.inf]) | st.floats(-1e9, 1e9)
ONE_LOOP = st.tuples(WORD, WORD).map(lambda pair: [pair])
LOOPS = st.lists(st.tuples(WORD, WORD), max_size=layout.LOOPS)


def read(loops):
    """The bytes in which these loops have said `since` and `due`, each in its place."""
    places = [*loops, *[(0.0, 0.0)] * (layout.LOOPS - len(loops))]
    return LIVE.pack(*(since for since, _ in places), *(due for _, due in places))


@given(ONE_LOOP | LOOPS)
def test_the_first_that_may_be_late_decides(loops):
    """Of a loop at work since then, and of a timer that is due in one that waits, whichever it is of them."""
    told = [due if since < 0 else since for since, due in loops]
    assert calm_until_by(read(loops)) == min((at for at in told if at > 0), default=math.inf) + NOTED_SECONDS


def test_each_stretch_wakes_the_probe_once(monkeypatch, tmp_path):
    """Not twice a second; a stretch that was too soon after another has its call as soon as that is allowed."""
    calls = []
    monkeypatch.setattr(probed, "call", calls.append)
    setting = Setting(tmp_path, Calls(), Descriptors(9), 0.1, 0.1, lambda _event: None)
    watch = Probed(WorkerKey(7, 1), tmp_path / "python-7.seg", setting)
    first, second = Stretch(9.9), Stretch(10.5)
    for now, stretch in (
        (10.0, first),
        (10.1, first),
        (10.6, second),
        (10.9, second),
        (11.0, second),
        (11.1, second),
    ):
        watch._wake(stretch, now)
        assert len(calls) == (1 if now < 11.0 else 2)
    watch.runtime = "node"
    watch._wake(Stretch(20.0), 20.1)
    assert len(calls) == 2
