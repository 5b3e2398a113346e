"""`vitalsd backtest` at a shell: in pipes that end before it does, and with no standard input."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import msgspec
import pytest
from unit.detect.growth.lives import flat, life, noise, ramp, together

BACKTEST = f"{sys.executable} -m vitalsd backtest"


@pytest.fixture
def recorded(tmp_path):
    """A recording of 40 workers that leak."""
    with (tmp_path / "recorded.jsonl").open("wb") as file:
        for worker in map(str, range(40)):
            memory = together(flat(300), noise(1.0), ramp(30, 30))
            for point in life(40, memory, worker=worker, every_minutes=10):
                file.write(msgspec.json.encode(point) + b"\n")
    return tmp_path


def shell(command: str, folder) -> tuple[str, str]:
    """What a pipe prints; each command of it must end well."""
    done = subprocess.run(
        ["bash", "-c", f"{command}; echo codes ${{PIPESTATUS[@]}} >&2"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout, done.stderr


@pytest.mark.parametrize("form", ["", "--json", "--json 2>&1"])
def test_a_reader_that_leaves_is_no_error(recorded, form) -> None:
    """As with `| head -1`: no traceback, and the exit code of a good run."""
    out, err = shell(f"{BACKTEST} recorded.jsonl {form} | head -1", recorded)
    assert len(out.splitlines()) == 1
    assert err.splitlines()[-1] == "codes 0 0"
    assert "Traceback" not in err
    assert "Exception ignored" not in err


def test_samples_may_come_through_a_pipe(recorded) -> None:
    """And come to the same as from the file."""
    piped, err = shell(f"cat recorded.jsonl | {BACKTEST} --json -", recorded)
    assert err.splitlines()[-1] == "codes 0 0"
    assert len(piped.splitlines()) >= 40
    assert piped == shell(f"{BACKTEST} --json recorded.jsonl", recorded)[0]


def test_each_incident_is_told_as_it_opens(recorded) -> None:
    """What reads the other end need not wait for the recording to end."""
    lines = (recorded / "recorded.jsonl").read_bytes().splitlines(keepends=True)[: 40 * 6]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        [*BACKTEST.split(), "--json", "-"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"".join(lines))  # of one worker: its incidents fit into the pipe
        process.stdin.flush()
        bound = threading.Timer(30, process.kill)  # rather than wait for what does not come
        bound.start()
        assert b'"kind"' in process.stdout.readline()
        process.stdin.close()
        process.stdout.read()
        assert process.wait(30) == 0
        bound.cancel()


def test_no_standard_input(recorded) -> None:
    """It says what to do."""
    out, err = shell(f"{BACKTEST} - <&-", recorded)
    assert out == ""
    assert err == "vitalsd: standard input is closed: name a file, or pipe the samples in\ncodes 2\n"
