"""What the fleet is made of: recorded expositions that go on without an end, and the line to ten thousand pods."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))  # bench/ is part of the tree, not of the package

from bench.questions.fleet import FLEET, _line
from bench.replay import Recording, parse

EXPOSITIONS = [
    f"""\
# TYPE vitals_eventloop_stalls counter
vitals_eventloop_stalls_total{{target="shop",worker="0",cause="gc_pause"}} {stalls}
vitals_process_threads{{target="shop",worker="0"}} {threads}
vitals_process_start_time_seconds{{target="shop",worker="0"}} 1000.0
vitalsd_sample_timestamp_seconds{{target="shop"}} {at}
vitals_worker_heartbeat_timestamp_seconds{{target="shop",worker="0"}} {at - 0.5}
"""
    for stalls, threads, at in [(3, 8, 2000.0), (4, 9, 2015.0), (7, 8, 2030.0)]
]
STALLS, THREADS, START, SAMPLED, HEARTBEAT = parse(EXPOSITIONS[0])


def test_counters_go_on_where_the_turn_before_has_ended():
    """None ever steps back, and each grows by what it was seen to grow by; what is no counter comes again."""
    recording = Recording(EXPOSITIONS)
    told = [parse(recording.at(step, 5000.0)) for step in range(6)]
    assert [each[STALLS] for each in told] == [3, 4, 7, 8, 11, 12]
    assert [each[THREADS] for each in told] == [8, 9, 8, 9, 8, 9]


def test_a_fault_goes_on_where_the_calm_has_come_to():
    """Its counters begin no lower than those of any pod that was well."""
    calm, faulty = Recording(EXPOSITIONS), Recording(EXPOSITIONS)
    faulty.base = calm.grown_by(5)
    assert parse(faulty.at(0, 5000.0))[STALLS] >= parse(calm.at(5, 5000.0))[STALLS]
    assert parse(faulty.at(0, 5000.0))[THREADS] == 8


def test_signs_of_life_are_of_now():
    """As old as they were when they were recorded, and when a process began stays."""
    told = parse(Recording(EXPOSITIONS).at(3, 9000.0))
    assert (told[SAMPLED], told[HEARTBEAT], told[START]) == (9000.0, 8999.5, 1000.0)


def test_what_was_not_measured_lies_on_the_line_through_what_was():
    """Whatever it is that grows, in proportion or with something that is there anyway."""
    assert _line([(100, 250.0), (300, 650.0), (1000, 2050.0)]) == pytest.approx(50.0 + 2 * FLEET)
