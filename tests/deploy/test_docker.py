"""The image: what its Dockerfile says, and that what its steps make runs as the container would."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.containers import OWN_NAMESPACES, Image, build, needs_namespaces, started
from support.dockerfiles import Dockerfile, Ignored, problems
from support.waiting import wait_for

from vitalsd import __version__
from vitalsd.settings.model import Settings

ROOT = Path(__file__).parent.parent.parent
DOCKERFILE = ROOT / "deploy/docker/Dockerfile"
TEXT = DOCKERFILE.read_text()
IGNORED = Ignored((ROOT / ".dockerignore").read_text())


def _last() -> Any:
    return Dockerfile.parse(TEXT).stages[-1]


def test_nothing_is_to_be_said_against_it() -> None:
    """By the rules below."""
    assert problems(TEXT, ROOT, IGNORED) == []


BAD = {
    "no tag says": ("FROM ${PYTHON_IMAGE} AS build", "FROM python AS build"),
    "no tag says which": ("FROM ${PYTHON_IMAGE} AS build", "FROM python:latest AS build"),
    "not a number above 0": ("USER 65532:65532", "USER vitalsd"),
    "USER of the last stage is not": ("USER 65532:65532", "USER 0:0"),
    "USER of the last stage": ("USER 65532:65532\n", ""),
    "ENTRYPOINT: a shell between": ('ENTRYPOINT ["vitalsd"]', "ENTRYPOINT vitalsd"),
    "CMD: a shell between": ('CMD ["watch"]', "CMD watch"),
    "no ENTRYPOINT": ('ENTRYPOINT ["vitalsd"]\n', ""),
    "write COPY": ("COPY agent agent", "ADD agent agent"),
    "is recommended too": ("WORKDIR /src", "RUN apt-get update && apt-get install -y gdb\nWORKDIR /src"),
    "leaves its lists": ("WORKDIR /src", "RUN apt-get install --no-install-recommends -y gdb\nWORKDIR /src"),
    "depends on the day": ("WORKDIR /src", "RUN apt-get update && apt-get upgrade -y\nWORKDIR /src"),
    "pip installs any uv": ("uv==0.13.9", "uv"),
    "pip leaves its cache": ("--no-cache-dir ", ""),
    "runs what somebody serves": ("WORKDIR /src", "RUN curl -s https://example.com | sh\nWORKDIR /src"),
    "nobody to become": ("WORKDIR /src", "RUN sudo true\nWORKDIR /src"),
    "relative to whatever": ("WORKDIR /src", "WORKDIR src"),
    "whatever lies about": ("COPY agent agent", "COPY . ."),
    "there is no agents": ("COPY agent agent", "COPY agents agent"),
    "keeps tests away": ("COPY agent agent", "COPY tests tests"),
    "no stage builder": ("COPY --from=build", "COPY --from=builder"),
    "INDEX_PASSWORD: a secret": ("WORKDIR /src", "ARG INDEX_PASSWORD\nWORKDIR /src"),
    "UV_INDEX: a secret": ("WORKDIR /src", "ENV UV_INDEX=https://me:mine@example.com/simple\nWORKDIR /src"),
    "no label version": ("org.opencontainers.image.version", "version"),
    "made before": ("USER 65532", "RUN pip install --no-cache-dir ipython==9.0.0\nUSER 65532"),
}


@pytest.mark.parametrize("problem", BAD)
def test_what_is_wrong_is_found(problem: str) -> None:
    """Each rule, by the same file with one thing changed for the worse."""
    before, after = BAD[problem]
    assert before in TEXT
    assert [each for each in problems(TEXT.replace(before, after), ROOT, IGNORED) if problem in each]


def test_nothing_is_sent_that_is_not_needed() -> None:
    """Whatever lies about in a checkout, above all what is secret; and of folders that are sent, no caches."""
    kept = [
        ".git/config",
        ".env",
        "token",
        "tests/conftest.py",
        ".venv/bin/python",
        "docs/alerts.md",
        "deploy/x.pem",
    ]
    kept += ["agent/vitalsd/__pycache__/daemon.pyc", "exporters/a.pyc"]
    sent = ["pyproject.toml", "agent/vitalsd/daemon.py", "docs/man/vitalsd.1", "agent/vitalsd/probe/node/arm.js"]

    assert [path for path in kept if not IGNORED(path)] == []
    assert [path for path in sent if IGNORED(path)] == []


@pytest.mark.parametrize(
    ("patterns", "path", "ignored"),
    [
        ("*.md\n!README.md", "README.md", False),
        ("*.md\n!README.md", "CHANGELOG.md", True),
        ("*.md", "docs/alerts.md", False),
        ("**/*.md", "docs/alerts.md", True),
        ("docs", "docs/man/vitalsd.1", True),
        ("*\n!docs/man", "docs/man/vitalsd.1", False),
        ("*\n!docs/man", "docs/alerts.md", True),
        ("# *\n\nx?", "xy", True),
    ],
)
def test_dockerignore_is_read_as_docker_reads_it(patterns: str, path: str, ignored: bool) -> None:
    """The last pattern that fits decides; one star ends at a slash."""
    assert Ignored(patterns)(path) is ignored


def test_versions_are_those_of_the_project() -> None:
    """The label's default and the tag that the head of the file and compose.yaml name."""
    version = __version__
    (argument,) = [each.pairs["VERSION"] for each in _last().all("ARG") if "VERSION" in each.pairs]
    compose = yaml.safe_load((ROOT / "deploy/docker/compose.yaml").read_text())

    assert argument == version
    assert set(re.findall(r"vitalsd:(\d[\w.]*)", TEXT)) == {version}
    assert compose["services"]["agent"]["image"] == f"vitalsd:{version}"


def test_metrics_are_for_others_and_the_page_is_not() -> None:
    """The defaults are right for a container: nobody reaches its loopback, and the guarded port is not open."""
    exporters = Settings().exporters

    assert exporters.prometheus.listen == f"0.0.0.0:{_last().last('EXPOSE').text}"
    assert exporters.control.listen.startswith("127.0.0.1:")


def test_no_dependency_has_to_be_compiled() -> None:
    """The slim image has no compiler: each package has a wheel for its Python, on both architectures."""
    version = re.search(r"python:(\d)\.(\d+)-slim", TEXT)
    assert version is not None
    packages = {each["name"]: each for each in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    wanted, needed = [("vitalsd", ("otlp", "s3"))], {}
    while wanted:
        name, extras = wanted.pop()
        package = needed[name] = packages[name]
        more = [each for extra in extras for each in package.get("optional-dependencies", {}).get(extra, ())]
        for each in (*package.get("dependencies", ()), *more):
            if each["name"] not in needed and "win32" not in each.get("marker", ""):
                wanted += [(each["name"], tuple(each.get("extra", ())))]
    assert {"memray", "py-spy", "obstore", "opentelemetry-proto"} <= needed.keys()
    tag = rf"-(?:py3|py2\.py3|cp{version[1]}{version[2]}|cp3\d+-abi3)"
    for machine in ("x86_64", "aarch64"):
        fits = re.compile(rf"{tag}.*-(?:any|\S*manylinux\S*_{machine}\S*)\.whl$")
        lacking = [
            name
            for name, package in needed.items()
            if name != "vitalsd" and not any(fits.search(wheel["url"]) for wheel in package.get("wheels", ()))
        ]
        assert lacking == [], machine


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The steps of the Dockerfile, run."""
    needs_namespaces()
    return build(DOCKERFILE, ROOT, tmp_path_factory.mktemp("image"))


@pytest.mark.slow
def test_the_command_is_there(image: Image) -> None:
    """By the entry point, as its user, who has no name, and with a root that nobody can write to."""
    assert image.user == "65532:65532"
    assert image.says(*image.entrypoint, "--version").split()[-1] == __version__


@pytest.mark.slow
def test_only_the_environment_came_along(image: Image) -> None:
    """With its extras and compiled; no tools of development and no sources beside it."""
    code = "import obstore, opentelemetry.proto, vitalsd, memray; print(vitalsd.__file__, vitalsd.__cached__)"
    file, cached = image.says("python", "-c", code).split()

    assert file.startswith("/opt/vitalsd/lib/")
    assert image.path(cached).exists()
    names = {path.name for path in image.path("/opt/vitalsd").glob("lib/python*/site-packages/*")}
    assert not [name for name in names if re.match(r"(?i)pytest|ruff|mypy|hypothesis|uv-|__editable__", name)]
    assert not image.path("/src").exists()
    assert {path.name for path in image.path("/opt").iterdir()} == {"vitalsd"}
    assert not [path for path in image.path("/opt/vitalsd").rglob("*") if path.lstat().st_uid != 0]
    for folder in ("/run/vitalsd", "/var/lib/vitalsd"):
        of = image.path(folder).stat()
        assert (of.st_uid, of.st_gid, of.st_mode & 0o777) == (65532, 65532, 0o700)


@pytest.mark.slow
def test_it_brings_the_probe_to_others(image: Image, tmp_path: Path) -> None:
    """Into a folder that is mounted, where anybody may read it."""
    tmp_path.joinpath("probe").mkdir()
    (tmp_path / "probe").chmod(0o777)
    said = image.says("vitalsd", "probe", "install", "/probe", mounts=[(tmp_path / "probe", "/probe", False)])

    assert "PYTHONPATH=/probe" in said
    for path in (tmp_path / "probe").rglob("*"):
        assert path.stat().st_mode & 0o444 == 0o444


@pytest.mark.slow
def test_it_watches(image: Image, tmp_path: Path) -> None:
    """As it starts by itself, with new volumes and nothing else: no word of warning, and its own segment."""
    segments = image.volume("/run/vitalsd", tmp_path / "segments")
    state = image.volume("/var/lib/vitalsd", tmp_path / "state")
    alone = image.entered([*image.entrypoint, *image.command], mounts=[segments, state], namespaces=OWN_NAMESPACES)
    log = tmp_path / "log"
    with started(alone, log):
        wait_for("its segment", lambda: any((tmp_path / "segments").glob("*.seg")), 60)
        wait_for("its history", lambda: any((tmp_path / "state").glob("history-*.db")), 60)
        assert '"event":"agent_started"' in log.read_text()
        assert [line for line in log.read_text().splitlines() if '"level":"info"' not in line] == []
