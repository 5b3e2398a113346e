"""What a command line and NODE_OPTIONS say of an inspector that is not open yet."""

from __future__ import annotations

import pytest

from vitalsd.attach.options import Options, options_of


@pytest.mark.parametrize(
    ("command", "environment", "host", "port"),
    [
        ("node app.js", "", "127.0.0.1", 9229),
        ("node --inspect-port=9300 app.js", "", "127.0.0.1", 9300),
        ("node --inspect-port 9300 app.js", "", "127.0.0.1", 9300),
        ("node --debug-port=0 app.js", "", "127.0.0.1", 0),
        ("node --inspect-port=0.0.0.0 app.js", "", "0.0.0.0", 9229),
        ("node --inspect=[::1]:9300 app.js", "", "::1", 9300),
        ("node --inspect-port=::1 app.js", "", "::1", 9229),
        ("node --inspect app.js", "--inspect-port=9301", "127.0.0.1", 9301),
        ("node --inspect-port=9302 app.js", "--inspect-port=9301", "127.0.0.1", 9302),
        ("node app.js", "--require 'a b.js' --inspect-port=localhost:9301", "localhost", 9301),
        ("node app.js", "--require 'never closed --inspect-port=9301", "127.0.0.1", 9301),
    ],
)
def test_where_it_would_open(command: str, environment: str, host: str, port: int) -> None:
    """Both forms of an option; the command line goes before the environment."""
    found = options_of(command.split(), {"NODE_OPTIONS": environment})
    assert (found.host, found.port) == (host, port)


def test_what_keeps_it_closed() -> None:
    """Each by itself."""
    assert options_of(["node", "--disable-sigusr1", "app.js"], {}).disabled
    assert options_of(["node", "app.js"], {"NODE_OPTIONS": "--permission"}).confined
    assert not options_of(["node", "--permission", "--allow-inspector", "app.js"], {}).confined
    assert options_of(["node", "--inspect-publish-uid=stderr", "app.js"], {}).unpublished
    assert options_of(["node"], {}) == Options()


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("db", False),
    ],
)
def test_who_could_reach_it(host: str, local: bool) -> None:
    """A name is somebody else's, but for the one of this machine."""
    assert Options(host=host).local is local
