"""The token: where it is kept, and who gets past without it (nobody)."""

import os
import stat
from pathlib import Path

import pytest

from vitalsd.errors import UsageError
from vitalsd_exporters.web.auth import Token, load_token, store_token


def test_a_configured_token_is_read(tmp_path):
    """The line break that every editor adds is not part of it."""
    file = tmp_path / "token"
    file.write_text("s3cret\n")
    assert load_token(file).value == "s3cret"


def test_a_generated_token_is_private_and_kept(tmp_path):
    """Only our own user can read it, whatever the umask; and the next agent has the same, so no page is ended."""
    path = tmp_path / "token"
    first = load_token(None, kept=path)
    store_token(first, path)
    assert path.read_text().strip() == first.value
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_token(None, kept=path).value == first.value
    assert [file.name for file in tmp_path.iterdir()] == ["token"]


def test_a_token_is_made_where_none_was_left(tmp_path):
    """Each agent has one of its own."""
    values = {load_token(None, kept=tmp_path / "token").value, load_token(None).value, load_token(None).value}
    assert len(values) == 3


def spoil(path, other):
    """Ways in which somebody else may know or choose what lies at `path`."""
    good = path.read_text()
    return {
        "others may read it": lambda: path.chmod(0o604),
        "its group may write it": lambda: path.chmod(0o620),
        "a link": lambda: (path.unlink(), other.write_text(good), other.chmod(0o600), path.symlink_to(other)),
        "another name of a file": lambda: os.link(path, other),
        "a pipe": lambda: (path.unlink(), os.mkfifo(path, 0o600)),
        "a folder": lambda: (path.unlink(), path.mkdir(0o700)),
        "cut off": lambda: path.write_text(good[:20]),
        "two lines": lambda: path.write_text(good + good),
        "no text": lambda: path.write_bytes(b"\xff" * 43),
    }


@pytest.mark.parametrize("how", list(spoil(Path("/dev/null"), Path("/dev/null"))))
def test_a_token_that_others_may_know_is_replaced(tmp_path, how):
    """Whoever could read or plant it must not get in; and what cannot work is no token."""
    path = tmp_path / "token"
    first = load_token(None, kept=path)
    store_token(first, path)
    spoil(path, tmp_path / "other")[how]()
    assert load_token(None, kept=path).value != first.value


def test_a_file_of_another_user_is_not_our_token(tmp_path, monkeypatch):
    """Root reads everything, and would take a token that a user of the host has chosen."""
    path = tmp_path / "token"
    first = load_token(None, kept=path)
    store_token(first, path)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert load_token(None, kept=path).value != first.value


def test_a_key_is_of_one_agent_and_stays(tmp_path):
    """The same after a restart; another where the token, the host or the address is another; and not the token."""
    key = Token("s3cret", "host 127.0.0.1:18781").key
    assert Token("s3cret", "host 127.0.0.1:18781").key == key
    others = [
        Token("other", "host 127.0.0.1:18781"),
        Token("s3cret", "host 127.0.0.1:1"),
        Token("s3cret", "host2 127.0.0.1:18781"),
    ]
    assert key not in {"s3cret", *(each.key for each in others)}
    assert len(key) == 43


def test_a_link_at_the_place_of_the_token_is_replaced_and_not_followed(tmp_path):
    """Nobody gets a file of theirs written by planting a link."""
    other, path = tmp_path / "other", tmp_path / "token"
    other.write_text("untouched")
    path.symlink_to(other)
    store_token(load_token(None), path)
    assert other.read_text() == "untouched"
    assert not path.is_symlink()


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"", "is empty"), (b"a b", "ASCII"), (b"caf\xc3\xa9", "ASCII"), (b"\xff\xfe", "not text")],
)
def test_a_token_that_cannot_work_is_refused_at_the_start(tmp_path, content, what):
    """Better than a daemon that nobody can talk to."""
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=what) as refusal:
        load_token(file)
    assert str(file) in str(refusal.value)


def test_a_missing_token_file_names_the_setting(tmp_path):
    """The person knows which key to correct."""
    with pytest.raises(UsageError, match=r"exporters\.control\.token_file"):
        load_token(tmp_path / "nowhere")


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path):
    """Not a traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"make its folder writable or set `exporters\.control\.token_file`"):
        store_token(Token("s3cret"), tmp_path / "file" / "token")


def test_the_folder_of_a_token_is_made(tmp_path):
    """A first start on a new machine finds no folder, and lets nobody else look into the one it makes."""
    store_token(Token("s3cret"), tmp_path / "new" / "token")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_a_token_does_not_print_itself():
    """A token in a log is no secret."""
    assert "s3cret" not in repr(Token("s3cret"))


def test_any_guess_may_be_compared():
    """Strange bytes in a header are a wrong token, not an error."""
    assert not Token("s3cret").matches("schlüssel")
    assert Token("s3cret").matches("s3cret")
