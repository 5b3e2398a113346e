"""
Which container a process runs in, and what that is called, without asking Kubernetes.

`/proc/PID/cgroup` has the ids of container and pod, as containerd, CRI-O, docker and podman spell them under
the kubelet's two drivers, and is open to everybody who sees the process. The names are those of links and folders
that the kubelet makes for logs: `/var/log/containers/POD_NAMESPACE_CONTAINER-ID.log` and
`/var/log/pods/NAMESPACE_POD_UID/CONTAINER`. A node's agent has both mounted read-only; no file there is opened.

Costs 10 us per process once, and a listing of those folders when something was made or removed there while
somebody has no name yet; none of it where they do not exist.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from pathlib import Path

import msgspec

from vitalsd.model import Container, WorkerKey
from vitalsd.targets.places import UNSURE_NS

__all__ = ["LOGS", "Containers", "container_of", "target_of", "workload_of"]

LOGS = Path("/var/log")
LONGEST_BYTES = 16_384
MOST_ENTRIES = 8192
"""Of one folder: the kubelet keeps a few hundred pods at most."""
ID = re.compile(r"(?:^|[-:])([0-9a-f]{64})(?:\.scope)?$")
NOT_A_CONTAINER = "conmon"
"""What CRI-O and podman put beside each container, with its id, to hold its files."""
POD = re.compile(r"(?:^|-)pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?$")
"""A pod that the kubelet has of a file has 32 digits for its uid."""
LABEL, DOTTED = r"[a-z0-9][a-z0-9-]{0,62}", r"[a-z0-9][a-z0-9.-]{0,252}"
"""As Kubernetes has names of namespaces and containers, and those of pods."""
LINK = re.compile(rf"({DOTTED})_({LABEL})_({LABEL})-([0-9a-f]{{64}})\.log")
FOLDER = re.compile(rf"({LABEL})_({DOTTED})_([0-9a-f-]{{32,36}})")
NAME = re.compile(LABEL)
SAFE = "[bcdfghjklmnpqrstvwxz2456789]"
"""The only letters and digits of which Kubernetes makes names."""
SUFFIXES = (
    re.compile(rf"-{SAFE}{{6,10}}-{SAFE}{{5}}$"),  # a ReplicaSet's pods, of a Deployment
    re.compile(rf"-\d{{8,10}}-{SAFE}{{5}}$"),  # a Job's, of a CronJob
    re.compile(rf"-{SAFE}{{5}}$"),  # those of a DaemonSet or a Job
    re.compile(r"-\d{1,5}$"),  # those of a StatefulSet
)


def container_of(groups: str) -> Container | None:
    """
    The ids that a /proc/PID/cgroup tells; None for a process in no container.

    What an agent in a control group namespace of its own sees begins at the nearest group that both are in, so of
    the agent's own pod only containers are told apart. Of nested engines it is the innermost pod, else container.
    """
    best: Container | None = None
    for line in groups.split("\n"):
        found = _of_path(line.split(":", 2)[-1])
        if found is not None and (best is None or (found.pod_uid is not None and best.pod_uid is None)):
            best = found
    return best


def _of_path(path: str) -> Container | None:
    pod = inner = None
    for part in path.split("/"):
        found = POD.search(part.partition(":")[0])
        if found is not None:
            pod, inner = found[1].replace("_", "-"), None
        here = ID.search(part)
        if here is not None and NOT_A_CONTAINER not in part and (pod is None or inner is None):
            inner = here[1]
    return Container(inner, pod) if pod is not None or inner is not None else None


def workload_of(pod: str) -> str:
    """A pod's name without what its controller has appended: `shop-6d4cf56db6-x7k2p` is of `shop`."""
    for suffix in SUFFIXES:
        shorter = suffix.sub("", pod)
        if shorter not in (pod, ""):
            return shorter
    return pod


def target_of(rule: str, container: Container | None) -> str:
    """
    The target of a process that a rule with `per_container` has found: `NAMESPACE:WORKLOAD:CONTAINER`.

    Where there are no names it is the rule's own with the container's id, and that alone outside of containers.
    """
    if container is None:
        return rule
    if container.pod is not None and container.namespace is not None:
        names = [container.namespace, workload_of(container.pod), container.container or (container.id or "")[:12]]
        return ":".join(filter(None, names))
    told = (container.id or container.pod_uid or "")[:12]
    return f"{rule}:{told}"


class Containers:
    """The containers of processes, each read once, and named as soon as there is a name."""

    def __init__(self, proc: Path = Path("/proc"), logs: Path = LOGS) -> None:
        self._proc = proc
        self._names = _Names(logs)
        self._known: dict[WorkerKey, Container | None] = {}
        self._asked: set[WorkerKey] = set()
        """Whose names were asked for since the last look."""

    def of(self, key: WorkerKey) -> Container | None:
        """The container of this process; None where it is in none, or that cannot be read."""
        if key not in self._known:
            groups = self._groups(key.pid)
            if groups is None:
                return None
            self._known[key] = container_of(groups)
        known = self._known[key]
        if known is not None and known.container is None and key not in self._asked:
            self._asked.add(key)
            known = self._known[key] = self._names.named(known)
        return known

    def look(self, keys: set[WorkerKey]) -> None:
        """Forget all others, and see whether there are new names for those that have none."""
        self._known = {key: known for key, known in self._known.items() if key in keys}
        self._asked.clear()
        self._names.may_list_again()

    def _groups(self, pid: int) -> str | None:
        try:
            descriptor = os.open(f"{self._proc}/{pid}/cgroup", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return os.read(descriptor, LONGEST_BYTES).decode("utf-8", "replace")
        except OSError:
            return None
        finally:
            os.close(descriptor)


class _Names:
    """What the kubelet's folders tell: names by the id of a container, and by the uid of a pod."""

    def __init__(self, logs: Path) -> None:
        self._links, self._folders = logs / "containers", logs / "pods"
        self._seen: dict[Path, tuple[int, int] | None] = {}
        self._by_id: dict[str, tuple[str, str, str]] = {}
        self._by_uid: dict[str, tuple[str, str, Path]] = {}
        self._due = True

    def may_list_again(self) -> None:
        """The next question may look whether something has changed."""
        self._due = True

    def named(self, container: Container) -> Container:
        """The same container with its names, as far as they are there."""
        if self._due:
            self._due = False
            self._list()
        told = self._by_id.get(container.id or "")
        if told is not None:
            pod, namespace, name = told
            return msgspec.structs.replace(container, pod=pod, namespace=namespace, container=name)
        of_pod = self._by_uid.get(container.pod_uid or "")
        if of_pod is None:
            return container
        namespace, pod, folder = of_pod
        return msgspec.structs.replace(container, pod=pod, namespace=namespace, container=_only(folder))

    def _list(self) -> None:
        if self._has_changed(self._links):
            links = filter(None, map(LINK.fullmatch, _names_in(self._links)))
            self._by_id = {link[4]: (link[1], link[2], link[3]) for link in links}
        if self._has_changed(self._folders):
            folders = filter(None, map(FOLDER.fullmatch, _names_in(self._folders)))
            self._by_uid = {each[3]: (each[1], each[2], self._folders / each[0]) for each in folders}

    def _has_changed(self, folder: Path) -> bool:
        try:
            status = folder.stat()
        except OSError:
            return False  # nothing is mounted there; what was known of it holds
        now = status.st_ino, status.st_mtime_ns
        before = self._seen.get(folder)
        unsure = time.time_ns() - status.st_mtime_ns < UNSURE_NS
        self._seen[folder] = None if unsure else now
        return before != now


def _names_in(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in itertools.islice(entries, MOST_ENTRIES)]
    except OSError:
        return []


def _only(pod: Path) -> str | None:
    """The name of the container of a pod that has only had one: of several nobody can tell which."""
    names = [name for name in _names_in(pod) if NAME.fullmatch(name)]
    return names[0] if len(names) == 1 else None
