"""
What an agent has in memory: every module that it loads is paid for once per pod, for as long as the agent lives.

What `vitalsd --help` may not load is in `tests/unit/test_cli_help.py`.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
from urllib.parse import urlsplit

PROGRAM = """
import signal, sys
signal.signal(signal.SIGUSR1, lambda *_: print(*sys.modules, flush=True))
from vitalsd.cli import main
sys.exit(main(["watch", "--listen", "127.0.0.1:0", "--control-listen", "127.0.0.1:0"]))
"""
UNUSED = {
    "click": "uvicorn's command line",
    "uvicorn.main": "the same",
    "multiprocessing": "uvicorn's supervisors",
    "prometheus_client.exposition": "a web server of its own",
    "http.server": "the same",
    "wsgiref": "the same",
    "urllib.request": "the same",
    "statistics": "a median is one line",
    "fractions": "it comes with statistics",
    "encodings.idna": "addresses are ASCII",
    "unicodedata": "it comes with that",
    "psutil": "the agent reads /proc itself",
    "memray": "it runs in the service, or as a process",
    "rich.console": "structlog would have it for tracebacks",
    "pygments": "the same",
    "textual": "of `vitalsd top`",
    "httpx": "of tests",
    "websockets": "of attaching to Node",
    "opentelemetry": "of pushes, where there is somebody to push to",
    "google.protobuf": "the same",
    "obstore": "of uploads",
    "vitalsd.attach": "it is a command",
    "vitalsd.demo": "it is a command",
    "vitalsd.budget": "it is a command",
    "vitalsd.doctor": "it is a command",
    "unittest": "of tests",
    "pytest": "of tests",
}
"""Module -> whose it is."""


def test_an_agent_loads_nothing_that_it_has_no_use_for(tmp_path):
    """With both ports asked for what they have: none of these, nor anything below them."""
    places = {"VITALSD_DIR": str(tmp_path), "VITALSD__STORAGE__DIR": str(tmp_path), "VITALSD__LOG__FORMAT": "json"}
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(
        command, env={**os.environ, **places}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as agent:
        try:
            started = next(told for line in agent.stderr if (told := json.loads(line))["event"] == "agent_started")
            for address, path in ((urlsplit(started["metrics"]).netloc, "/metrics"), (started["control"], "/")):
                connection = http.client.HTTPConnection(address, timeout=60)
                connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
                connection.getresponse().read()
                connection.close()
            agent.send_signal(signal.SIGUSR1)
            loaded = set(agent.stdout.readline().split())
        finally:
            agent.terminate()
            agent.communicate(timeout=60)
    assert "vitalsd.daemon" in loaded
    assert sorted(name for name in UNUSED if any(f"{each}.".startswith(f"{name}.") for each in loaded)) == []
