"""Which of the open incidents alerts quote, and that a service cannot make up labels without end."""

from msgspec.structs import replace
from support.views import BLOCKING, OVER

from vitalsd.model import Frame
from vitalsd_exporters.prometheus.leads import HOUR, MOST_LETTERS, MOST_NAMES, Leads
from vitalsd_exporters.prometheus.series import samples_of


def told(leads, *incidents, targets=("shop",)):
    """The labels of each row."""
    return [sample.labels for sample in samples_of(row for _, row in leads.rows(incidents, targets))]


def of(function, **changes):
    """The incident with another culprit."""
    return replace(BLOCKING, culprit=Frame(function, "/srv/shop/orders.py", 41), **changes)


def test_the_one_that_was_found_most_often_is_told_whole():
    """It is one series for each kind and severity, which other incidents of them do not change."""
    seldom = of("elsewhere", id="another", worker="1", count=3)
    lesser = of("lesser", id="third", severity="warning", cause=None)

    assert told(Leads(), seldom, BLOCKING, lesser) == [
        {
            "target": "shop",
            "kind": "stall",
            "severity": "critical",
            "worker": "0",
            "cause": "blocking_cpu",
            "culprit": "parse (orders.py:41)",
        },
        {
            "target": "shop",
            "kind": "stall",
            "severity": "warning",
            "worker": "0",
            "cause": "",
            "culprit": "lesser (orders.py:41)",
        },
    ]
    assert told(Leads(), replace(BLOCKING, culprit=None))[0]["culprit"] == ""


def test_what_is_over_or_of_nobody_is_not_told():
    """A series ends with its incident, or with its target."""
    assert told(Leads(), OVER, targets=("legacy",)) == []
    assert told(Leads(), BLOCKING, targets=("legacy",)) == []


def test_a_service_that_makes_up_functions_has_so_many_of_them_an_hour():
    """Those that are known go on to be told; when they have not been for an hour there is room for others."""
    now = 0.0
    leads = Leads(clock=lambda: now)
    names = {told(leads, of(f"made_up_{number}"))[0]["culprit"] for number in range(10 * MOST_NAMES)}
    assert len(names - {""}) == MOST_NAMES
    now = HOUR / 2
    assert told(leads, of("made_up_0"))[0]["culprit"] == "made_up_0 (orders.py:41)"
    assert told(leads, of("late"))[0]["culprit"] == ""
    now = HOUR + 1
    assert told(leads, of("late"))[0]["culprit"] == "late (orders.py:41)"
    assert told(leads, of("of another", target="b"), targets=("b",))[0]["culprit"] == "of another (orders.py:41)"


def test_a_function_that_is_late_in_another_line_each_time_is_one_name():
    """Which line a sample meets is chance; the first that was told stays, and other functions have their room."""
    leads = Leads()
    moving = [replace(BLOCKING, culprit=Frame("parse", "/srv/shop/orders.py", 41 + at)) for at in range(100)]
    assert {told(leads, each)[0]["culprit"] for each in moving} == {"parse (orders.py:41)"}
    assert told(leads, of("late"))[0]["culprit"] == "late (orders.py:41)"
    elsewhere = replace(BLOCKING, culprit=Frame("parse", "/srv/other/orders.py", 7))
    assert told(leads, elsewhere)[0]["culprit"] == "parse (orders.py:7)"


def test_a_name_cannot_mention_anybody():
    """A label ends in messages of whoever is told, some of whom read `<` and `>`."""
    assert told(Leads(), of("<lambda>"))[0]["culprit"] == "‹lambda› (orders.py:41)"
    assert told(Leads(), of("<!channel>"))[0]["culprit"] == "‹!channel› (orders.py:41)"


def test_a_name_of_any_length_has_its_place_at_the_end():
    """However long the function or the file is called."""
    long = replace(BLOCKING, culprit=Frame("f" * 10_000, "/srv/" + "d" * 10_000 + ".py", 41))
    culprit = told(Leads(), long)[0]["culprit"]
    assert len(culprit) <= MOST_LETTERS
    assert culprit.startswith("fff")
    assert culprit.endswith("d.py:41)")
