"""Whatever is in the file or in the environment: a configuration or its errors, and nothing else."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vitalsd.settings.keys import dotted, settable
from vitalsd.settings.load import load
from vitalsd.settings.problems import ConfigErrors
from vitalsd.settings.show import show

KEYS = sorted({str(part) for path, _ in settable() for part in path} | {"name", "match", "pid", "<<", "on"})
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=10),
    st.sampled_from(["1s", "250ms", ":80", "[::1]:18781", "web", "(", "[[a]", "json", "debug", "/tmp/ü #:'\"\\"]),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
)
DURATIONS = st.sampled_from(["1s", "1h30m", "500ms", "8d"])
PATHS = st.none() | st.text(st.characters(codec="utf-8"), max_size=8)
VALID = st.fixed_dictionaries(
    {},
    optional={
        "targets": st.lists(
            st.fixed_dictionaries(
                {"name": st.from_regex("[a-z_][a-z0-9:.-]{0,5}", fullmatch=True), "match": PATHS}
            ),
            max_size=2,
        ),
        "sampling": st.fixed_dictionaries({}, optional={"interval": DURATIONS, "segment_dir": PATHS}),
        "storage": st.fixed_dictionaries({"dir": PATHS}),
        "exporters": st.fixed_dictionaries({"control": st.fixed_dictionaries({"token_file": PATHS})}),
    },
)
SNIPPETS = (
    "- ",
    ": ",
    "\n",
    "  ",
    "&a ",
    "*a",
    "!!str ",
    "!x ",
    "{",
    "}",
    "[",
    "]",
    "'",
    '"',
    "|",
    "? ",
    "\t",
    "%YAML 9.9",
    "---",
)
SOUP = st.lists(st.sampled_from([*KEYS, *SNIPPETS, "1s", "null"]), max_size=12).map("".join)
quick = settings(deadline=None, max_examples=100)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Return a file that every example writes anew."""
    return tmp_path_factory.mktemp("any") / "f.yaml"


def load_and_show(path, environ):
    """Load; what loads is shown so that it loads again, what does not is told with a line for each error."""
    try:
        loaded = load(path, environ)
    except ConfigErrors as raised:
        error = raised
    else:
        path.write_text(show(loaded, sources=True), encoding="utf-8")
        assert load(path, {}).settings == loaded.settings
        return
    assert error.problems
    assert len(str(error).split("\n")) == len(error.problems)


@quick
@given(st.binary() | st.text().map(str.encode) | SOUP.map(str.encode))
@example(b'? "\\ud800"')
@example(b"stall: &a\n  threshold: *a")
@example(b"targets: &a [*a]")
@example(b"&a : *a")
@example(b"!!null {a: b}")
def test_any_bytes(path, data):
    """No bytes bring loading down, and what loads is shown so that it loads again."""
    path.write_bytes(data)
    load_and_show(path, {})


@quick
@given(TREES)
def test_any_tree(path, tree):
    """No arrangement of the known keys and odd values brings loading down."""
    path.write_text(json.dumps(tree))
    load_and_show(path, {})


@quick
@given(VALID)
def test_any_valid_tree(path, tree):
    """Whatever printable text a path or an expression holds, what loads is shown so that it loads again."""
    path.write_text(json.dumps(tree, ensure_ascii=False), encoding="utf-8")
    load_and_show(path, {})


@quick
@given(
    st.dictionaries(
        st.sampled_from([dotted(path) for path, _ in settable()]) | st.text(max_size=5),
        LEAVES.map(str) | SOUP | st.just("\udcff"),
        max_size=4,
    )
)
def test_any_environment(path, variables):
    """No variable brings loading down, be its name known or not."""
    path.write_text("")
    load_and_show(path, {"VITALSD__" + name.replace(".", "__").upper(): text for name, text in variables.items()})
