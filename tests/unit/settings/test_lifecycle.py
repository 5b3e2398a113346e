"""What `enable_lifecycle` allows: a reload by anybody who reaches the port, which tells and costs little."""

import asyncio

import httpx
import pytest
from support.views import FixedView

from vitalsd.errors import VitalsdError
from vitalsd_exporters.prometheus.app import RELOAD_SECONDS, metrics_app

ADDRESS = "http://agent:18780"


class Clock:
    """A clock that stands still."""

    now = 1000.0

    def __call__(self):
        """The time."""
        return self.now


@pytest.fixture
def clock():
    """A clock."""
    return Clock()


@pytest.fixture
def reload(clock):
    """Return a function that asks for a reload; `reload.view` counts those that were carried out."""

    def ask(**headers):
        async def exchange():
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=ADDRESS) as client:
                return await client.post(
                    "/-/reload", headers={name.replace("_", "-"): value for name, value in headers.items()}
                )

        return asyncio.run(exchange())

    ask.view = FixedView()
    app = metrics_app(ask.view, lifecycle=True, clock=clock)
    return ask


def test_what_is_wrong_is_told_in_the_log_alone(reload):
    """Whoever asks has not shown who he is: no path and no value is for him."""
    reload.view.reload_error = VitalsdError("/etc/vitalsd/vitalsd.yaml:3:1: unknown key hunter2")
    answer = reload()
    assert answer.status_code == 500
    assert "see the log" in answer.text
    assert "vitalsd.yaml" not in answer.text
    assert "hunter2" not in answer.text


@pytest.mark.parametrize("error", [None, VitalsdError("no")])
def test_once_in_a_while(reload, clock, error):
    """The file is not read as often as somebody likes, whether it is good or not."""
    reload.view.reload_error = error
    assert reload().status_code == (200 if error is None else 500)
    clock.now += RELOAD_SECONDS - 1.5
    answer = reload()
    assert (answer.status_code, answer.headers["retry-after"], reload.view.reloads) == (429, "2", 1)
    clock.now += 1.5
    reload()
    assert reload.view.reloads == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://agent:8080"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": ADDRESS, "Sec_Fetch_Site": "cross-site"},
    ],
)
def test_a_page_of_another_site(reload, headers):
    """A browser behind the firewall is no way in for a page from outside; and it uses up nobody's turn."""
    assert (reload(**headers).status_code, reload.view.reloads) == (403, 0)
    assert reload().status_code == 200


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": ADDRESS, "Sec_Fetch_Site": "same-origin"}, {"Sec_Fetch_Site": "none"}]
)
def test_others(reload, headers):
    """A command, a page of ours and an address that was typed are heard."""
    assert (reload(**headers).status_code, reload.view.reloads) == (200, 1)
