"""Dockerfiles as data, what may be said against them, and which files `.dockerignore` lets through to them."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LABELS = ("title", "description", "licenses", "version", "revision")
SECRET = re.compile(r"TOKEN|PASSWORD|PASSWD|SECRET|CREDENTIAL|API_?KEY|PRIVATE", re.IGNORECASE)


@dataclass(frozen=True)
class Instruction:
    """One line of a Dockerfile, with those that it goes on in."""

    line: int
    name: str
    text: str
    flags: dict[str, str]

    @property
    def array(self) -> list[str] | None:
        """Its exec form, if it has one."""
        try:
            read = json.loads(self.text)
        except ValueError:
            return None
        return read if isinstance(read, list) and all(isinstance(each, str) for each in read) else None

    @property
    def pairs(self) -> dict[str, str]:
        """What LABEL, ENV and ARG set."""
        return {each.partition("=")[0]: each.partition("=")[2] for each in shlex.split(self.text)}


@dataclass
class Stage:
    """What one FROM begins."""

    image: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, *names: str) -> list[Instruction]:
        """Those of these names, in their order."""
        return [each for each in self.instructions if each.name in names]

    def last(self, name: str) -> Instruction | None:
        """The one that counts."""
        found = self.all(name)
        return found[-1] if found else None


@dataclass
class Dockerfile:
    """All stages, and the arguments before the first."""

    arguments: dict[str, str]
    stages: list[Stage]

    @classmethod
    def parse(cls, text: str) -> Dockerfile:
        """Read one."""
        read = cls({}, [])
        for each in _instructions(text):
            if each.name == "FROM":
                image, _, name = re.sub(r"\s+AS\s+", " ", each.text, flags=re.IGNORECASE).partition(" ")
                read.stages.append(Stage(filled(image, read.arguments), name or str(len(read.stages))))
            elif read.stages:
                read.stages[-1].instructions.append(each)
            elif each.name == "ARG":
                read.arguments.update(each.pairs)
        return read


def filled(text: str, values: dict[str, str]) -> str:
    """With `$NAME` and `${NAME}` as these have it."""
    return re.sub(r"\$\{?(\w+)\}?", lambda found: values.get(found[1], ""), text)


def _instructions(text: str) -> Iterator[Instruction]:
    whole, began = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or (not whole and not line.strip()):
            continue
        began = began if whole else number
        whole += line
        if whole.endswith("\\"):
            whole = whole[:-1]
            continue
        name, _, rest = whole.strip().partition(" ")
        flags: dict[str, str] = {}
        while found := re.match(r"--(\w+)(?:=(\S+))?\s+", rest := rest.strip()):
            flags[found[1]] = found[2] or ""
            rest = rest[found.end() :]
        yield Instruction(began, name.upper(), " ".join(rest.split()), flags)
        whole = ""


class Ignored:
    """A `.dockerignore`: the last pattern that a path, or a folder above it, fits decides."""

    def __init__(self, text: str) -> None:
        lines = [line.strip() for line in text.splitlines()]
        self._patterns = [_pattern(line) for line in lines if line and not line.startswith("#")]

    def __call__(self, path: str) -> bool:
        """Whether a path below the context is kept from the build."""
        pure = PurePosixPath(path)
        places = [str(pure), *(str(above) for above in pure.parents if str(above) != ".")]
        ignored = False
        for pattern, ignores in self._patterns:
            if any(pattern.fullmatch(place) for place in places):
                ignored = ignores
        return ignored


def _pattern(line: str) -> tuple[re.Pattern[str], bool]:
    ignores = not line.startswith("!")
    signs = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", line.lstrip("!").strip("/"))
    return re.compile("".join(signs.get(part, re.escape(part)) for part in parts)), ignores


def problems(text: str, context: Path, ignored: Ignored) -> list[str]:
    """Everything that is wrong, a line each."""
    read = Dockerfile.parse(text)
    found = [problem for stage in read.stages for problem in _of_stage(stage, read, context, ignored)]
    return found + (_of_last(read.stages[-1]) if read.stages else ["there is no FROM"])


def _of_stage(stage: Stage, read: Dockerfile, context: Path, ignored: Ignored) -> Iterator[str]:
    before = [each.name for each in read.stages[: read.stages.index(stage)]]
    tag = stage.image.rpartition("/")[2].partition(":")[2]
    if stage.image not in before and "@sha256:" not in stage.image and tag in ("", "latest"):
        yield f"FROM {stage.image}: no tag says which one"
    for each in stage.instructions:
        at = f"line {each.line}: {each.name}"
        if each.name == "ADD":
            yield f"{at}: unpacks and downloads, write COPY"
        elif each.name in ("CMD", "ENTRYPOINT") and not each.array:
            yield f"{at}: a shell between would keep signals to itself, write an array"
        elif each.name == "WORKDIR" and not each.text.startswith("/"):
            yield f"{at}: is relative to whatever came before"
        elif each.name == "RUN":
            yield from (f"{at}: {problem}" for problem in _of_run(each.text))
        elif each.name in ("ARG", "ENV"):
            for name, value in each.pairs.items():
                if SECRET.search(name) or re.search(r"://[^/\s]+:[^/\s]+@", value):
                    yield f"{at} {name}: a secret would stay in the image"
        elif each.name == "COPY":
            yield from (f"{at}: {problem}" for problem in _of_copy(each, before, context, ignored))


def _of_run(command: str) -> Iterator[str]:
    if "apt-get install" in command:
        if "--no-install-recommends" not in command:
            yield "apt-get brings what is recommended too"
        if "rm -rf /var/lib/apt/lists" not in command:
            yield "apt-get leaves its lists behind"
    if re.search(r"apt-get (dist-)?upgrade|apt (install|upgrade)", command):
        yield "what is installed depends on the day"
    for installed in re.findall(r"pip install ([^&|;]+)", command):
        for name in shlex.split(installed):
            if not name.startswith("-") and not re.search(r"==|^\.|^/", name):
                yield f"pip installs any {name}, write {name}==VERSION"
    if "pip install" in command and "--no-cache-dir" not in command:
        yield "pip leaves its cache behind"
    if re.search(r"\|\s*(ba|z|da)?sh\b", command):
        yield "runs what somebody serves at the time"
    if re.search(r"\bsudo\b", command):
        yield "there is nobody to become"


def _of_copy(copy: Instruction, before: list[str], context: Path, ignored: Ignored) -> Iterator[str]:
    if "from" in copy.flags:
        if copy.flags["from"] not in before:
            yield f"there is no stage {copy.flags['from']} before"
        return
    for source in copy.text.split()[:-1]:
        if source in (".", "./"):
            yield "takes along whatever lies about, name what is needed"
        elif not (context / source).exists():
            yield f"there is no {source}"
        elif ignored(source.strip("/")):
            yield f".dockerignore keeps {source} away"


def _of_last(stage: Stage) -> list[str]:
    found = []
    user = stage.last("USER")
    if user is None or not re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", user.text):
        found.append("USER of the last stage is not a number above 0")
    labels = {name for each in stage.all("LABEL") for name in each.pairs}
    found += [f"there is no label {name}" for name in LABELS if f"org.opencontainers.image.{name}" not in labels]
    if stage.last("ENTRYPOINT") is None:
        found.append("there is no ENTRYPOINT")
    for each in stage.all("RUN"):
        if re.search(r"\b(pip|uv|apt-get|apk|make|gcc|curl|wget)\b", each.text):
            found.append(f"line {each.line}: RUN: the last stage is for what was made before")
    return found
