"""`vitalsd status`: rows of the last minute, and notes that say whom they are about."""

from msgspec.structs import replace
from support.views import BARE, KILLED, LEGACY, NOW, SHOP, FixedView

from vitalsd.cli.ended import end_lines, restart_lines
from vitalsd.cli.status import remedy_lines, table
from vitalsd.remedy.model import RemedyState
from vitalsd_exporters.web.targets import targets_as_json


def rows(targets):
    """The words of each row of the table, by target and worker."""
    found = {}
    for words in map(str.split, table(targets, NOW).splitlines()):
        found.setdefault(tuple(words[:2]), []).append(words)
    return found


def test_work_delay_and_stalls_are_of_the_last_minute():
    """Of a probed loop and of one seen from outside alike; a loop of which nothing is known yet has dashes."""
    found = rows(targets_as_json(FixedView()))
    main, background = found["shop", "0"]
    (observed,) = found["legacy", "1"]
    assert main[2:9] == ["stalled", "1.2s", "main", "25.0%", "<=1000ms", "2", "96MiB"]
    assert background[3:7] == ["background", "-", "-", "-"]
    assert observed[2:] == ["stalled", "0.8s", "main", "12.5%", "<=1ms", "0", "-", "-", "observer"]


def test_the_header_says_of_which_time_it_is():
    """Above the columns that it is about."""
    over, head = table(targets_as_json(FixedView()), NOW).splitlines()[:2]
    assert over.strip() == "last 60 s at most"
    assert over.index("last") == head.index("BUSY")


def test_an_agent_of_an_earlier_version_has_no_last_minute():
    """Dashes, and no failure."""
    targets = targets_as_json(FixedView(all_targets=(SHOP, LEGACY)))
    for target in targets:
        for worker in target["workers"]:
            for loop in [*(worker["probe"] or {"loops": []})["loops"], worker["observed"] or {}]:
                loop.pop("recent", None)
    assert "25.0%" not in table(targets, NOW)


def test_a_note_says_whom_it_is_about():
    """One line for all workers of which the same is missing, and no more names than can be read."""
    reason = "this worker publishes no segment: it runs Node"
    workers = tuple(replace(BARE, slot=str(slot), missing={"probe": reason}) for slot in range(6))
    few, many = (
        table(targets_as_json(FixedView(all_targets=(replace(LEGACY, workers=some),))), NOW).splitlines()[-1]
        for some in (workers[:2], workers)
    )
    assert few == f"note: legacy/0, legacy/1: {reason}"
    assert many == f"note: legacy/0, legacy/1, legacy/2, legacy/3 and 2 more: {reason}"


def test_a_process_that_is_stopped_or_gone_is_told_as_that():
    """In the column where people look, with a note of what to do about one that is gone."""
    stopped = replace(BARE, process=replace(BARE.process, state="T"))
    gone = replace(BARE, slot="1", up=False, key=None, process=None)
    targets = targets_as_json(FixedView(all_targets=(replace(LEGACY, workers=(stopped, gone)),)))
    assert [row[2] for row in (*rows(targets)["legacy", "0"], *rows(targets)["legacy", "1"])] == [
        "stopped",
        "down",
    ]
    assert "note: legacy/1: its process is gone and nothing has taken its place" in table(targets, NOW)


def test_a_worker_that_was_lost_is_told():
    """How it ended, when and after how long; beside its slot for as long as that is empty."""
    targets = targets_as_json(FixedView(all_targets=(replace(SHOP, exits=(KILLED,)),)))
    told = "pid 4251 ended 20 s ago after 2 h 0 min, signal: SIGKILL; who has sent it is not known"
    assert list(end_lines(targets, NOW)) == [f"ended: shop/1: {told}"]
    assert f"note: shop/1: nothing has taken its place: {told}" in table(targets, NOW)


def test_a_place_that_is_empty_on_purpose_is_vacant():
    """As after SIGTTOU: its worker has ended in order, and the others are up."""
    gone = replace(BARE, slot="1", up=False, key=None, process=None, vacant=True)
    targets = targets_as_json(FixedView(all_targets=(replace(LEGACY, workers=(BARE, gone)),)))
    ((_, _, state, *_),) = rows(targets)["legacy", "1"]
    assert state == "vacant"


def test_workers_that_have_gone_with_their_supervisor():
    """That is told of an empty place, and not an end of before that somebody has followed."""
    gone = replace(BARE, target="shop", slot="1", up=False, key=None, process=None)
    before = replace(KILLED, reason="timeout", followed_by=BARE.key, evidence="it was silent")
    above = replace(KILLED, slot="", key=SHOP.supervisor.key, ended_at=NOW - 3, evidence="SIGKILL")
    target = replace(SHOP, workers=(gone,), exits=(before, above))
    text = table(targets_as_json(FixedView(all_targets=(target,))), NOW)
    assert "note: shop/1: its supervisor has ended, and it with it: pid" in text
    assert "it was silent" not in text


def test_who_was_asked_to_go_is_only_counted():
    """A reload of a hundred workers is no hundred lines; neither is a crash loop."""
    asked = tuple(replace(KILLED, reason="graceful") for _ in range(100))
    killed = tuple(replace(KILLED, ended_at=NOW - 10 + number) for number in range(8))
    targets = targets_as_json(FixedView(all_targets=(replace(SHOP, exits=(*asked, *killed)), LEGACY)))
    lines = list(end_lines(targets, NOW))
    assert len(lines) == 6
    assert lines[-1] == "and 3 more of shop in ten minutes: vitalsd status --json"
    assert list(restart_lines(targets)) == ["restarts: shop: 3 error, 1 signal"]


def test_what_remedy_is_at_is_a_line_of_each_target():
    """With its mode where that is a dry run, and nothing where it is off."""
    targets = targets_as_json(FixedView())
    assert next(iter(remedy_lines(targets))) == "remedy: shop: watching: whether recycling worker 0 has helped"
    dry = RemedyState("dry_run", "waiting", "dry run: worker 0 would be recycled")
    assert "remedy: shop (dry run): waiting:" in "\n".join(
        remedy_lines(targets_as_json(FixedView(remedy_state=dry)))
    )
    off = RemedyState("off", "off", "remedy.mode is off")
    assert list(remedy_lines(targets_as_json(FixedView(remedy_state=off)))) == []


def crowd(count, **of_each):
    """A target with so many workers, these slots with something else about them."""
    workers = tuple(
        replace(BARE, slot=str(slot), missing={}, **of_each.get(f"_{slot}", {})) for slot in range(count)
    )
    return targets_as_json(FixedView(all_targets=(replace(LEGACY, workers=workers),)))


def test_of_very_many_workers_those_in_trouble_come_first():
    """Forty rows, and how many are left out and whether they are well; all of them where somebody wants them."""
    down = {"up": False, "key": None, "process": None}
    targets = crowd(500, _300=down, _499=down)
    text = table(targets, NOW, {("legacy", "444")}, whole=False)
    told = [line.split() for line in text.splitlines() if line.startswith("legacy ")]
    assert [row[1] for row in told[:4]] == ["300", "444", "499", "0"]
    assert len(told) == 40
    assert "and 460 more rows, all well: vitalsd status --all" in text
    assert len([line for line in table(targets, NOW).splitlines() if line.startswith("legacy ")]) == 500
    bad = table(crowd(50, **{f"_{slot}": down for slot in range(45)}), NOW, whole=False)
    assert "and 10 more rows, 5 of workers in trouble: vitalsd status --all" in bad


def test_columns_stay_aligned_whatever_a_thread_is_called():
    """No name is obeyed by the terminal, breaks a line, turns its direction or pushes the columns away."""
    targets = targets_as_json(FixedView())
    for target in targets:
        for worker in target["workers"]:
            for loop in (worker["probe"] or {"loops": []})["loops"]:
                loop["name"] = "\x1b[2J\u202eevil\n" + "n" * 10_000
    _, head, *lines = table(targets, NOW).splitlines()
    rows = [line for line in lines if line.startswith(("shop ", "legacy ", "gone "))]
    assert "\x1b" not in "".join(lines) and "\u202e" not in "".join(lines)
    assert max(map(len, rows)) <= 160
    assert {line[head.index("SOURCE") - 1] for line in rows if len(line) > head.index("SOURCE")} == {" "}
