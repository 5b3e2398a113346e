"""What the page's scripts think, without a browser: words, routes, rows, and what is wrong first."""

import json
import shutil
import subprocess

import pytest
from support.probed import NODE, needs_node

from vitalsd_exporters.web.page.assets import FOLDER

pytestmark = needs_node
NBSP, DASH = "\N{NO-BREAK SPACE}", "\N{EN DASH}"


@pytest.fixture(scope="module")
def run(memory):
    """Evaluate an expression with what some modules export, and return what it comes to."""
    folder = memory / "page"
    shutil.copytree(FOLDER, folder)
    (folder / "package.json").write_text('{"type": "module"}')

    def evaluate(modules, expression):
        imports = "".join(f"import * as {name} from './{name}.js';" for name in modules.split())
        script = (
            f"{imports}\nconst told = await (async () => ({expression}))();\nconsole.log(JSON.stringify(told));"
        )
        command = [NODE, "--input-type=module", "-e", script]
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    yield evaluate
    shutil.rmtree(folder)


def listed(function, values):
    """An expression that calls a function with each of these values."""
    return f"{json.dumps(values)}.map((value) => {function}(value))"


def test_durations_have_two_units_at_the_most(run):
    """And never sixty of one."""
    told = {
        0: "0 s", 0.0004: "0.4 ms", 0.0123: "12 ms", 0.9996: "1 s", 1.25: "1.3 s", 59.4: "59 s", 59.9: "1 min",
        200: "3 min 20 s", 3599.8: "1 h", 3660: "1 h 1 min", 86_399: "1 d", 187_200: "2 d 4 h", -5: "-5 s",
    }  # fmt: skip
    said = run("words", listed("words.duration", list(told)))
    assert [each.replace(NBSP, " ") for each in said] == list(told.values())


def test_bytes_have_three_digits(run):
    """As they are rounded in the stream."""
    told = {
        0: "0 B",
        1000: "0.98 KiB",
        1024: "1 KiB",
        2**27: "128 MiB",
        2**20 * 1000: "0.98 GiB",
        1610612736: "1.5 GiB",
    }
    said = run("words", listed("words.bytes", list(told)))
    assert [each.replace(NBSP, " ") for each in said] == [
        "0 B",
        "0.977 KiB",
        "1 KiB",
        "128 MiB",
        "0.977 GiB",
        "1.5 GiB",
    ]


def test_what_is_not_known_is_a_dash(run):
    """And never zero."""
    names = "['duration', 'bytes', 'share', 'count', 'plain']"
    assert run("words", f"{names}.map((name) => words[name](null) + words[name](undefined))") == [2 * DASH] * 5


def test_shares_and_counts(run):
    """A little is not nothing."""
    assert run("words", listed("words.share", [0, 0.001, 0.25, 1])) == [
        f"0{NBSP}%",
        f"<1{NBSP}%",
        f"25{NBSP}%",
        f"100{NBSP}%",
    ]
    assert run("words", listed("words.count", [0, 12345, 1_234_567])) == ["0", "12,345", f"1.23{NBSP}M"]


def test_times_are_of_the_agents_clock(run):
    """Before and after now, and the day where it is another."""
    now = "Date.parse('2026-07-01T12:00:00Z')"
    ago = run(
        "words",
        f"['11:59:59.5', '11:59:48', '11:00:00', '14:30:00'].map((at) => words.ago(`2026-07-01T${{at}}Z`, {now}))",
    )
    assert [each.replace(NBSP, " ") for each in ago] == ["just now", "12 s ago", "60 min ago", "in 3 h"]
    clock = run(
        "words",
        f"['2026-07-01T13:05:12.9Z', '2026-06-30T13:05:12Z', null, 'x'].map((at) => words.clock(at, {now}))",
    )
    assert [each.replace(NBSP, " ") for each in clock] == ["13:05:12 UTC", "2026-06-30 13:05:12 UTC", DASH, DASH]


UNSEEN = {
    "\x1b[31mred": "\\u{1b}[31mred",
    "a\u202eb\u2066c": "a\\u{202e}b\\u{2066}c",
    "no\u200bwidth\ufeff": "no\\u{200b}width\\u{feff}",
    "line\nbreak": "line\\u{a}break",
    "<img src=x onerror=alert(1)>": "<img src=x onerror=alert(1)>",
    "schön 漢字 🙂": "schön 漢字 🙂",
}


def test_what_would_not_be_seen_is_made_visible(run):
    """A name may not turn the line around, hide in it, or look like another one."""
    assert run("words", listed("words.plain", list(UNSEEN))) == list(UNSEEN.values())


def test_what_is_long_is_cut(run):
    """Ten kilobytes of name are not a name; and no letter is cut in halves."""
    assert run("words", "words.plain('a'.repeat(10_000), 20)") == "a" * 19 + "…"
    assert run("words", "words.plain('🙂'.repeat(30), 20)") == "🙂" * 19 + "…"
    assert run("words", "words.plain('a'.repeat(20), 20)") == "a" * 20
    assert run("words", "words.plain('\\ud800x')") == "\ufffdx"


ROUTES = {
    "": ("fleet", {}),
    "#/": ("fleet", {}),
    "#/?q=shop": ("fleet", {}),
    "#/targets/a%2Fb": ("target", {"name": "a/b", "slot": None}),
    "#/targets/shop/0": ("target", {"name": "shop", "slot": "0"}),
    "#/incidents": ("incidents", {}),
    "#/incidents/1ngdrey15dr": ("incident", {"id": "1ngdrey15dr"}),
    "#/captures": ("captures", {}),
    "#/captures/1n4a": ("capture", {"id": "1n4a"}),
    "#/captures/1n4a/a.speedscope.json": ("viewer", {"id": "1n4a", "file": "a.speedscope.json"}),
    "#/rules": ("rules", {}),
}


def test_fragments_lead_to_views(run):
    """Each part is encoded, so a name may hold what it likes."""
    told = run("routes", listed("routes.routeOf", list(ROUTES)))
    found = [
        (each["view"], {name: each["params"][name] for name in each["params"] if name != "query"}) for each in told
    ]
    assert found == list(ROUTES.values())


def test_a_fragment_that_leads_nowhere_is_said_to(run):
    """And breaks nothing."""
    nowhere = ["#/targets", "#/targets/a/b/c", "#/nothing", "#/incidents/%", "#/captures/a/b/c", "#/rules/x"]
    assert run("routes", listed("routes.routeOf", nowhere)) == [None] * len(nowhere)


def row(**more):
    """A worker that is well."""
    told = {
        "target": "shop",
        "worker": "0",
        "pid": 1,
        "state": "up",
        "stalled_seconds": None,
        "runtime": "python",
        "version": "3.12.4",
        "lag_source": "probe",
        "delay_p99_seconds": [0.001, 0.0025],
        "busy_share": 0.25,
        "cpu_share": 0.1,
        "stalls": 0,
        "memory_bytes": 100,
        "limit_bytes": None,
        "limit_share": None,
        "growth_bytes_per_second": None,
        "exhausted_at": None,
        "restarts": 0,
        "since_at": None,
        "open": {"critical": 0, "warning": 0, "info": 0},
    }
    return told | more


OPEN = {"critical": 0, "warning": 0, "info": 0}
BY_URGENCY = [
    (row(state="down"), 0),
    (row(state="stopped"), 0),
    (row(state="stalled", stalled_seconds=0.6), 0),
    (row(open=OPEN | {"critical": 1}), 0),
    (row(open=OPEN | {"warning": 1}), 1),
    (row(open=OPEN | {"info": 1}), 2),
    (row(exhausted_at="2026-07-01T14:30:00.000Z"), 2),
    (row(limit_share=0.95), 2),
    (row(delay_p99_seconds=[0.1, 0.25]), 2),
    (row(), 3),
    (row(state="stalled", stalled_seconds=0.2), 3),  # a short one moves nobody about
    (row(state="vacant"), 4),
]


def test_what_is_wrong_comes_first(run):
    """Who is on call reads from the top."""
    told = run("marks", listed("marks.urgency", [each for each, _ in BY_URGENCY]))
    assert told == [urgency for _, urgency in BY_URGENCY]


def test_those_that_are_well_are_folded(run):
    """Of a large target its sick workers are seen, and one row for the rest, until somebody unfolds it."""
    workers = [row(worker=str(slot)) for slot in range(6)] + [row(worker="6", state="down"), row(target="alone")]
    targets = [
        {"name": "shop", "up": True, "supervisor": "gunicorn"},
        {"name": "gone", "up": False, "supervisor": None},
    ]
    incident = {"target": "alone", "state": "open", "severity": "warning"}
    arguments = f"{json.dumps(workers)}, {json.dumps(targets)}, [{json.dumps(incident)}]"
    told = run("rows", f"rows.grouped({arguments}, new Set())")
    assert [(each["sort"], each["id"]) for each in told] == [
        *[
            ("target", "shop/"),
            ("worker below", "shop/6"),
            ("folded", "shop//"),
            ("target", "gone/"),
            ("alone", "alone/0"),
        ]
    ]
    assert told[2]["count"] == 6 and told[2]["memory_bytes"] == 600
    assert told[0]["parts"]["text"] == "✕ 1 down of 7"
    assert told[3]["parts"]["text"] == "✕ no worker"
    assert told[4]["open"] == OPEN | {"warning": 1}
    unfolded = run("rows", f"rows.grouped({arguments}, new Set(['shop']))")
    assert [each["sort"] for each in unfolded][:9] == ["target", *["worker below"] * 7, "unfolded"]


def test_links_hold_any_name(run):
    """A slash or a hash in the name of a target is no part of the address."""
    assert run("rows", "rows.hrefOf('a/b#c', '0')") == "#/targets/a%2Fb%23c/0"


def test_what_is_not_known_comes_last_either_way(run):
    """A worker without a figure is neither the best nor the worst."""
    values = [3, None, 10, 2]
    for down, sorted_values in ((False, [2, 3, 10, None]), (True, [10, 3, 2, None])):
        assert (
            run("table", f"{json.dumps(values)}.sort((a, b) => table.compare(a, b, {json.dumps(down)}))")
            == sorted_values
        )
    assert run("table", "['w10', 'w9', 'W1'].sort((a, b) => table.compare(a, b))") == ["W1", "w9", "w10"]
    assert run("table", "[[1, 'b'], [1, 'a'], [0, 'z']].sort((a, b) => table.compare(a, b))") == [
        [0, "z"],
        [1, "a"],
        [1, "b"],
    ]


def test_events_are_read_however_they_are_cut(run):
    """A network cuts where it likes, in the middle of a letter too."""
    sent = ': heartbeat\n\nevent: a\ndata: {"a":"schön 🙂"}\n\nevent: b\ndata: {"b":1}\n\nevent: c\nda'
    script = """(async () => {
      const bytes = new TextEncoder().encode(SENT);
      const told = [];
      for (const size of [1, 3, 1000]) {
        const body = new ReadableStream({ start(controller) {
          for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size));
          controller.close();
        } });
        const events = [];
        for await (const event of sse.eventsOf(body)) events.push(event);
        told.push(events);
      }
      return told;
    })()"""
    events = [None, {"name": "a", "data": {"a": "schön 🙂"}}, {"name": "b", "data": {"b": 1}}]
    assert run("sse", script.replace("SENT", json.dumps(sent))) == [events] * 3
