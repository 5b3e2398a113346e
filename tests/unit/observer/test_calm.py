"""From the live words of a process to when the first of its loops can be late."""

import math

from hypothesis import given
from hypothesis import strategies as st

from vitalsd.probe.python import layout
from vitalsd.segment.reader import LIVE
from vitalsd.sources.observer.inside import NOTED_SECONDS
from vitalsd.sources.observer.probed import _calm_until

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
    assert _calm_until(read(loops)) == min((at for at in told if at > 0), default=math.inf) + NOTED_SECONDS
