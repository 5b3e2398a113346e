"""The page: its files as they are served, who gets the key, and what must not be in them."""

import re

import pytest
from support.views import FixedView

from vitalsd_exporters.web.api import control_app
from vitalsd_exporters.web.auth import Token
from vitalsd_exporters.web.page.assets import FOLDER, MEDIA_TYPES, asset_names
from vitalsd_exporters.web.page.routes import NO_KEY, PAGE_POLICY

BEARER = {"Authorization": "Bearer s3cret"}
FILES = sorted(name for name in asset_names() if name != "index.html")
SCRIPTS = [name for name in FILES if name.endswith(".js")]
TOKEN = Token("s3cret", "host 127.0.0.1:18781")


@pytest.fixture
def agent():
    """The control port."""
    return control_app(FixedView(), Token("s3cret", "host 127.0.0.1:18781"), "127.0.0.1")


def test_nothing_lies_there_that_is_not_served():
    """A file of a sort that nobody serves would be in the package and on no page."""
    there = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file()}
    assert there == set(asset_names())


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_served_as_what_it_is(ask, agent, name):
    """A browser takes a module by its media type alone; and one that has the file is not sent it again."""
    answer = ask(agent, "GET", f"/page/{name}", headers=BEARER)
    assert answer.status_code == 200
    assert answer.content == (FOLDER / name).read_bytes()
    assert answer.headers["content-type"] == MEDIA_TYPES[f".{name.rpartition('.')[2]}"]
    assert answer.headers["cache-control"] == "private, no-cache"
    known = {**BEARER, "If-None-Match": f'"other", W/{answer.headers["etag"]}'}
    again = ask(agent, "GET", f"/page/{name}", headers=known)
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "nothing.js",
        "index.html",
        "../routes.py",
        "..%2froutes.py",
        "flame%2f..%2fdom.js",
        "%2e/dom.js",
        "%2e%2e/routes.py",
        "/etc/passwd",
        "dom.js/",
        "dom.js%00",
    ],
)
def test_nothing_else_is(ask, agent, name):
    """A name is one of the list, whatever it looks like as a path; and the page itself is `/`."""
    assert ask(agent, "GET", f"/page/{name}", headers=BEARER).status_code == 404


@pytest.mark.parametrize("path", ["/", *(f"/page/{name}" for name in FILES[:3])])
def test_the_page_asks_for_the_token_too(ask, agent, path):
    """As everything on this port."""
    assert ask(agent, "GET", path).status_code == 401


def test_the_page_has_its_own_policy_and_nothing_else_does(ask, agent):
    """Scripts and styles of this origin for the page; nothing at all for what is data."""
    assert ask(agent, "GET", "/", headers=BEARER).headers["content-security-policy"] == PAGE_POLICY
    for path in ("/api/v1/targets", "/page/dom.js"):
        policy = ask(agent, "GET", path, headers=BEARER).headers["content-security-policy"]
        assert "'self'" not in policy


def cookie_of(answer):
    """What a browser sends from then on."""
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


def key_in(answer):
    """The key that a page carries; empty where it has none."""
    assert answer.status_code == 200
    return re.search('<meta name="vitalsd-key" content="([^"]*)">', answer.text)[1]


@pytest.mark.parametrize(
    ("path", "headers"), [("/?token=s3cret", {}), ("/", BEARER), ("/", {"Authorization": f"Bearer {TOKEN.key}"})]
)
def test_who_shows_the_token_or_the_key_gets_the_key_and_a_cookie(ask, agent, path, headers):
    """By the link, and again when the agent was restarted and the cookie of the one before means nothing."""
    answer = ask(agent, "GET", path, headers=headers)
    assert key_in(answer) == TOKEN.key
    assert "s3cret" not in answer.text
    assert ask(agent, "GET", "/page/dom.js", headers=cookie_of(answer)).status_code == 200


@pytest.mark.parametrize("path", ["/", "/?token=wrong", "/?token=", f"/?token={TOKEN.key}"])
def test_the_cookie_alone_gets_no_key(ask, agent, path):
    """It gets about among all services of the host, and may look; whatever the address says beside it."""
    cookie = cookie_of(ask(agent, "GET", "/?token=s3cret"))
    assert key_in(ask(agent, "GET", path, headers=cookie)) == ""


def test_the_key_opens_what_the_token_opens(ask, agent):
    """Also what changes something; but as a bearer alone, and no address takes it."""
    bearer = {"Authorization": f"Bearer {TOKEN.key}"}
    assert ask(agent, "GET", "/api/v1/targets", headers=bearer).status_code == 200
    assert (
        ask(agent, "POST", "/api/v1/captures", headers=bearer, json={"kind": "cpu", "target": "shop"}).status_code
        == 202
    )
    assert ask(agent, "GET", f"/?token={TOKEN.key}").status_code == 401
    assert ask(agent, "GET", "/", headers={"Cookie": f"vitalsd_token={TOKEN.key}"}).status_code == 401


def test_who_has_no_script_is_told_what_to_do():
    """The page is nothing without; a terminal tells the same."""
    html = (FOLDER / "index.html").read_text()
    assert "vitalsd status" in re.search("<noscript>(.*)</noscript>", html, re.DOTALL)[1]
    assert html.count(NO_KEY) == 1


PARSES_HTML = (
    *("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "createContextualFragment"),
    *("setHTML", "srcdoc", "eval(", "new Function", "javascript:", ".on" + "click =", "cssText"),
)


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_parses_html(name):
    """What a service calls itself stays text, whichever way it comes."""
    script = (FOLDER / name).read_text()
    assert [word for word in PARSES_HTML if word in script] == []
    assert not re.search(r"set(Attribute|Timeout|Interval)\(\s*['\"`](on|style|[^,)]*\()", script)


@pytest.mark.parametrize("name", [*FILES, "index.html"])
def test_nothing_comes_from_another_host(name):
    """The page works where there is no network, and tells nobody that it was opened."""
    found = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s'\"`]*", (FOLDER / name).read_text()))
    assert found <= {"http://www.w3.org/2000/svg"}


def test_the_page_has_nothing_inline():
    """Its policy would keep it from running."""
    html = (FOLDER / "index.html").read_text()
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", html)
