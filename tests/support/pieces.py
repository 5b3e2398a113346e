"""Pages from a dictionary, under the policy of the agent's page: for tests of what a browser does with them."""

from __future__ import annotations

import contextlib
import mimetypes
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

__all__ = ["POLICY", "serving"]

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'"
Pieces = Mapping[str, str | bytes | Path]


@contextlib.contextmanager
def serving(pieces: Pieces) -> Iterator[str]:
    """An origin that answers with a text, with bytes, with a file or, of a folder, with what is in it, by path."""

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            path = "/index.html" if path == "/" else path
            body = found(pieces, path)
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Type", mimetypes.guess_type(path)[0] or "text/plain")
            self.send_header("Content-Length", str(len(body or b"")))
            self.send_header("Content-Security-Policy", POLICY)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            """Nobody is told."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def found(pieces: Pieces, path: str) -> bytes | None:
    """What there is under this path; of a folder, only what lies in it."""
    for name, piece in pieces.items():
        if isinstance(piece, Path) and piece.is_dir():
            file = (piece / path.removeprefix(name).lstrip("/")).resolve()
            if path.startswith(name) and file.is_relative_to(piece) and file.is_file():
                return file.read_bytes()
        elif name == path:
            if isinstance(piece, Path):
                return piece.read_bytes()
            return piece.encode() if isinstance(piece, str) else piece
    return None
