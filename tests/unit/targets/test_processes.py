"""The table of processes, read from a /proc of the test's own; and command lines without their secrets."""

import builtins
import errno
import os
import re
import time

import pytest
from support.proctree import TICKS, ProcTree

from vitalsd.model import WorkerKey
from vitalsd.targets.processes import Process, ProcessTable, has_gone
from vitalsd.targets.scrub import scrub

UPTIME_SECONDS = 10_000.0
YOUNG = int(UPTIME_SECONDS * TICKS)
OLD = 500


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """An empty /proc on a machine that has been up for some hours."""
    monkeypatch.setattr(time, "clock_gettime", lambda _: UPTIME_SECONDS)
    return ProcTree(tmp_path / "proc")


def look(tree, pid=10):
    """One process, as somebody sees it who looks for the first time."""
    return ProcessTable(tree.root).refresh(0.0).get(pid)


def commands(table):
    """What each process runs."""
    return {pid: process.command for pid, process in table.items()}


def test_process(tree, tmp_path):
    """Identity, parent, owner and the whole command line, with spaces for what separates the arguments."""
    tree.add(10, ["python", "-m", "shop web", ""], parent=7, start=4321)
    owner = (tmp_path / "proc/10").stat().st_uid
    process = look(tree)
    assert process == Process(WorkerKey(10, 4321), 7, owner, "python\0-m\0shop web")
    assert (process.pid, process.command) == (10, "python -m shop web")


@pytest.mark.parametrize("name", ["a b", "x) R 1 (", "))) S 9 9", "(", ""])
def test_strange_names(tree, name):
    """A process may call itself anything; its name never passes for other fields."""
    tree.add(10, name=name, parent=7, start=4321)
    assert (look(tree).parent, look(tree).key.start_ticks) == (7, 4321)


def test_bytes_that_are_no_text(tree):
    """A command line in another encoding is readable all the same."""
    tree.add(10)
    (tree.root / "10/cmdline").write_bytes(b"caf\xe9\0--menu\0")
    assert look(tree).command == "caf� --menu"


@pytest.mark.parametrize("state", ["Z", "X"])
def test_dead(tree, state):
    """A zombie is no process: nothing can be watched in it."""
    tree.add(10, state=state)
    assert ProcessTable(tree.root).refresh(0.0) == {}


def test_gone(tree):
    """A process that is not there, or goes between two of its files, is none."""
    assert look(tree) is None
    tree.add(10)
    (tree.root / "10/cmdline").unlink()
    assert look(tree) is None
    tree.add(10)
    (tree.root / "10/stat").write_text("10 (python) S 1")
    assert look(tree) is None


def test_table(tree):
    """Every process is in it, and nothing else of what /proc holds."""
    tree.add(10, "python a.py")
    tree.add(11, "python b.py", parent=10)
    assert commands(ProcessTable(tree.root).refresh(0.0)) == {10: "python a.py", 11: "python b.py"}


def test_young_and_old(tree):
    """A young process is read every time, since it may execute something else; a settled one once a minute."""
    tree.add(10, "sh start.sh", start=YOUNG)
    tree.add(20, "sh start.sh", start=OLD)
    table = ProcessTable(tree.root)
    read = []
    for second in range(0, 300, 10):
        for pid in (10, 20):
            tree.rename(pid, f"python {second}.py")
        told = commands(table.refresh(1000.0 + second))
        assert told[10] == f"python {second}.py"
        read.append(told[20])
    kept = [read.count(command) for command in dict.fromkeys(read)]
    assert set(kept[1:-1]) == {6}


def test_settled_ones_take_turns(tree):
    """What is read again once a minute is never read all at once; after a long rest everything is."""
    pids = range(100, 160)
    for pid in pids:
        tree.add(pid, "sh start.sh", start=OLD)
    table = ProcessTable(tree.root)
    table.refresh(1000.0)
    for pid in pids:
        tree.rename(pid, "python a.py")
    anew = [list(commands(table.refresh(1000.0 + at)).values()).count("python a.py") for at in range(10, 70, 10)]
    assert anew == [10, 20, 30, 40, 50, 60]
    for pid in pids:
        tree.rename(pid, "python b.py")
    assert set(commands(table.refresh(2000.0)).values()) == {"python b.py"}


def test_comings_and_goings(tree):
    """Who comes and who goes shows each time, settled or not."""
    tree.add(10, "python a.py", start=OLD)
    table = ProcessTable(tree.root)
    assert table.refresh(0.0).keys() == {10}
    tree.remove(10)
    tree.add(11, "python b.py", start=OLD)
    assert table.refresh(1.0).keys() == {11}


def test_forget(tree):
    """A settled process is read again once the finder says so."""
    tree.add(10, "python a.py", start=OLD)
    table = ProcessTable(tree.root)
    table.refresh(1000.0)
    tree.rename(10, "python b.py")
    assert commands(table.refresh(1001.0)) == {10: "python a.py"}
    table.forget(10)
    table.forget(99)
    assert commands(table.refresh(1002.0)) == {10: "python b.py"}


def test_process_that_may_not_be_read(readable, somebody):
    """One that this user may not see (/proc mounted with hidepid=1) must not hide all the others."""
    tree = ProcTree(readable / "proc")
    tree.add(10, "python a.py")
    tree.add(11, "python b.py")
    (tree.root / "10/cmdline").chmod(0)
    with somebody():
        assert commands(ProcessTable(tree.root).refresh(0.0)) == {11: "python b.py"}


@pytest.mark.parametrize("file", ["10/stat", "10/cmdline", ""])
def test_not_known_now(tree, monkeypatch, file):
    """An agent that has too many files open forgets nobody, takes nobody for gone, and reads again when it can."""
    tree.add(10, "python a.py", start=YOUNG)
    table = ProcessTable(tree.root)
    table.refresh(0.0)
    tree.rename(10, "python b.py")

    def failing(real):
        def call(path, *rest):
            if str(path) == str(tree.root / file):
                raise OSError(errno.EMFILE, "Too many open files")
            return real(path, *rest)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "open", failing(open))
        for name in ("open", "scandir"):
            patch.setattr(os, name, failing(getattr(os, name)))
        assert commands(table.refresh(1.0)) == {10: "python a.py"}
        assert not has_gone(tree.root, WorkerKey(10, YOUNG))
    assert commands(table.refresh(2.0)) == {10: "python b.py"}
    assert has_gone(tree.root, WorkerKey(10, YOUNG + 1))


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("python app.py --port 80", "python app.py --port 80"),
        ("app --password hunter2 --port 80", "app --password *** --port 80"),
        ("app --password=hunter2 x", "app --password=*** x"),
        ("app --db-passwd hunter2", "app --db-passwd ***"),
        (
            "env DB_PASSWORD=hunter2 AWS_SECRET_ACCESS_KEY=abc app",
            "env DB_PASSWORD=*** AWS_SECRET_ACCESS_KEY=*** app",
        ),
        ("app --api-key abc --apikey=def --API_KEY ghi", "app --api-key *** --apikey=*** --API_KEY ***"),
        ("app --token=abc --Secret abc", "app --token=*** --Secret ***"),
        ("app postgres://shop:hunter2@db:5432/shop", "app postgres://***@db:5432/shop"),
        ("app redis://:hunter2@cache/0 http://db/x", "app redis://***@cache/0 http://db/x"),
        ("curl http://x/?token=abc", "curl http://x/?token=***"),
        ("app user@example.org", "app user@example.org"),
        ("env DB_PASS=hunter2 PGPASS=x app", "env DB_PASS=*** PGPASS=x app"),
        ("app --pass hunter2 --db-pass=x -pass x", "app --pass *** --db-pass=*** -pass ***"),
        ("app --redis-pwd=hunter2 --pwd hunter2", "app --redis-pwd=*** --pwd ***"),
        ("app --auth=me:hunter2 --auth me:hunter2", "app --auth=*** --auth ***"),
        ("app --private-key=abc --PRIVATE_KEY abc", "app --private-key=*** --PRIVATE_KEY ***"),
        ("app --compass x --author=me --passive yes", "app --compass x --author=me --passive yes"),
        ("app --bypass=x --authority y --pass-through", "app --bypass=x --authority y --pass-through"),
        ("python -m auth --port 80", "python -m auth --port 80"),
        ("mysql -uroot -phunter2 -P3306 shop", "mysql -uroot -p*** -P3306 shop"),
        ("/usr/bin/mysqldump -phunter2 shop", "/usr/bin/mysqldump -p*** shop"),
        ("mysql -p shop", "mysql -p shop"),
        ("ssh -p22 db", "ssh -p22 db"),
    ],
)
def test_scrub(command, shown):
    """What looks like a secret never leaves the agent, and the rest is untouched: as arguments, and within one."""
    assert scrub(command.split()) == shown
    assert scrub(["sh", "-c", f"exec {command}"]) == f"sh -c exec {shown}"


@pytest.mark.parametrize(
    ("command", "secret"),
    [
        ('app {"password": "hunter2"}', "hunter2"),
        ("curl -H Authorization: Bearer hunter2", "hunter2"),
        ("gpg --passphrase hunter2", "hunter2"),
        ("app redis://:hun/ter2@cache", "ter2"),
        ("app redis://:hun@ter2@cache", "ter2"),
        ("app --use-token --password hunter2", "hunter2"),
        ("app --password= hunter2", "hunter2"),
        ("sshpass -phunter2 ssh -p22 db", "hunter2"),
        ("openssl rsa -passin pass:hunter2", "hunter2"),
        ("docker run -e MYSQL_PWD=hunter2 x", "hunter2"),
    ],
)
def test_scrub_more(command, secret):
    """Secrets in other shapes that command lines have."""
    assert secret not in scrub(command.split())
    assert secret not in scrub([f"exec {command}"])


@pytest.mark.parametrize(
    "secret", ["hun,ter2", "hun}ter2", "hun'ter2", 'hun"ter2', "hun ter2", "-hun\tter2", "a@b c"]
)
def test_scrub_signs(secret):
    """Passwords are full of signs, and may be full of spaces; none of them ends one before its argument does."""
    assert scrub(["app", "--password", secret, "--port", "80"]) == "app --password *** --port 80"
    assert scrub(["app", f"--password={secret}", "--port", "80"]) == "app --password=*** --port 80"
    assert scrub(["curl", f"Authorization: Bearer {secret}", "x"]) == "curl Authorization: *** x"
    assert scrub(["app", f"postgres://shop:{secret}@db/shop", "x"]) == "app postgres://***@db/shop x"


@pytest.mark.parametrize(
    "text",
    [
        "exec app --password 'hun ter2' --port 80",
        'exec app --password="hun \\" ter2" --port 80',
        "exec app --password hun\\ ter2 --port 80",
        "exec app --password hun'\"'ter2 --port 80",
    ],
)
def test_scrub_quoted(text):
    """Within a script a secret ends where the shell says."""
    assert re.sub("[ =]", " ", scrub(["sh", "-c", text])) == "sh -c exec app --password *** --port 80"


def test_scrub_quote_without_end():
    """Where nobody can tell the end of a secret, all of the rest is one."""
    assert scrub(["exec app --password hun'ter2 --port 80"]) == "exec app --password ***"


def test_scrub_shortens():
    """A long command line is cut, and says so; a secret is not saved by the cut."""
    assert scrub(["x" * 200]) == "x" * 200
    assert scrub(["x" * 201]) == "x" * 199 + "…"
    assert "hunter2" not in scrub(["x"] * 95 + ["--password", "hunter2"])


@pytest.mark.parametrize(
    "piece", ["a", "-", " ", "a ", "token", "token-", "a://", "://@", "'", '"', "password=", "mysql ", "pass-"]
)
def test_scrub_much(piece):
    """However long a command line is and whatever is repeated in it, the agent is not held up by it."""
    for arguments in ([piece * 100_000], [piece * (999 // len(piece))] * 10, [piece] * 100_000):
        assert len(scrub(arguments)) <= 200
    assert scrub(["python", "-c", piece * 100_000]) == "python -c …"
    arguments = iter([piece * 50] * 100)
    scrub(arguments)
    assert next(arguments), "what is not shown is not looked at"


def test_shown():
    """What others may see of a process is made of its arguments once, and kept."""
    process = Process(WorkerKey(10, 1000), 1, 0, "app\0--password\0correct horse")
    assert (process.command, process.shown) == ("app --password correct horse", "app --password ***")
    assert process.shown is process.shown


def test_a_pid_that_was_taken_again_is_another_process_at_once(tree):
    """However long the one before was there, and whoever had asked for it: the listing tells the two apart."""
    tree.add(10, "cron", start=OLD)
    tree.add(11, "shop", start=OLD)
    table = ProcessTable(tree.root)
    table.refresh(0.0)
    table.refresh(1.0)
    tree.add(12, "worker", parent=11, start=YOUNG)
    tree.remove(10)
    (tree.root / "12").rename(tree.root / "10")
    after = table.refresh(2.0)
    assert (after[10].command, after[10].key, after[10].parent) == ("worker", WorkerKey(10, YOUNG), 11)
    assert after[11].command == "shop"
