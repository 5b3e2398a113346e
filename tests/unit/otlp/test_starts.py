"""Since when a counter counts: of a process, of nobody knows what, after a fall and over a clock that is set."""

from vitalsd_exporters.otlp.starts import Starts

BORN = 1000.0
AHEAD = 900.0


def told(starts, now, *values, ahead=AHEAD):
    """One export of `(value, born)` each; where each begins."""
    starts.begin(now, now - ahead)
    return [starts.of(number, value, born) for number, (value, born) in enumerate(values)]


def test_a_counter_begins_with_its_process():
    """From the first export on, and after the agent was started again."""
    assert told(Starts(), 1060.0, (5, BORN)) == [BORN]
    starts = Starts()
    assert [told(starts, at, (value, BORN)) for at, value in ((1060.0, 5), (1120.0, 5), (1180.0, 9))] == 3 * [
        [BORN]
    ]


def test_what_began_at_nobody_knows_when_begins_where_it_was_first_told():
    """As the protocol has it: its first point says nothing but where it stands."""
    starts = Starts()
    assert told(starts, 1060.0, (500, None)) == [1060.0]
    assert told(starts, 1120.0, (510, None)) == [1060.0]


def test_a_successor_begins_anew():
    """Though it may have counted more than the one before, and never before that one was last told."""
    starts = Starts()
    told(starts, 1060.0, (5, BORN), (5, BORN))
    assert told(starts, 1120.0, (50, 1100.0), (50, 1050.0)) == [1100.0, 1060.0]
    assert told(starts, 1180.0, (51, 1100.0), (51, 1050.0)) == [1100.0, 1060.0]


def test_what_falls_has_begun_anew_after_it_was_last_told():
    """Without a new process: another way of measuring, or a group's counter."""
    starts = Starts()
    told(starts, 1060.0, (50, BORN), (50, None))
    assert told(starts, 1120.0, (5, BORN), (5, None)) == [1060.0, 1060.0]
    assert told(starts, 1180.0, (6, BORN), (6, None)) == [1060.0, 1060.0]


def test_a_clock_that_is_set_begins_nothing_anew():
    """Everybody is told to have begun an hour later, and is the same; nothing begins after it was told."""
    starts = Starts()
    told(starts, 1060.0, (5, BORN))
    assert told(starts, 4720.0, (6, BORN + 3600), ahead=AHEAD + 3600) == [BORN]
    back = told(starts, 1150.0, (7, BORN), ahead=AHEAD)
    assert back == [BORN]
    assert told(starts, 1210.0, (70, 1200.0), ahead=AHEAD) == [1200.0]


def test_a_process_is_the_same_by_a_second_or_so():
    """The kernel tells when it was booted by whole seconds."""
    starts = Starts()
    told(starts, 1060.0, (5, BORN))
    assert told(starts, 1120.0, (6, BORN + 1)) == [BORN]


def test_nothing_is_kept_of_what_is_gone():
    """Series come and go for as long as an agent runs."""
    starts = Starts()
    told(starts, 1060.0, *((1, None) for _ in range(100)))
    told(starts, 1120.0, (1, None))
    told(starts, 1180.0, (1, None))
    assert len(starts._known) == 1
