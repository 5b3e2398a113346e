"""`vitalsd config`: what it prints, and how it fails."""

import argparse
import json

import pytest

from vitalsd.cli.config import Config
from vitalsd.settings import load as load_module
from vitalsd.settings.problems import ConfigErrors


@pytest.fixture
def config(tmp_path, monkeypatch, capsys):
    """Return a function that runs the command in `tmp_path` and returns what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VITALSD_CONFIG", raising=False)
    monkeypatch.setattr(load_module, "SYSTEM_CONFIG", tmp_path / "system.yaml")

    def run(*arguments):
        parser = argparse.ArgumentParser()
        command = Config()
        command.prepare(parser)
        assert command.run(parser.parse_args(arguments)) == 0
        return capsys.readouterr().out

    return run


@pytest.fixture
def two_targets(tmp_path):
    """Write a valid file with two targets."""
    (tmp_path / "two.yaml").write_text("targets: [{name: a, match: 'x y'}, {name: b, pid: 2}]\n")


def test_check_valid(config, two_targets):
    """A valid file is one line that names it and counts its targets."""
    assert config("check", "two.yaml") == "two.yaml: valid, 2 targets\n"
    assert config("check", "--config", "two.yaml") == "two.yaml: valid, 2 targets\n"


def test_check_looks_where_the_daemon_looks(config, two_targets, tmp_path, monkeypatch):
    """Without a file: $VITALSD_CONFIG, then the system's, then no file at all."""
    assert config("check") == "no file, every default: valid, 0 targets\n"
    (tmp_path / "system.yaml").write_text("targets: [{name: a, pid: 1}]")
    assert config("check") == f"{tmp_path}/system.yaml: valid, 1 target\n"
    monkeypatch.setenv("VITALSD_CONFIG", "two.yaml")
    assert config("check") == "two.yaml: valid, 2 targets\n"


def test_check_invalid(config, tmp_path):
    """What is wrong is raised for main to print, with the exit code of a usage error."""
    (tmp_path / "bad.yaml").write_text("stall: {threshold: 5}\nlog: 1\n")
    with pytest.raises(ConfigErrors) as raised:
        config("check", "bad.yaml")
    assert [line.split(": ")[0] for line in str(raised.value).splitlines()] == [
        "bad.yaml:1:20",
        "bad.yaml:2:6",
    ]
    assert raised.value.exit_code == 2


def test_check_file_and_flag_contradict(config, capsys):
    """Two files cannot both be the one to check."""
    with pytest.raises(SystemExit) as raised:
        config("check", "a", "--config", "b")
    assert raised.value.code == 2
    assert "not allowed with" in capsys.readouterr().err


def test_show(config, two_targets, monkeypatch):
    """What holds is shown as YAML, and on request where each value came from."""
    monkeypatch.setenv("VITALSD__STALL__THRESHOLD", "90s")
    plain = config("show", "--config", "two.yaml")
    assert plain.startswith(
        'targets:\n  - name: a\n    match: "x y"\n    per_container: false\n'
        "  - name: b\n    pid: 2\n    per_container: false\nsampling:\n  interval: 3s\n"
    )
    assert "\nstall:\n  threshold: 1m30s\n" in plain
    assert "#" not in plain
    lines = config("show", "--config", "two.yaml", "--sources").splitlines()
    assert lines[0] == "targets:  # two.yaml:1"
    assert "  - name: b  # two.yaml:1" in lines
    assert "  threshold: 1m30s  # VITALSD__STALL__THRESHOLD" in lines
    assert "  interval: 3s  # default" in lines
    assert "sampling:" in lines


def test_schema(config):
    """The schema is printed as JSON."""
    assert json.loads(config("schema"))["$schema"] == "https://json-schema.org/draft/2020-12/schema"
