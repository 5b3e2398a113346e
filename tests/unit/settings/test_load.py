"""Loading: the four sides, which of them wins, and where each value came from."""

from pathlib import Path

import pytest

from vitalsd.settings import load as load_module
from vitalsd.settings.load import Override, find_config, load, load_for_asking
from vitalsd.settings.model import Settings, Target
from vitalsd.settings.problems import ConfigErrors

LISTEN = "exporters.prometheus.listen"


@pytest.fixture
def written(tmp_path):
    """Return a function that writes a file and returns its path."""

    def write(text):
        path = tmp_path / "vitalsd.yaml"
        path.write_text(text)
        return path

    return write


def test_no_file_is_every_default():
    """Without any configuration the defaults serve."""
    loaded = load(None, {})
    assert loaded.settings == Settings()
    assert loaded.path is None
    assert loaded.source("stall.threshold") == "default"


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "null", "\ufeff"])
def test_empty_file_is_every_default(written, text):
    """A file that holds nothing is a configuration that changes nothing."""
    assert load(written(text), {}).settings == Settings()


def test_commented_out_section_is_every_default(written):
    """A section or list of which every line is commented out is as good as not there."""
    assert load(written("stall:\n  # threshold: 1s\ntargets:\n"), {}).settings == Settings()


def test_file(written):
    """A file sets what it names and leaves the rest, and the line of each value is known."""
    path = written(
        "targets:\n  - name: web\n    match: gunicorn\n  - {name: db, pid: 0x10}\nstall:\n  threshold: 1h30m\n"
    )
    loaded = load(path, {})
    assert loaded.settings.targets == [Target(name="web", match="gunicorn"), Target(name="db", pid=16)]
    assert loaded.settings.stall.threshold == 5400
    assert loaded.settings.health == Settings().health
    assert loaded.source("targets") == f"{path}:2"
    assert loaded.source("targets[1].pid") == f"{path}:4"
    assert loaded.source("targets[1].match") == "default"
    assert loaded.source("stall.threshold") == f"{path}:6"


def test_precedence(written):
    """A flag wins over the environment, the environment over the file, the file over the default."""
    path = written("exporters:\n  prometheus: {listen: ':1'}\nstall: {threshold: 1s}\nhealth: {max_delay: 1s}\n")
    environ = {
        "VITALSD__EXPORTERS__PROMETHEUS__LISTEN": ":2",
        "VITALSD__STALL__THRESHOLD": "2s",
        "VITALSD_PORT": "x",
    }
    loaded = load(path, environ, [Override("--listen", LISTEN, ":3")])
    assert loaded.settings.exporters.prometheus.listen == ":3"
    assert loaded.settings.stall.threshold == 2
    assert loaded.settings.health.max_delay == 1
    assert loaded.settings.sampling.interval == 3
    assert loaded.source(LISTEN) == "--listen"
    assert loaded.source("stall.threshold") == "VITALSD__STALL__THRESHOLD"


def test_list_of_the_environment_replaces_the_list_of_the_file(written):
    """Targets are not mixed: those of the environment, written as YAML, are all there are."""
    path = written("targets:\n  - {name: a, match: a}\n  - {name: b, match: b}\n")
    loaded = load(path, {"VITALSD__TARGETS": '[{"name": "c", "pid": 7}]'})
    assert loaded.settings.targets == [Target(name="c", pid=7)]
    assert loaded.source("targets[0].pid") == "VITALSD__TARGETS"
    assert loaded.source("targets[1].name") == "default"


def test_text_of_the_environment_is_taken_as_it_is():
    """A value that YAML would read as something else is the text that a text key wants."""
    environ = {
        "VITALSD__EXPORTERS__CONTROL__LISTEN": "[::1]:9",
        "VITALSD__STORAGE__DIR": "1.5",
        "VITALSD__EXPORTERS__PROMETHEUS__ENABLE_LIFECYCLE": "false",
        "VITALSD__EXPORTERS__CONTROL__TOKEN_FILE": "",
    }
    settings = load(None, environ).settings
    assert settings.exporters.control.listen == "[::1]:9"
    assert settings.storage.dir == "1.5"
    assert settings.exporters.prometheus.enable_lifecycle is False
    assert settings.exporters.control.token_file is None


def test_yaml_is_1_2(written):
    """`on`, `1:30`, `012` and dates are text, as YAML 1.2 has them."""
    for text in ("on", "1:30", "2026-01-01", "1_000"):
        assert load(written(f"storage: {{dir: {text}}}"), {}).settings.storage.dir == text
    with pytest.raises(ConfigErrors, match='expected true or false, got "on"'):
        load(written("exporters: {prometheus: {enable_lifecycle: on}}"), {})
    assert load(written("targets: [{name: a, pid: 012}]"), {}).settings.targets[0].pid == 12


def test_anchors_are_followed(written):
    """An alias stands for what its anchor names."""
    path = written("stall: {threshold: &d 2s}\nhealth: {max_delay: *d}\n")
    assert load(path, {}).settings.health.max_delay == 2


def test_expression_that_python_warns_of(written):
    """An expression that a future Python may read differently is valid, and nothing is printed about it."""
    assert load(written("targets: [{name: a, match: '[[a]'}]"), {}).settings.targets[0].match == "[[a]"


def test_find_config(tmp_path, monkeypatch):
    """The flag is asked first, then the environment, then the system's file if there is one."""
    system = tmp_path / "vitalsd.yaml"
    monkeypatch.setattr(load_module, "SYSTEM_CONFIG", system)
    environ = {"VITALSD_CONFIG": "/from/environment"}
    assert find_config(None, {}) is None
    system.touch()
    assert find_config(None, {}) == system
    assert find_config(None, environ) == Path("/from/environment")
    assert find_config("/from/flag", environ) == Path("/from/flag")


def test_system_config_that_cannot_be_reached_is_not_passed_over(tmp_path, monkeypatch):
    """When looking for the system's file fails, loading says why: defaults would be silent."""
    loop = tmp_path / "vitalsd.yaml"
    loop.symlink_to(loop)
    monkeypatch.setattr(load_module, "SYSTEM_CONFIG", loop)
    path = find_config(None, {})
    with pytest.raises(ConfigErrors, match="cannot be read: Too many levels of symbolic links"):
        load(path, {})


def test_who_asks_goes_on_with_what_can_be_read(written):
    """A file that was broken after the agent has read it: what is wrong is told, and where the agent is."""
    path = written(
        "targts: []\nstall: {threshold: soon}\ntargets: [{match: x}]\n"
        "exporters: {control: {listen: '127.0.0.1:28781'}}\nstorage: {dir: /srv/v}\ncapture: {per_hour: 9}\n"
    )
    with pytest.raises(ConfigErrors):
        load(path, {})
    settings, problems = load_for_asking(path, {})
    assert (settings.exporters.control.listen, settings.storage.dir) == ("127.0.0.1:28781", "/srv/v")
    assert (settings.capture.per_hour, settings.targets, settings.stall) == (9, [], Settings().stall)
    assert [str(problem).partition(": ")[0] for problem in problems] == [
        f"{path}:1:1",
        f"{path}:2:20",
        f"{path}:3:11",
    ]


def test_who_asks_goes_on_with_flags_and_defaults_where_the_file_is_no_yaml(written):
    """Nothing of it is known, and the agent is where flags, environment or defaults have it."""
    path = written("exporters: [\n")
    settings, problems = load_for_asking(
        path, {}, [Override("--control-listen", "exporters.control.listen", "a:1")]
    )
    assert settings.exporters.control.listen == "a:1"
    assert len(problems) == 1
    assert load_for_asking(path, {})[0] == Settings()


@pytest.mark.parametrize("text", ["exporters: {control: {listen: nowhere}}", "storage: {dir: [a]}", None])
def test_who_asks_is_stopped_where_the_agent_cannot_be_found(written, tmp_path, text):
    """An address or a folder that cannot be read, or another file than there is."""
    path = written(text) if text is not None else tmp_path / "no.yaml"
    with pytest.raises(ConfigErrors):
        load_for_asking(path, {})
