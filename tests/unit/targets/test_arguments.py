"""What a command line runs, and the values of its options, as the parsers of servers read them."""

import pytest

from vitalsd.targets.arguments import Program, option, program_of


@pytest.mark.parametrize(
    ("command", "program"),
    [
        ("gunicorn -w 2 shop", Program("gunicorn", ("-w", "2", "shop"))),
        ("/v/bin/gunicorn shop", Program("gunicorn", ("shop",))),
        ("python3.12 /v/bin/gunicorn shop", Program("gunicorn", ("shop",), "python", "/v/bin/gunicorn")),
        ("python -m gunicorn shop", Program("gunicorn", ("shop",), "python", "gunicorn")),
        ("pypy3 -W ignore a.py 1", Program("a.py", ("1",), "pypy", "a.py")),
        ("python -c pass 1", Program("python", ("1",), "python", None)),
        ("nodejs -r x.js server.js --port 1", Program("server.js", ("--port", "1"), "node", "server.js")),
        ("python", Program("python", (), "python", None)),
        ("", Program("")),
    ],
)
def test_program(command, program):
    """An interpreter is looked through."""
    assert program_of(command.replace(" ", "\0")) == program


@pytest.mark.parametrize(
    ("command", "value"),
    [
        ("-w 2 shop", "2"),
        ("-w2 shop", "2"),
        ("-w=2 shop", "2"),
        ("--workers 2 shop", "2"),
        ("--workers=2", "2"),
        ("-w 1 --workers 2", "2"),
        ("-Dw 2", "2"),
        ("--wor 2", "2"),
        ("--work=2", "2"),
        ("--worker-class sync", None),
        ("--wo 2", None),
        ("-- -w 2", None),
        ("-w", None),
        ("shop -t 30", None),
        ("", None),
    ],
)
def test_option(command, value):
    """In each way that it may be spelled; the last one counts."""
    assert option(command.split(), "-w", "--workers", flags="DR", shortest="--wor") == value


def test_option_without_a_short_form():
    """A letter of another option is not taken for it."""
    assert option(["-w", "2"], "", "--workers") is None
