"""Files of captures through the API: whole and by ranges, only those a capture names, and harmless to look at."""

import asyncio
import hashlib
import os
from pathlib import Path
from urllib.parse import unquote

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs
from support.captures import PROFILE, FakeCaptures
from support.views import FixedView

from vitalsd.capture.model import Artifact
from vitalsd_exporters.state import OpenFile
from vitalsd_exporters.web import files
from vitalsd_exporters.web.api import control_app
from vitalsd_exporters.web.auth import Token
from vitalsd_exporters.web.files import FileAnswer, wanted_range

BEARER = {"Authorization": "Bearer s3cret"}
PLACE = f"/api/v1/captures/{PROFILE.id}/files"
TAG = f'"{hashlib.sha256(b"0123456789").hexdigest()}"'


@pytest.fixture
def captures():
    """One profile with two files."""
    return FakeCaptures()


@pytest.fixture
def fetch(ask, captures):
    """Ask the agent for a file."""

    def request(name, method="GET", **headers):
        app = control_app(FixedView(captures=captures), Token("s3cret"), "127.0.0.1")
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        return ask(app, method, f"{PLACE}/{name}", headers={**BEARER, **sent})

    return request


def descriptors():
    """Of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_file_is_sent_whole(fetch):
    """With its type, its length, its sum as the tag, and for keeping."""
    answer = fetch("profile.bin")
    assert (answer.status_code, answer.content) == (200, b"0123456789")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-length"] == "10"
    assert answer.headers["etag"] == TAG
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-disposition"].startswith('attachment; filename="profile.bin"')


def test_a_head_has_the_headers_alone(fetch):
    """The length is that of the file; a range is of what is sent, which is nothing."""
    answer = fetch("profile.bin", "HEAD", Range="bytes=0-1")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "10")


@pytest.mark.parametrize(
    ("header", "status", "body", "range_told"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
        ("BYTES=9-99", 206, b"9", "bytes 9-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=-0", 416, b"", "bytes */10"),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("bytes=5-2", 200, b"0123456789", None),
        ("bytes=-", 200, b"0123456789", None),
        ("bytes=a-b", 200, b"0123456789", None),
        ("bytes=²-³".encode("latin-1"), 200, b"0123456789", None),
        ("lines=0-1", 200, b"0123456789", None),
        ("bytes=9999999999999999999999-", 200, b"0123456789", None),
    ],
)
def test_a_range_is_sent(fetch, header, status, body, range_told):
    """One range; several, or what is malformed, is the whole file; one that holds nothing says how long it is."""
    answer = fetch("profile.bin", Range=header)
    assert (answer.status_code, answer.content) == (status, body)
    assert answer.headers.get("content-range") == range_told
    assert answer.headers["content-length"] == str(len(body))


@pytest.mark.parametrize(
    ("condition", "status"),
    [(TAG, 206), ('"other"', 200), (f"W/{TAG}", 200), ("Wed, 01 Jul 2026 12:00:00 GMT", 200)],
)
def test_a_download_goes_on_only_with_the_same_file(fetch, condition, status):
    """What has changed meanwhile is sent from its beginning."""
    assert fetch("profile.bin", Range="bytes=5-", If_Range=condition).status_code == status


def test_an_empty_file_has_no_range(fetch, captures):
    """And is sent all the same."""
    captures.finish(PROFILE.id, {"empty.txt": b""}, "text/plain")
    assert (fetch("empty.txt").status_code, fetch("empty.txt").content) == (200, b"")
    assert fetch("empty.txt", Range="bytes=0-").status_code == 416


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "%2e%2e",
        "%2E%2E%2Fcapture.json",
        "../../../../etc/passwd",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "..%5cprofile.bin",
        "%2fetc%2fpasswd",
        "/etc/passwd",
        "profile.bin%00",
        "%00",
        "profile.bin/",
        "profile.bin%2f..%2fprofile.bin",
        "./profile.bin%20",
        "PROFILE.BIN",
        "capture.json",
        "",
    ],
)
def test_a_name_is_one_that_the_capture_tells_or_none(captures, name):
    """Traversal in any spelling is 404, and the desk is not even asked; the path comes as a server decodes it."""

    async def never(*_):
        raise AssertionError("asked for a file that no capture names")

    captures.open_file = never
    app = control_app(FixedView(captures=captures), Token("s3cret"), "127.0.0.1")
    scope = {
        "type": "http",
        "method": "GET",
        "path": f"{PLACE}/{unquote(name)}",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), (b"authorization", b"Bearer s3cret")],
    }
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 404


@pytest.mark.parametrize("who", ["..", "%2e%2e", "%2fetc", "a%00b"])
def test_an_id_is_one_that_was_given(ask, captures, who):
    """Or 404."""
    app = control_app(FixedView(captures=captures), Token("s3cret"), "127.0.0.1")
    assert ask(app, "GET", f"/api/v1/captures/{who}/files/x", headers=BEARER).status_code == 404


@pytest.mark.parametrize(
    ("sort", "how", "runs"),
    [
        ("text/html", "inline", True),
        ("image/svg+xml", "inline", True),
        ("application/json", "inline", False),
        ("text/plain", "inline", False),
        ("application/gzip", "attachment", False),
        ("text/javascript", "attachment", False),
        ("text/html\r\nX-Evil: 1", "attachment", False),
    ],
)
def test_what_a_browser_shows_it_shows_in_a_sandbox(fetch, captures, sort, how, runs):
    """No origin, so no cookie and no API; scripts only in pages, only their own, and nothing to connect to."""
    captures.finish(PROFILE.id, {"file": b"<script>"}, sort)
    headers = fetch("file").headers
    policy = {part.split()[0]: part.split()[1:] for part in headers["content-security-policy"].split(";")}
    assert headers["content-disposition"].startswith(how)
    assert policy["sandbox"] == (["allow-scripts"] if runs else [])
    assert policy["default-src"] == policy["form-action"] == policy["base-uri"] == ["'none'"]
    assert policy.get("script-src") == (["'unsafe-inline'"] if runs else None)
    assert not {"connect-src", "frame-src", "worker-src"} & policy.keys()  # default-src holds for these
    assert headers["x-content-type-options"] == "nosniff"
    assert "x-evil" not in headers
    assert headers["content-type"].split(";")[0] == (sort if "\r" not in sort else "application/octet-stream")


def test_a_name_cannot_break_out_of_its_header(fetch, captures):
    """Quotes and line breaks in it are told in the form that has none."""
    name = 'a"; x="é'
    captures.finish(PROFILE.id, {name: b"1"})
    told = fetch("a%22;%20x=%22%C3%A9").headers["content-disposition"]
    assert told == "attachment; filename=\"a___x___\"; filename*=UTF-8''a%22%3B%20x%3D%22%C3%A9"


def test_a_file_that_has_gone_meanwhile_is_404(fetch, captures):
    """It was deleted to make room."""
    captures.files.clear()
    assert fetch("profile.bin").status_code == 404


def test_every_descriptor_is_closed(fetch):
    """After a whole file, a range, none, and the headers alone."""
    fetch("profile.bin")
    before = descriptors()
    for header in ("bytes=0-1", "bytes=99-", ""):
        fetch("profile.bin", Range=header)
        fetch("profile.bin", "HEAD")
    assert descriptors() == before


def test_a_download_is_written_down(fetch):
    """What was sent to whom, and how much of it."""
    with capture_logs() as logs:
        fetch("profile.bin", Range="bytes=0-3")
        fetch("profile.bin", "HEAD")
        fetch("nobody")
    [line] = logs
    assert (line["event"], line["file"], line["sent_bytes"]) == ("capture_downloaded", "profile.bin", 4)
    assert (line["outcome"], line["client"], line["capture"]) == ("complete", "127.0.0.1", PROFILE.id)


def big(folder: Path, size: int = 3 * files.CHUNK_BYTES + 5):
    """An open file of some chunks, and what it is."""
    path = folder / "big"
    path.write_bytes(os.urandom(size))
    artifact = Artifact("big", size, hashlib.sha256(path.read_bytes()).hexdigest(), "application/octet-stream")
    return OpenFile(os.open(path, os.O_RDONLY), size, artifact.media_type), artifact, path


def send_to(answer, send, receive=None):
    """Run one answer against a client made by hand."""

    async def silent():
        await asyncio.Event().wait()

    async def main():
        async with asyncio.timeout(30):
            await answer({"type": "http", "method": "GET"}, receive or silent, send)

    asyncio.run(main())


def test_it_is_sent_chunk_by_chunk(tmp_path):
    """However large it is, no more than a chunk of it is in memory; and it arrives as it is."""
    opened, artifact, path = big(tmp_path)
    sent, told = [], []

    async def send(message):
        sent.append(message)

    send_to(FileAnswer(opened, artifact, ("", ""), lambda *numbers: told.append(numbers)), send)
    chunks = [message["body"] for message in sent[1:]]
    assert b"".join(chunks) == path.read_bytes()
    assert max(map(len, chunks)) <= files.CHUNK_BYTES
    assert [message["more_body"] for message in sent[1:]] == [True, True, True, False]
    assert told == [(artifact.size_bytes, artifact.size_bytes)]


def test_who_leaves_is_sent_no_more(tmp_path):
    """The rest is not even read, the file is closed, and the log is told how much went out."""
    opened, artifact, _ = big(tmp_path)
    told, bodies = [], []
    left = asyncio.Event()

    async def send(message):
        if message["type"] == "http.response.body":
            bodies.append(message)
            left.set()
        await asyncio.sleep(0)

    async def receive():
        await left.wait()
        return {"type": "http.disconnect"}

    send_to(FileAnswer(opened, artifact, ("", ""), lambda *numbers: told.append(numbers)), send, receive)
    assert len(bodies) < 4
    assert told == [(files.CHUNK_BYTES * len(bodies), artifact.size_bytes)]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened.descriptor)


def test_who_takes_nothing_is_not_waited_for(tmp_path, monkeypatch):
    """A client that stands still would hold a connection for ever."""
    monkeypatch.setattr(files, "STALLED_SECONDS", 0.02)
    opened, artifact, _ = big(tmp_path)
    told = []

    async def send(message):
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    send_to(FileAnswer(opened, artifact, ("", ""), lambda *numbers: told.append(numbers)), send)
    assert told == [(0, artifact.size_bytes)]


def test_a_file_that_has_become_shorter_ends_the_answer(tmp_path):
    """What was promised is not made up."""
    opened, artifact, path = big(tmp_path)
    os.truncate(path, 10)
    sent = []

    async def send(message):
        sent.append(message)

    send_to(FileAnswer(opened, artifact, ("", ""), lambda *_: None), send)
    assert sent[-1]["more_body"] is True
    assert len(sent[-1]["body"]) == 10


def test_a_sum_that_is_none_is_no_tag(fetch, captures):
    """A manifest that somebody has changed cannot put anything into a header."""
    broken = tuple(replace(each, sha256='x"\r\nX-Evil: 1') for each in PROFILE.artifacts)
    captures.change(PROFILE.id, artifacts=broken)
    answer = fetch("profile.bin")
    assert answer.status_code == 200
    assert "etag" not in answer.headers and "x-evil" not in answer.headers


def test_ranges_of_all_lengths():
    """The first byte and the one after the last."""
    assert wanted_range("bytes=0-0", 1) == (0, 1)
    assert wanted_range(" bytes=0- ", 5) == (0, 5)
    assert wanted_range("bytes=2-3", 3) == (2, 3)
    for empty in ("bytes=0-", "bytes=-1"):
        with pytest.raises(ValueError, match="no byte"):
            wanted_range(empty, 0)
