"""Errors: every one of them at once, each at its place, each a sentence."""

import pytest

from vitalsd.settings import check as check_module
from vitalsd.settings.load import Override, load
from vitalsd.settings.problems import ConfigErrors


@pytest.fixture
def errors(tmp_path):
    """Return a function that loads `text` and returns the error lines, without the file's path."""

    def lines(text, environ=None, overrides=()):
        path = tmp_path / "f.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(ConfigErrors) as raised:
            load(path, environ or {}, overrides)
        assert raised.value.exit_code == 2
        return str(raised.value).replace(f"{path}:", "").splitlines()

    return lines


def test_all_at_once_in_the_order_of_the_file(errors):
    """One mistake hides no other: file first, top to bottom, then environment, then flags."""
    text = "stall: {threshold: 5}\nhealth: {max_delay: 0s}\nlog: {level: loud}\n"
    environ = {"VITALSD__STALL__TRESHOLD": "1s", "VITALSD__LOG__FORMAT": "xml"}
    assert errors(text, environ, [Override("--listen", "exporters.prometheus.listen", "abc")]) == [
        "1:20: stall.threshold: needs a unit, for example 15s (got 5)",
        '2:21: health.max_delay: expected a duration of at least 1ms, got "0s"',
        '3:14: log.level: expected debug, info, warning or error, got "loud"',
        'VITALSD__LOG__FORMAT: expected auto, json or console, got "xml"',
        "VITALSD__STALL__TRESHOLD: unknown variable, did you mean VITALSD__STALL__THRESHOLD?",
        '--listen: expected host:port, :port or [v6]:port (got "abc")',
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("stal: {}", "1:1: unknown key stal, did you mean stall?"),
        ("stall:\n  treshold: 1s", "2:3: unknown key stall.treshold, did you mean threshold?"),
        ("health: {zzz: 1}", "1:10: unknown key health.zzz, known here: max_delay"),
        ("health: {? [a] : 1}", "1:12: health: a key must be a word, not a list"),
        ("health: {max_delay: 1s, max_delay: 2s}", "1:25: health.max_delay: set twice, first in line 1"),
        ('"a\\nb": 1', '1:1: unknown key "a\\nb", known here: '),
        ("health: 5", "1:9: health: expected a mapping of max_delay, recovered_after, got 5"),
        (
            "health: {max_delay: [1s]}",
            "1:21: health.max_delay: expected a duration of at least 1ms, got a list",
        ),
        ("health: {max_delay: }", "1:20: health.max_delay: expected a duration of at least 1ms, got nothing"),
        ("sampling: {interval: 99ms}", 'expected a duration of at least 100ms, got "99ms"'),
        ("sampling: {discovery_interval: 499ms}", 'expected a duration of at least 500ms, got "499ms"'),
        ("stall: {threshold: 19ms}", 'expected a duration of at least 20ms, got "19ms"'),
        ("memory: {smaps_max_size: 5}", "needs a unit, for example 256MiB (got 5)"),
        ("memory: {smaps_max_size: 1GB}", "expected a size as a whole number of B, KiB, MiB, GiB or TiB"),
        ("memory: {smaps_max_size: true}", "memory.smaps_max_size: expected a size, got true"),
        ("storage: {dir: 5}", "storage.dir: expected a path, got 5 (put it in quotes if text is meant)"),
        ("storage: {dir: ''}", 'storage.dir: expected a path, got ""'),
        ('storage: {dir: "a\\0b"}', "storage.dir: holds a character that cannot be printed"),
        ("exporters: {prometheus: {listen: 18780}}", "expected host:port, :port or [v6]:port (got 18780)"),
        ("exporters: {prometheus: {listen: 'a:99999'}}", "expected a port of at most 65535"),
        ("exporters: {control: {listen: true}}", "expected host:port, :port or [v6]:port, got true"),
        ("targets: {}", "1:10: targets: expected a list, got a mapping"),
        ("targets: [web]", '1:11: targets[0]: expected a mapping of name, match, pid, per_container, got "web"'),
    ],
)
def test_sentence(errors, text, line):
    """Each mistake is told in words, at its line and column, and alone."""
    (only,) = errors(text)
    assert line in only


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("{match: a}", "1:11: targets[0]: name is missing"),
        ("{name: 9, match: a}", "targets[0].name: expected a name of at most 63 letters"),
        ("{name: -a, match: a}", "targets[0].name: expected a name of at most 63 letters"),
        ("{name: a b, match: a}", "targets[0].name: expected a name of at most 63 letters"),
        ('{name: "a\\n", match: a}', "targets[0].name: holds a character that cannot be printed"),
        ("{name: " + 64 * "a" + ", match: a}", "targets[0].name: expected a name of at most 63 letters"),
        ("{name: a}", "1:11: targets[0]: needs match or pid"),
        ("{name: a, match: null}", "1:11: targets[0]: needs match or pid"),
        ("{name: a, match: a, pid: 1}", "1:11: targets[0]: has match and pid, keep one of them"),
        ("{name: a, pid: 1, per_container: true}", "targets[0].per_container: goes with match"),
        ("{name: a, match: '('}", "1:28: targets[0].match: not a regular expression: missing )"),
        ("{name: a, match: 'a{9999999999}'}", "targets[0].match: not a regular expression: "),
        ("{name: a, match: ''}", "targets[0].match: expected a regular expression"),
        ("{name: a, pid: abc}", 'targets[0].pid: expected a number from 1 to 4194304, got "abc"'),
        ("{name: a, pid: 0}", "targets[0].pid: expected a number from 1 to 4194304, got 0"),
        ("{name: a, pid: 1.5}", "targets[0].pid: expected a number from 1 to 4194304, got 1.5"),
        ("{name: a, pid: " + 5000 * "9" + "}", "targets[0].pid: expected a number from 1 to 4194304, got "),
    ],
)
def test_target(errors, target, line):
    """A target has a name that can be a label, and exactly one usable way to be found."""
    (only,) = errors(f"targets: [{target}]")
    assert line in only


def test_name_twice_is_blamed_on_the_second(errors):
    """Two targets of one name: the second is where it is to be changed, and it says who has the name."""
    text = "targets:\n- {name: a, match: x}\n- {name: b, match: x}\n- {match: x, name: a}\n"
    assert errors(text) == ["4:20: targets[2].name: a is the name of targets[0] already"]


@pytest.mark.parametrize(
    ("inner", "line"),
    [
        ("peers: [{}]", "exporters.alertmanager.peers[0]: url is missing"),
        (
            "peers: [{url: 'am:9093'}]",
            "peers[0].url: expected http://HOST:PORT or https://HOST/PREFIX, without a query",
        ),
        ("peers: [{url: 'http://am?x=1'}]", "peers[0].url: expected http://HOST:PORT"),
        ("peers: [{url: 'http://am:99999'}]", "peers[0].url: expected http://HOST:PORT"),
        (
            "peers: [{url: 'http://am/'}, {url: 'http://am'}]",
            "peers[1].url: is that of exporters.alertmanager.peers[0] already",
        ),
        ("peers: [{url: 'http://am', username: me}]", "peers[0]: username and password_file need each other"),
        ("peers: [{url: 'http://am', key_file: /k}]", "peers[0]: cert_file and key_file need each other"),
        (
            "peers: [{url: 'http://am', username: me, password_file: /p, bearer_token_file: /t}]",
            "peers[0]: has username and bearer_token_file, keep one of them",
        ),
        ("labels: [{name: a-b, value: x}]", "labels[0].name: expected a name of letters, digits and _"),
        ("labels: [{name: a, value: x}, {name: a, value: y}]", "labels[1].name: every alert has a already"),
        ("labels: [{name: severity, value: page}]", "labels[0].name: every alert has severity already"),
        ("interval: 100ms", "alertmanager.interval: expected a duration of at least 1s"),
    ],
)
def test_alertmanager(errors, inner, line):
    """What could not be sent is told before anything has to be."""
    (only,) = errors(f"exporters: {{alertmanager: {{{inner}}}}}")
    assert line in only


@pytest.mark.parametrize(
    ("inner", "line"),
    [
        ("endpoint: 'collector:4317'", "otlp.endpoint: expected http://HOST:PORT or https://HOST/PREFIX"),
        ("endpoint: 'http://c:4318/v1/metrics'", "otlp.endpoint: /v1/metrics is appended, leave it out"),
        ("endpoint: 'http://me:secret@c'", "otlp.endpoint: has a user or a password in it"),
        ("cert_file: /c", "exporters.otlp: cert_file and key_file need each other"),
        ("interval: 500ms", "otlp.interval: expected a duration of at least 1s"),
        ("protocol: grpc", "unknown key exporters.otlp.protocol, known here: endpoint"),
    ],
)
def test_otlp(errors, inner, line):
    """What could not be pushed is told before anything has to be."""
    (only,) = errors(f"exporters: {{otlp: {{{inner}}}}}")
    assert line in only
    assert "secret" not in only


def test_otlp_without_its_extra(errors, monkeypatch):
    """One sentence says what to install; without an endpoint nothing is missing."""
    monkeypatch.setattr(check_module, "find_spec", lambda _name: None)
    install = "pip install 'vitalsd[otlp]'"
    assert errors("exporters:\n  otlp: {endpoint: 'http://c:4318'}") == [
        "2:20: exporters.otlp.endpoint: needs opentelemetry-proto, which is not installed: " + install
    ]
    assert load(None, {"VITALSD__EXPORTERS__OTLP__INTERVAL": "5s"}).settings.exporters.otlp.interval == 5.0


@pytest.mark.parametrize("inner", ["peers: [{url: '%s'}]", "external_url: '%s'", "runbooks: '%s'"])
def test_a_password_in_a_url_is_not_repeated(errors, inner):
    """What is wrong with a configuration is logged."""
    (only,) = errors(f"exporters: {{alertmanager: {{{inner % 'http://me:hunter2@am'}}}}}")
    assert "has a user or a password in it" in only
    assert "hunter2" not in only


@pytest.mark.parametrize(
    ("prometheus", "control", "place"),
    [
        ("127.0.0.1:18781", None, "1:34"),
        (":18781", None, "1:34"),
        (None, ":18780", "1:31"),
        ("localhost:80", "localhost:80", "1:69"),
        ("[::]:80", "127.0.0.1:80", "1:64"),
    ],
)
def test_two_listens_on_one_port(errors, prometheus, control, place):
    """The two listens may not meet, on one address or on every interface; the control one is to move."""
    parts = {"prometheus": prometheus, "control": control}
    inner = ", ".join(f"{name}: {{listen: '{value}'}}" for name, value in parts.items() if value)
    (only,) = errors(f"exporters: {{{inner}}}")
    assert only.startswith(
        f"{place}: exporters.prometheus.listen and exporters.control.listen need different ports"
    )


def test_listens_that_do_not_meet(tmp_path):
    """One port on two addresses is fine, and so is any free port twice."""
    for first, second in (("10.0.0.1:80", "127.0.0.1:80"), (":0", ":0")):
        path = tmp_path / "f.yaml"
        path.write_text(f"exporters: {{prometheus: {{listen: '{first}'}}, control: {{listen: '{second}'}}}}")
        exporters = load(path, {}).settings.exporters
        assert (exporters.prometheus.listen, exporters.control.listen) == (first, second)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"a: [1", "1:6: not valid YAML: "),
        (b"stall:\n\tthreshold: 1s", "2:1: not valid YAML: "),
        (b"a: 1\n---\nb: 1", "2:1: not valid YAML: but found another document"),
        (b"stall: *x", "1:8: not valid YAML: found undefined alias"),
        (b"stall: !include x", '1:8: not valid YAML: the tag "!include" means nothing here'),
        (b"stall: !<a%0Ab> x", '1:8: not valid YAML: the tag "a\\nb" means nothing here'),
        (b"stall: !!int x", "1:8: not valid YAML: the value does not fit its tag"),
        (b"stall: {}\nlog: \x07", "2:6: not valid YAML: a control character"),
        (b'log: "\\UFFFFFFFF"', "not valid YAML: "),
        (b"[" * 1500, "not usable: nested too deeply"),
        (b"stall: {}\n# caf\xe9", "2:6: not UTF-8, save the file in that encoding"),
        (
            b"- a",
            "1:1: expected a mapping of targets, sampling, stall, memory, workers, capture, remedy, health,",
        ),
        (b"hello", 'at the top level, got "hello"'),
    ],
)
def test_what_is_not_a_configuration_at_all(errors, text, line):
    """Broken YAML, another encoding and another shape are one clear sentence each."""
    (only,) = errors(text)
    assert line in only


def test_missing_file(tmp_path):
    """A file that is not there is told by name, and what else is wrong beside it."""
    with pytest.raises(ConfigErrors) as raised:
        load(tmp_path / "no.yaml", {"VITALSD__STALL__THRESHOLD": "5"})
    assert str(raised.value).splitlines() == [
        f"{tmp_path}/no.yaml: there is no such file",
        'VITALSD__STALL__THRESHOLD: needs a unit, for example 15s (got "5")',
    ]


def test_folder(tmp_path):
    """A folder in the place of the file is told as such."""
    with pytest.raises(ConfigErrors, match="is a folder, a file was expected"):
        load(tmp_path, {})


def test_unreadable_file(tmp_path, monkeypatch):
    """A file that this user may not read is told as such."""
    path = tmp_path / "f.yaml"
    monkeypatch.setattr(type(path), "read_bytes", _denied)
    with pytest.raises(ConfigErrors, match=r"f\.yaml: this user may not read it"):
        load(path, {})


def _denied(_path):
    raise PermissionError(13, "Permission denied")


def test_list_of_the_environment(errors):
    """A list from the environment is YAML, and every mistake in it is told under the variable's name."""
    assert errors("", {"VITALSD__TARGETS": "[{name: a, pid: x}, {nam: b}]"}) == [
        'VITALSD__TARGETS: targets[0].pid: expected a number from 1 to 4194304, got "x"',
        "VITALSD__TARGETS: targets[1]: name is missing",
        "VITALSD__TARGETS: targets[1]: needs match or pid",
        "VITALSD__TARGETS: unknown key targets[1].nam, did you mean name?",
    ]
    (only,) = errors("", {"VITALSD__TARGETS": "[{"})
    assert only.startswith("VITALSD__TARGETS: not valid YAML: ")


def test_a_section_is_no_variable(errors):
    """Only keys that hold a value have a variable; the error names the ones there are."""
    (only,) = errors("", {"VITALSD__ZZZ": "1"})
    assert only.startswith(
        "VITALSD__ZZZ: unknown variable, known here: VITALSD__TARGETS, VITALSD__SAMPLING__INTERVAL,"
    )


def test_odd_name_of_a_variable(errors):
    """A name that would break the line is told in quotes."""
    (only,) = errors("", {"VITALSD__A\nB": "1"})
    assert only.startswith('"VITALSD__A\\nB": unknown variable, ')


def test_long_values_are_cut(errors):
    """A sentence is not drowned by the value that it is about."""
    (only,) = errors("log: {level: " + 500 * "x" + "}")
    assert only.endswith('got "' + 60 * "x" + '..."')
