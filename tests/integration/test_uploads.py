"""Captures are copied to object storage by a program beside the agent, again and again until they are there."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from vitalsd.capture import uploads
from vitalsd.capture.ledger import Ledger
from vitalsd.capture.manifest import MANIFEST
from vitalsd.capture.model import Capture
from vitalsd.capture.store import Store
from vitalsd.capture.upload import read_secrets
from vitalsd.capture.uploads import Uploads
from vitalsd.settings.model import Capture as CaptureSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LISTEN = "127.0.0.1:18780"
FLAMES = b"<svg/>" * 2_000_000
"""Enough for an upload in several parts."""


class Bucket:
    """An S3 API on the loopback, as far as copying goes: signed puts, whole and in parts."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.order: list[str] = []
        self.parts: dict[str, dict[int, bytes]] = {}
        self.refuse = 0
        self.keys: set[str] = set()
        bucket = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

            def _answer(self, status: int, body: bytes = b"") -> None:
                self.send_response(status)
                self.send_header("ETag", '"tag"')
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def _body(self) -> bytes:
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))

            def _is_refused(self) -> bool:
                signed = self.headers.get("Authorization", "")
                if not signed.startswith("AWS4-HMAC-SHA256 Credential=theirs/"):
                    self._answer(403, b"<Error><Code>AccessDenied</Code></Error>")
                    return True
                bucket.keys.add(self.path.partition("?")[0])
                if bucket.refuse:
                    bucket.refuse -= 1
                    self._answer(403, b"<Error><Code>AccessDenied</Code></Error>")
                    return True
                return False

            def do_PUT(self) -> None:
                """A whole object, or a part of one."""
                body = self._body()
                if self._is_refused():
                    return
                path, _, query = self.path.partition("?")
                if "partNumber=" in query:
                    number = int(query.partition("partNumber=")[2].partition("&")[0])
                    bucket.parts.setdefault(path, {})[number] = body
                else:
                    bucket.objects[path] = body
                    bucket.order.append(path)
                self._answer(200)

            def do_POST(self) -> None:
                """The beginning of several parts, and their end."""
                self._body()
                if self._is_refused():
                    return
                path, _, query = self.path.partition("?")
                if query.startswith("uploads"):
                    begun = f"<Bucket>b</Bucket><Key>{path}</Key><UploadId>1</UploadId>"
                    what = "InitiateMultipartUploadResult"
                else:
                    bucket.objects[path] = b"".join(
                        bucket.parts[path][each] for each in sorted(bucket.parts[path])
                    )
                    bucket.order.append(path)
                    begun, what = '<ETag>"tag"</ETag>', "CompleteMultipartUploadResult"
                self._answer(200, f"<{what}>{begun}</{what}>".encode())

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def secrets(self) -> str:
        """What a file of secrets has for it."""
        endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        return (
            f"# of the bucket\nAWS_ACCESS_KEY_ID=theirs\nAWS_SECRET_ACCESS_KEY=s3cret\nAWS_ENDPOINT={endpoint}\n"
            "AWS_ALLOW_HTTP=true\nAWS_REGION=us-east-1\n"
        )

    def close(self) -> None:
        """No more."""
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    """An empty one."""
    with contextlib.closing(Bucket()) as made:
        yield made


class Shop:
    """A ledger and a store with one capture that is done."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "var"
        self.store = Store(lambda: self.folder, LISTEN)
        self.ledger = self.open()
        self.capture = self.make("0abc")

    def open(self) -> Ledger:
        """As an agent does at its start."""
        ledger = Ledger(lambda: self.folder, LISTEN)
        ledger.start()
        return ledger

    def make(self, name: str) -> Capture:
        """One more."""
        now = time.time()
        capture = Capture(
            id=name,
            kind="cpu",
            target="shop",
            worker="0",
            pid=7,
            state="done",
            asked_by="person",
            who="me",
            reason="a test",
            incident=None,
            seconds=1.0,
            asked_at=now,
            started_at=now,
            ended_at=now,
            engine="py-spy",
        )
        (self.store.begin(name) / "flames.svg").write_bytes(FLAMES)
        files = self.store.finish(capture, {"flames.svg": "image/svg+xml"})
        done = Capture(
            **{**{each: getattr(capture, each) for each in capture.__struct_fields__}, "artifacts": files}
        )
        self.ledger.put(done)
        return done

    def upload(self, until: Callable[[Capture], bool], **keys: str) -> Capture:
        """Copy until the capture is as it should be."""

        async def check() -> None:
            going = asyncio.ensure_future(
                Uploads(self.ledger, self.store, CaptureSettings(**keys), time.time).run()
            )
            try:
                async with asyncio.timeout(40):
                    while not until(self.now):  # noqa: ASYNC110 - the ledger tells nobody
                        await asyncio.sleep(0.02)
            finally:
                going.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await going

        asyncio.run(check())
        return self.now

    @property
    def now(self) -> Capture:
        """The capture as the ledger has it."""
        found = self.ledger.one(self.capture.id)
        assert found is not None
        return found


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """Whose uploads are looked at often."""
    monkeypatch.setattr(uploads, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(uploads, "FIRST_RETRY_SECONDS", 0.05)
    made = Shop(tmp_path)
    yield made
    made.ledger.close()


def test_to_a_bucket(shop: Shop, bucket: Bucket, tmp_path: Path) -> None:
    """Signed with what the file of secrets has; refused ones are tried again, and the manifest comes last."""
    secrets = tmp_path / "secrets"
    secrets.write_text(bucket.secrets)
    bucket.refuse = 1
    keys = {"upload": "s3://evidence/fleet", "upload_secret_file": str(secrets)}
    refused = shop.upload(lambda now: now.upload_problem is not None, **keys)
    assert refused.uploaded_at is None
    assert "s3cret" not in (refused.upload_problem or "")
    assert not bucket.objects
    shop.ledger.close()  # another agent begins, which finds it in the ledger
    shop.ledger = shop.open()
    done = shop.upload(lambda now: now.uploaded_at is not None, **keys)
    assert done.upload_problem is None
    assert bucket.order == ["/evidence/fleet/0abc/flames.svg", f"/evidence/fleet/0abc/{MANIFEST}"]
    manifest = json.loads(bucket.objects[bucket.order[1]])
    [artifact] = manifest["artifacts"]
    assert hashlib.sha256(bucket.objects[bucket.order[0]]).hexdigest() == artifact["sha256"]


def test_nobody_is_there(shop: Shop, bucket: Bucket, tmp_path: Path) -> None:
    """A store that does not answer is told, and keeps nothing else from going on."""
    secrets = tmp_path / "secrets"
    secrets.write_text(bucket.secrets.replace("AWS_ENDPOINT=http://", "AWS_ENDPOINT=http://no.such.host.invalid/"))
    told = shop.upload(
        lambda now: now.upload_problem is not None, upload="s3://evidence", upload_secret_file=str(secrets)
    )
    assert told.state == "done"
    assert told.uploaded_at is None


def test_to_a_folder(shop: Shop, tmp_path: Path) -> None:
    """Damaged files are told and passed over; the next capture is copied."""
    folder = shop.store.folder(shop.capture.id)
    assert folder is not None
    (folder / "flames.svg").unlink()
    (folder / "flames.svg").symlink_to("/etc/passwd")
    url = f"file://{tmp_path}/there"
    told = shop.upload(lambda now: now.upload_problem is not None, upload=url)
    assert told.uploaded_at is None
    shop.capture = shop.make("0abd")
    shop.upload(lambda now: now.uploaded_at is not None, upload=url)
    copied = tmp_path / "there" / "0abd" / "flames.svg"
    assert copied.read_bytes() == FLAMES
    assert not (tmp_path / "there" / "0abc" / "flames.svg").exists()


def test_a_file_of_secrets(tmp_path: Path) -> None:
    """What is no line of the kind is a mistake, and not quoted."""
    path = tmp_path / "secrets"
    path.write_text("\n# theirs\n AWS_ACCESS_KEY_ID = a=b \n")
    assert read_secrets(path) == {"AWS_ACCESS_KEY_ID": "a=b"}
    path.write_text("s3cret")
    with pytest.raises(ValueError, match="NAME=VALUE") as error:
        read_secrets(path)
    assert "s3cret" not in str(error.value)
