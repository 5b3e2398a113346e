"""What can be said against a pod without a cluster: Pod Security Standards, and our own rules for a sidecar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["all_containers", "harms", "not_restricted", "size", "user_of"]

VOLUMES = {
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret")
}
ADDABLE = {"NET_BIND_SERVICE"}
SECCOMP = {"RuntimeDefault", "Localhost"}
OURS = ("vitalsd", "vitalsd-probe")
DISK = "ephemeral-storage"
KINDS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def all_containers(pod: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Its init containers and its containers."""
    yield from pod.get("initContainers", ())
    yield from pod.get("containers", ())


def user_of(pod: dict[str, Any], container: dict[str, Any]) -> int | None:
    """The user that a container runs as; None where only its image says."""
    own = container.get("securityContext", {}).get("runAsUser")
    return own if own is not None else pod.get("securityContext", {}).get("runAsUser")


def not_restricted(pod: dict[str, Any]) -> list[str]:
    """What the Pod Security Standard `restricted` has against it; nothing where it is admitted."""
    return [*_of_the_pod(pod), *(each for one in all_containers(pod) for each in _of_a_container(pod, one))]


def _of_the_pod(pod: dict[str, Any]) -> Iterator[str]:
    yield from (field for field in ("hostPID", "hostIPC", "hostNetwork") if pod.get(field))
    for volume in pod.get("volumes", ()):
        yield from (f"volume {volume['name']}: {kind}" for kind in volume.keys() - {"name"} - VOLUMES)


def _of_a_container(pod: dict[str, Any], container: dict[str, Any]) -> Iterator[str]:
    name, own = container["name"], container.get("securityContext", {})
    context = pod.get("securityContext", {}) | own
    capabilities = own.get("capabilities", {})
    if own.get("privileged"):
        yield f"{name}: privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"{name}: allowPrivilegeEscalation"
    if "ALL" not in capabilities.get("drop", ()):
        yield f"{name}: does not drop ALL"
    yield from (f"{name}: adds {each}" for each in capabilities.get("add", ()) if each not in ADDABLE)
    if context.get("runAsNonRoot") is not True:
        yield f"{name}: runAsNonRoot"
    if context.get("runAsUser") == 0:
        yield f"{name}: runAsUser 0"
    if context.get("seccompProfile", {}).get("type") not in SECCOMP:
        yield f"{name}: seccompProfile"
    if own.get("procMount", "Default") != "Default":
        yield f"{name}: procMount"
    yield from (
        f"{name}: hostPort {port['hostPort']}" for port in container.get("ports", ()) if "hostPort" in port
    )


def size(quantity: str) -> int:
    """Bytes of `16Mi`."""
    return int(quantity[:-2]) * KINDS[quantity[-2:]]


def harms(pod: dict[str, Any]) -> list[str]:
    """How the agent could harm the service that it is beside, or would see nothing of it."""
    ours = [each for each in all_containers(pod) if each["name"] in OURS]
    theirs = [each for each in pod.get("containers", ()) if each["name"] not in OURS]
    volumes = {volume["name"]: volume for volume in pod.get("volumes", ())}
    return [
        *(each for one in ours for each in _of_ours(one, volumes)),
        *(each for one in ours if theirs for each in _beside_others(one)),
        *_of_disk(pod, theirs, ours),
        *(each for one in theirs for each in _of_theirs(pod, one, ours)),
    ]


def _of_ours(container: dict[str, Any], volumes: dict[str, Any]) -> Iterator[str]:
    name, resources = container["name"], container.get("resources", {})
    if "memory" not in resources.get("limits", {}):
        yield f"{name}: no limit of memory"
    if not {"cpu", "memory"} <= resources.get("requests", {}).keys():
        yield f"{name}: no requests"
    if not container.get("securityContext", {}).get("readOnlyRootFilesystem"):
        yield f"{name}: its root may be written"
    for mount in container.get("volumeMounts", ()):
        volume = volumes.get(mount["name"])
        if volume is None:
            yield f"{name}: there is no volume {mount['name']}"
        elif "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
            yield f"{name}: {mount['name']} has no sizeLimit"
        elif "hostPath" in volume and not mount.get("readOnly"):
            yield f"{name}: {mount['name']} of the host may be written"


def _beside_others(container: dict[str, Any]) -> Iterator[str]:
    """Of ours in the pod of a service, which is ready when all that is in it is."""
    if "readinessProbe" in container:
        yield f"{container['name']}: a readinessProbe can take the service out of rotation"
    if "startupProbe" in container:
        yield f"{container['name']}: a startupProbe can keep the service from starting"


def _of_disk(pod: dict[str, Any], theirs: list[dict[str, Any]], ours: list[dict[str, Any]]) -> Iterator[str]:
    """A pod is evicted when all that it has on disk passes the sum of the limits that its containers have."""
    limited = [each["name"] for each in theirs if DISK in each.get("resources", {}).get("limits", {})]
    room = sum(size(each["resources"]["limits"][DISK]) for each in ours if DISK in each["resources"]["limits"])
    own = (volume for volume in pod.get("volumes", ()) if volume["name"].startswith("vitalsd-"))
    disks = (volume["emptyDir"] for volume in own if "emptyDir" in volume)
    needed = sum(size(each["sizeLimit"]) for each in disks if "medium" not in each and "sizeLimit" in each)
    if limited and room < needed:
        yield f"{limited[0]}: has a limit of {DISK}, which what the agent stores would use up"
    if room and not limited and theirs:
        yield f"{theirs[0]['name']}: gets a limit of {DISK} by the agent's"


def _of_theirs(pod: dict[str, Any], service: dict[str, Any], ours: list[dict[str, Any]]) -> Iterator[str]:
    """Of a container with the probe: the agent has to be its user, and the probe to be where it is looked for."""
    name = service["name"]
    environment = {each["name"]: each.get("value") for each in service.get("env", ())}
    if "VITALSD_DIR" not in environment:
        return
    agent = next((each for each in ours if each["name"] == "vitalsd"), None)
    if agent is None:
        yield f"{name}: has the probe, and there is no agent"
        return
    users = user_of(pod, service), user_of(pod, agent)
    if users[0] is None or users[0] != users[1]:
        yield f"{name}: runs as {users[0]} and the agent as {users[1]}"
    mounts = {each["mountPath"]: each["name"] for each in service.get("volumeMounts", ())}
    shared = {each["name"] for each in agent.get("volumeMounts", ())}
    if mounts.get(environment["VITALSD_DIR"] or "") not in shared:
        yield f"{name}: VITALSD_DIR is no volume of the agent's"
    folders = {_folder(key, value) for key, value in environment.items() if key in ("PYTHONPATH", "NODE_OPTIONS")}
    if not folders or any(mounts.get(folder) != "vitalsd-probe" for folder in folders):
        yield f"{name}: the probe is not where it is looked for"
    if not pod.get("shareProcessNamespace"):
        yield f"{name}: its processes are out of the agent's sight"


def _folder(key: str, value: str | None) -> str:
    text = value or ""
    return text.removeprefix("--require ").removesuffix("/preload.js") if key == "NODE_OPTIONS" else text
