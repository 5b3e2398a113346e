"""Mistakes on the command line and in the configuration: one text, the right exit code, nothing half started."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.agent import Agent, watching

from vitalsd.cli import probe as probe_command
from vitalsd.errors import UsageError

NOBODY = 65534
FILES = {
    "unknown": "stal: {threshold: 1s}\n",
    "types": "sampling: {interval: 5}\nstall: soon\nhealth: {max_delay: [1s]}\n",
    "twice": "targets:\n- {name: a, match: x}\n- {name: a, pid: 1}\n",
    "yaml": "targets: [\n",
    "valid": "targets: []\n",
}


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """An agent's ports and folders, and beside them files with a mistake each."""
    agent = Agent(tmp_path)
    for name, text in FILES.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    return agent


def _assert_refused(answer: subprocess.CompletedProcess[str], *words: str, code: int = 2) -> None:
    """One text on standard error that says these words, this exit code, and no traceback."""
    assert answer.returncode == code, answer.stderr
    assert answer.stdout == ""
    assert "Traceback" not in answer.stderr
    for word in words:
        assert word in answer.stderr


def _assert_untouched(agent: Agent) -> None:
    """Nothing listens, and no file was made beside those that the test has put there."""
    for port in (agent.metrics_port, agent.control_port):
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("127.0.0.1", port))
    made = {path.name for path in agent.folder.rglob("*")}
    assert made == {*(f"{name}.yaml" for name in FILES), "folder", "binary.yaml"}


CONFIGS = [
    ("unknown.yaml", ["unknown.yaml:1:1: unknown key stal, did you mean stall?"]),
    (
        "types.yaml",
        [
            "types.yaml:1:22: sampling.interval: needs a unit",
            "types.yaml:2:8: stall: expected a mapping",
            "types.yaml:3:21: health.max_delay: expected a duration",
        ],
    ),
    ("twice.yaml", ["twice.yaml:3:10: targets[1].name: a is the name of targets[0] already"]),
    ("yaml.yaml", ["yaml.yaml:"]),
    ("binary.yaml", ["not UTF-8"]),
    ("absent.yaml", ["absent.yaml: there is no such file"]),
    ("folder", ["folder: is a folder, a file was expected"]),
]


@pytest.mark.parametrize(("file", "words"), CONFIGS, ids=[file for file, _ in CONFIGS])
@pytest.mark.parametrize(
    "command",
    [
        ["watch", "--config", "{}"],
        ["run", "--config", "{}", "--", "touch", "started"],
        ["status", "--config", "{}"],
        ["config", "check", "{}"],
        ["config", "show", "--config", "{}"],
    ],
    ids=["watch", "run", "status", "check", "show"],
)
def test_a_configuration_with_mistakes(agent: Agent, command: list[str], file: str, words: list[str]) -> None:
    """Every command tells every mistake with its place, each in a line, and does nothing else."""
    if command[0] == "run" and file == "twice.yaml":
        pytest.skip("`run` has a target of its own, in place of those in the file")
    answer = agent.command(*(word.replace("{}", file) for word in command))
    if command[0] == "status" and (agent.folder / file).is_file():
        # Whoever asks goes on with what can be read; here there is nobody to answer.
        assert answer.returncode == 1
        assert all(word in answer.stderr for word in words)
        assert "There is no token" in answer.stderr
        _assert_untouched(agent)
        return

    consequence = ["touch was not started: mend this first"] if command[0] == "run" else []
    _assert_refused(answer, *words, *consequence)
    assert len(answer.stderr.splitlines()) == len(words + consequence)
    _assert_untouched(agent)


WATCH = [
    (["--pid", "0"], ["--pid is 0", "positive"]),
    (["--pid=-7"], ["--pid is -7", "positive"]),
    (["--pid", "4194304"], ["No process has pid 4194304", "gone"]),
    (["--match", "("], ["vitalsd: --match: not a regular expression"]),
    (["--match", ""], ['vitalsd: --match: expected a regular expression, got ""']),
    (["--name", "x"], ["vitalsd: --name is the name of what --pid or --match finds"]),
    (["--until-exit"], ["vitalsd: --until-exit says whose end", "--pid"]),
    (["--until-exit", "--match", "x"], ["vitalsd: --until-exit says whose end", "--pid"]),
    (["--until-exit", "--pid=-7"], ["--pid is -7", "positive"]),
    (["--match", "x", "--name", "a b"], ["vitalsd: --name: expected a name of at most 63 letters", '"a b"']),
    (["--match", "x", "--name", ":9"], ["vitalsd: --name: expected a name of at most 63 letters", '":9"']),
    (["--config", ""], ['vitalsd: --config: expected a file, got ""']),
    (["--listen", "nonsense"], ["--listen: expected host:port", "nonsense"]),
    (["--listen", "127.0.0.1:99999"], ["--listen", "a port of at most 65535"]),
    (
        ["--listen", "192.0.2.1:1"],
        ["Cannot listen on 192.0.2.1:1", "no such address", "exporters.prometheus.listen"],
    ),
    (["--control-listen", "x"], ["--control-listen: expected host:port"]),
    (["--log-level", "loud"], ["--log-level: expected debug, info, warning or error"]),
]


@pytest.mark.parametrize(("options", "words"), WATCH, ids=" ".join)
def test_options_that_watch_cannot_use(agent: Agent, options: list[str], words: list[str]) -> None:
    """One sentence with the option that is wrong and what it should have been."""
    answer = agent.command("watch", *agent.listens, *options)

    _assert_refused(answer, *words)
    assert len(answer.stderr.splitlines()) == 1
    _assert_untouched(agent)


def test_all_options_that_are_wrong_are_told(agent: Agent) -> None:
    """Each by its own name, in one answer."""
    answer = agent.command("watch", "--name", "a b", "--match", "(", "--listen", "x", "--log-level", "loud")

    _assert_refused(answer)
    assert [line.partition(":")[0] for line in answer.stderr.splitlines()] == [
        "--listen",
        "--log-level",
        "--match",
        "--name",
    ]
    _assert_untouched(agent)


USAGE = [
    ([], ["usage: vitalsd", "COMMAND"]),
    (["wach"], ["invalid choice: 'wach'"]),
    (["watch", "--pid", "abc"], ["--pid", "invalid int value: 'abc'"]),
    (["watch", "--pid", "1", "--match", "x"], ["--match", "not allowed with argument --pid"]),
    (["watch", "--no-such"], ["unrecognized arguments: --no-such"]),
    (["run", "--no-such", "--", "touch", "started"], ["--no-such"]),
    (["run"], ["There is no command", "vitalsd run -- "]),
    (
        ["run", "--name", "a b", "--", "touch", "started"],
        ["vitalsd: --name: expected a name of at most 63 letters"],
    ),
    (["run", "--name", "", "--", "touch", "started"], ["vitalsd: --name: expected a name of at most 63 letters"]),
    (["run", "--config", "", "--", "touch", "started"], ["vitalsd: --config: expected a file"]),
    (["run", "--listen", "x", "--", "touch", "started"], ["--listen: expected host:port"]),
    (["config"], ["check|show|schema"]),
    (["config", "check", "a", "--config", "b"], ["not allowed with"]),
    (["status", "--control-listen", "x"], ["--control-listen: expected host:port"]),
    (["status", "--listen", "x"], ["--listen: expected host:port"]),
    (["capture", "stacks", "shop", "--listen", "x"], ["--listen: expected host:port"]),
    (["probe"], ["install"]),
    (["probe", "install"], ["DIR"]),
    (["probe", "install", "valid.yaml"], ["Cannot install the probe into", "valid.yaml"]),
    (["probe", "install", "/proc/vitalsd"], ["Cannot install the probe into /proc/vitalsd"]),
]


@pytest.mark.parametrize(("command", "words"), USAGE, ids=" ".join)
def test_commands_that_make_no_sense(agent: Agent, command: list[str], words: list[str]) -> None:
    """Exit code 2 and what is wrong; no service is started and no file is left."""
    _assert_refused(agent.command(*command), *words)
    _assert_untouched(agent)


@pytest.mark.parametrize("taken", ["metrics_port", "control_port"])
def test_a_port_in_use(agent: Agent, taken: str) -> None:
    """The address, the reason and the setting to change; the other port is not held, and there is no token."""
    port = getattr(agent, taken)
    with socket.create_server(("127.0.0.1", port)):
        answer = agent.command("watch", *agent.listens)

    key = {"metrics_port": "prometheus", "control_port": "control"}[taken]
    _assert_refused(
        answer, f"Cannot listen on 127.0.0.1:{port}: the port is already in use", f"`exporters.{key}.listen`"
    )
    assert len(answer.stderr.splitlines()) == 1
    _assert_untouched(agent)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("VITALSD__STALL__TRESHOLD", "1s", ["VITALSD__STALL__TRESHOLD: unknown variable, did you mean"]),
        ("VITALSD__LOG__LEVEL", "loud", ["VITALSD__LOG__LEVEL: expected debug"]),
        ("VITALSD__EXPORTERS__CONTROL__TOKEN_FILE", "absent", ["Cannot read the token file absent"]),
        ("VITALSD__EXPORTERS__PROMETHEUS__WEB_CONFIG_FILE", "absent", ["absent"]),
    ],
)
def test_an_environment_with_mistakes(agent: Agent, variable: str, value: str, words: list[str]) -> None:
    """The variable, or the file it names, and what to do."""
    answer = agent.command("watch", *agent.listens, "--pid", str(os.getpid()), env={variable: value})

    _assert_refused(answer, *words)
    assert len(answer.stderr.splitlines()) == 1
    _assert_untouched(agent)


def test_a_process_of_somebody_else(agent: Agent) -> None:
    """Who owns it, who we are, and what to do about it."""
    command = ["watch", *agent.listens, "--pid", "1"]
    if os.geteuid() == 0:
        # Everything is imported before the privileges go: the interpreter may lie in root's home.
        drop = (
            "import os, sys, vitalsd.daemon, vitalsd.settings.check, vitalsd.cli as cli;"
            f"os.setgid({NOBODY}); os.setuid({NOBODY}); sys.exit(cli.main(sys.argv[1:]))"
        )
        answer = subprocess.run(
            [sys.executable, "-c", drop, *command], env=agent.environment, cwd="/", capture_output=True, text=True
        )
    else:
        answer = agent.command(*command)

    me = os.geteuid() or NOBODY
    _assert_refused(
        answer, f"Process 1 belongs to uid 0 and this is uid {me}", "run vitalsd as uid 0", "CAP_SYS_PTRACE"
    )
    assert len(answer.stderr.splitlines()) == 1
    _assert_untouched(agent)


CAPABLE = f"""
import ctypes, os, struct
from vitalsd.cli.options import refuse_unwatchable
from vitalsd.errors import UsageError
libc = ctypes.CDLL(None)
assert libc.prctl(8, 1, 0, 0, 0) == 0  # PR_SET_KEEPCAPS
os.setgid({NOBODY}); os.setuid({NOBODY})
for effective in (0, 1 << 19):
    version_and_self = struct.pack("=Ii", 0x20080522, 0)
    assert libc.capset(version_and_self, struct.pack("=6I", effective, 1 << 19, 0, 0, 0, 0)) == 0
    try:
        refuse_unwatchable(1)
    except UsageError as error:
        print("refused")
    else:
        print("not refused")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up all capabilities but one")
def test_a_process_of_somebody_else_with_the_capability(agent: Agent) -> None:
    """CAP_SYS_PTRACE is as good as being root, if it is in effect: what an agent can read it is not refused."""
    answer = subprocess.run(
        [sys.executable, "-c", CAPABLE], env=agent.environment, cwd="/", capture_output=True, text=True
    )

    if "AssertionError" in answer.stderr:
        pytest.skip("this machine gives no CAP_SYS_PTRACE")
    assert (answer.stdout.split("\n")[:2], answer.stderr) == (["refused", "not refused"], "")


def test_a_process_that_has_just_gone(agent: Agent) -> None:
    """A pid that was somebody's a moment ago."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    answer = agent.command("watch", *agent.listens, "--pid", str(gone.pid))

    _assert_refused(answer, f"No process has pid {gone.pid}")
    _assert_untouched(agent)


def test_a_probe_that_cannot_be_replaced_stays_whole(agent: Agent) -> None:
    """Installing over an older probe either replaces it or leaves it; nothing is left beside it."""
    where = agent.folder / "folder" / "probe"
    first = agent.command("probe", "install", str(where))
    again = agent.command("probe", "install", str(where))

    assert (first.returncode, again.returncode, first.stderr + again.stderr) == (0, 0, "")
    assert f"PYTHONPATH={where}" in again.stdout
    version, *rest = sorted((path.name for path in where.iterdir()), key=lambda name: "." in name[-4:])
    assert version.startswith("vitalsd_probe-")
    assert set(rest) == {"sitecustomize.py", "vitalsd_probe.py", "preload.js"}


LATER = """
import sys
import vitalsd_probe
print(vitalsd_probe.__file__, flush=True)
sys.stdin.readline()
import vitalsd_probe.layout
print(vitalsd_probe.layout.__file__, vitalsd_probe.layout.GENERATION, flush=True)
"""


def _sources(folder: Path, generation: int) -> Path:
    """The sources of another version of the probe."""
    sources = folder / f"sources-{generation}"
    shutil.copytree(probe_command.SOURCE, sources)
    with (sources / "python" / "layout.py").open("a") as file:
        file.write(f"GENERATION = {generation}\n")
    return sources


@pytest.mark.parametrize("isolated", [[], ["-S"]], ids=["launched", "imported"])
def test_a_new_probe_leaves_the_running_ones_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolated: list[str]
) -> None:
    """What a process loads later is of the version it began with; who starts later has the new one. Two stay."""
    where = tmp_path / "probe"
    environment = {**os.environ, "PYTHONPATH": str(where), "VITALSD_DIR": str(tmp_path / "segments")}
    started = []
    for generation in range(3):
        monkeypatch.setattr(probe_command, "SOURCE", _sources(tmp_path, generation))
        probe_command.install_probe(where)
        process = subprocess.Popen(
            [sys.executable, *isolated, "-c", LATER],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        started.append((process, Path(process.stdout.readline().strip()).parent))
        if generation == 1:
            for number, (earlier, package) in enumerate(started):
                said = earlier.communicate("go on\n", timeout=30)[0]
                assert said == f"{package / 'layout.py'} {number}\n"
    (_, first), (_, second), (last, third) = started
    last.communicate("go on\n", timeout=30)

    assert len({first, second, third}) == 3
    assert (first.exists(), second.exists(), third.exists()) == (False, True, True)


def test_a_probe_is_there_at_every_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first installation on, and over the one that older versions made, there is always a whole probe."""
    where = tmp_path / "probe"
    where.mkdir()
    shutil.copytree(probe_command.SOURCE / "python", where / "vitalsd_probe")
    shutil.copy(probe_command.SOURCE / "launch" / "sitecustomize.py", where)

    def look() -> str:
        code = "import vitalsd_probe as probe; from vitalsd_probe import layout; print(probe.__path__[0])"
        command = [sys.executable, "-S", "-c", code]
        environment = {**os.environ, "PYTHONPATH": str(where)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    seen = []

    def watched(move: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
        def moved(path: Path, to: Path) -> Path:
            answer = move(path, to)
            seen.append(look())
            return answer

        return moved

    monkeypatch.setattr(Path, "rename", watched(Path.rename))
    monkeypatch.setattr(Path, "replace", watched(Path.replace))
    probe_command.install_probe(where)
    assert seen[0] == str(where / "vitalsd_probe")
    assert re.fullmatch(rf"{where}/vitalsd_probe-[0-9.]+-[0-9a-f]{{8}}/vitalsd_probe", seen[-1])
    (version,) = where.glob("vitalsd_probe-*")
    (version / "vitalsd_probe" / "layout.py").write_text("damaged(")
    monkeypatch.undo()
    probe_command.install_probe(where)
    assert look() == seen[-1], "what is damaged is mended"


def test_a_file_that_becomes_wrong_later_is_no_reason_to_stop(agent: Agent) -> None:
    """The agent that runs goes on when its file has gone; a reload answers with the sentence."""
    config = agent.folder / "valid.yaml"
    with watching(agent, "--config", str(config)) as process:
        config.unlink()
        status, sentence = agent.get("/-/reload", method="POST")
        assert status == 500
        assert "see the log" in sentence
        assert config.name not in sentence, "whoever asks is told nothing of this machine"
        assert agent.get("/-/reload", method="POST")[0] == 429
        assert process.poll() is None
        assert agent.get("/-/healthy")[0] == 200


def test_without_a_place_for_its_token_the_agent_watches_all_the_same(agent: Agent) -> None:
    """A folder that cannot be made costs `vitalsd status` its token, and metrics and health nothing."""
    agent.environment["VITALSD__STORAGE__DIR"] = str(agent.folder / "valid.yaml" / "x")
    with watching(agent, "--pid", str(os.getpid()), "--name", "shop") as process:
        assert agent.scrape().up("shop") == {"0"}
        status = agent.command("status", agent.listens[1])
        process.terminate()
        said = process.communicate(timeout=20)[1]

    assert process.returncode == 0
    assert status.returncode == 1
    (line,) = (line for line in said.splitlines() if "control_token_not_stored" in line)
    assert "Cannot write a token to" in line
    assert "control.token_file" in line


def test_somebody_elses_sitecustomize_is_kept(tmp_path: Path) -> None:
    """A folder with one of its own is refused, and nothing in it is touched."""
    (tmp_path / "sitecustomize.py").write_text("print('mine')\n")
    with pytest.raises(UsageError, match="choose another folder"):
        probe_command.install_probe(tmp_path)
    assert (tmp_path / "sitecustomize.py").read_text() == "print('mine')\n"
    assert [path.name for path in tmp_path.iterdir()] == ["sitecustomize.py"]
