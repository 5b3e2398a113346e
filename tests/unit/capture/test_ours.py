"""The probe's own thread in a profile: named as what it is, and no time of the service's."""

from vitalsd.capture.ours import OUR_THREAD
from vitalsd.capture.profiles.folded import parse
from vitalsd.capture.profiles.top import top_functions

PROBE = "/opt/vitalsd/vitalsd_probe-0.1.0-0a1b2c3d/vitalsd_probe"
PROFILE = f"""\
thread (10): MainThread;<module> (/srv/app.py:9);burn (/srv/app.py:3) 60
thread (10): MainThread;<module> (/srv/app.py:9);measured_select ({PROBE}/selectormeter.py:90) 20
thread (11): ;Active._run ({PROBE}/active.py:190);census ({PROBE}/census.py:40) 40
"""


def test_named():
    """Only a thread of which every frame is the probe's."""
    names = {stack.thread.id: stack.thread.name for stack in parse(PROFILE.encode()).named().stacks}
    assert names == {"10": "MainThread", "11": OUR_THREAD}


def test_no_time_of_the_service():
    """What the service's threads did is all there is to share."""
    rows = top_functions(parse(PROFILE.encode()).named().stacks)
    assert (rows[0]["function"], rows[0]["charged_share"]) == ("burn", 0.75)
    assert "census" not in {row["function"] for row in rows}
