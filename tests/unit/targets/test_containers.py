"""Which container a process is in, by its control groups, and what the kubelet's folders of logs call it."""

import os

import pytest

from vitalsd.model import Container, WorkerKey
from vitalsd.targets.containers import Containers, container_of, target_of, workload_of
from vitalsd.targets.rules import TargetRule

ID = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4
UID = "8d6d4c63-0e9e-4c39-8a5e-2f0f4ad3b6c1"
FLAT = UID.replace("-", "_")
STATIC = "5f7c1e0b9a8d4c3e2f1a0b9c8d7e6f50"
LONG_AGO = 1_000_000_000
RS = "shop-6d4cf56db6"


@pytest.mark.parametrize(
    ("groups", "container"),
    [
        pytest.param("0::/", None, id="host"),
        pytest.param("0::/system.slice/nginx.service", None, id="unit"),
        pytest.param("", None, id="gone"),
        pytest.param(
            f"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{FLAT}.slice/cri-containerd-{ID}.scope",
            Container(ID, UID),
            id="v2-systemd-containerd",
        ),
        pytest.param(
            f"0::/../../kubepods-pod{FLAT}.slice/cri-containerd-{ID}.scope",
            Container(ID, UID),
            id="v2-from-another-group-namespace",
        ),
        pytest.param(f"0::/../cri-containerd-{ID}.scope", Container(ID), id="v2-beside-the-agent"),
        pytest.param(f"0::/kubepods/besteffort/pod{UID}/{ID}", Container(ID, UID), id="v2-cgroupfs"),
        pytest.param(f"0::/kubepods/pod{STATIC}/{ID}", Container(ID, STATIC), id="static-pod"),
        pytest.param(
            f"0::/kubepods.slice/kubepods-pod{FLAT}.slice/crio-{ID}.scope/container",
            Container(ID, UID),
            id="v2-crio",
        ),
        pytest.param(
            f"0::/kubepods.slice/kubepods-pod{FLAT}.slice/crio-conmon-{ID}.scope",
            Container(None, UID),
            id="conmon",
        ),
        pytest.param(
            f"12:memory:/kubepods/burstable/pod{UID}/crio-{ID}\n1:name=systemd:/kubepods/burstable/pod{UID}/crio-{ID}",
            Container(ID, UID),
            id="v1-crio-cgroupfs",
        ),
        pytest.param(
            f"11:cpu,cpuacct:/\n4:memory:/kubepods/burstable/pod{UID}/{ID}\n0::/system.slice/containerd.service",
            Container(ID, UID),
            id="v1-cgroupfs",
        ),
        pytest.param(
            f"4:memory:/system.slice/containerd.service/kubepods-burstable-pod{FLAT}.slice:cri-containerd:{ID}",
            Container(ID, UID),
            id="v1-drivers-that-differ",
        ),
        pytest.param(
            f"4:memory:/kubepods.slice/kubepods-pod{FLAT}.slice/docker-{ID}.scope",
            Container(ID, UID),
            id="v1-docker-systemd",
        ),
        pytest.param(f"0::/system.slice/docker-{ID}.scope", Container(ID), id="docker-alone-systemd"),
        pytest.param(f"4:memory:/docker/{ID}", Container(ID), id="docker-alone"),
        pytest.param(f"0::/machine.slice/libpod-{ID}.scope/container", Container(ID), id="podman"),
        pytest.param(
            f"0::/docker/{OTHER}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{FLAT}.slice/"
            f"cri-containerd-{ID}.scope",
            Container(ID, UID),
            id="a-node-in-a-container",
        ),
        pytest.param(
            f"0::/kubepods.slice/kubepods-pod{FLAT}.slice/cri-containerd-{ID}.scope/docker/{OTHER}",
            Container(ID, UID),
            id="an-engine-in-a-pod",
        ),
    ],
)
def test_ids(groups, container):
    """Each engine's and driver's way of writing them."""
    assert container_of(groups) == container


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        (f"{RS}-x7k2p", "shop"),
        ("shop-api-7f9c8d5b4-zzk9v", "shop-api"),
        ("node-exporter-x7k2p", "node-exporter"),
        ("shop-db-0", "shop-db"),
        ("report-28391234-x7k2p", "report"),
        ("shop", "shop"),
        ("shop-audio", "shop-audio"),
        ("kube-proxy", "kube-proxy"),
    ],
)
def test_workload(pod, workload):
    """What a controller has appended goes, and no word of a name that a person has given: those have vowels."""
    assert workload_of(pod) == workload


@pytest.mark.parametrize(
    ("container", "target"),
    [
        (None, "pods"),
        (Container(ID), f"pods:{ID[:12]}"),
        (Container(ID, UID, f"{RS}-x7k2p", "market", "web"), "market:shop:web"),
        (Container(ID, UID, f"{RS}-x7k2p", "market"), f"market:shop:{ID[:12]}"),
    ],
)
def test_target(container, target):
    """A name of its own for each container, also where nothing tells one."""
    assert target_of("pods", container) == target


class Logs:
    """/var/log of a node."""

    def __init__(self, root):
        self.root = root
        self._time = LONG_AGO
        for name in ("containers", "pods"):
            (root / name).mkdir(parents=True)
        self._settle()

    def link(self, pod, namespace, container, ident):
        """What the kubelet links once a container has started."""
        (self.root / "containers" / f"{pod}_{namespace}_{container}-{ident}.log").symlink_to("/nowhere")
        self._settle()

    def folder(self, namespace, pod, uid, *containers):
        """What it makes for a pod."""
        for container in containers:
            (self.root / "pods" / f"{namespace}_{pod}_{uid}" / container).mkdir(parents=True)
        self._settle()

    def _settle(self):
        self._time += 1
        for name in ("containers", "pods"):
            os.utime(self.root / name, (self._time, self._time))


@pytest.fixture
def logs(tmp_path):
    """Folders of logs without anything in them."""
    return Logs(tmp_path / "log")


@pytest.fixture
def contained(tree):
    """Return a function that adds a process in a container."""

    def add(pid, ident=ID, uid=FLAT, command="python shop.py", **more):
        tree.add(pid, command, **more)
        text = f"0::/kubepods.slice/kubepods-pod{uid}.slice/cri-containerd-{ident}.scope\n"
        (tree.root / str(pid) / "cgroup").write_text(text)
        return WorkerKey(pid, 1000)

    return add


def test_names_by_the_link(tree, logs, contained):
    """The link of a container names everything."""
    logs.link(f"{RS}-x7k2p", "market", "web", ID)
    logs.link(f"{RS}-x7k2p", "market", "istio-proxy", OTHER)
    key = contained(10)
    assert Containers(tree.root, logs.root).of(key) == Container(ID, UID, f"{RS}-x7k2p", "market", "web")


@pytest.mark.parametrize(("containers", "name"), [(("web",), "web"), (("web", "migrate"), None)])
def test_names_by_the_folder(tree, logs, contained, containers, name):
    """The folder of a pod names pod and namespace, and its container where there was only one."""
    logs.folder("market", f"{RS}-x7k2p", UID, *containers)
    key = contained(10)
    assert Containers(tree.root, logs.root).of(key) == Container(ID, UID, f"{RS}-x7k2p", "market", name)


def test_ids_without_logs(tree, tmp_path, contained):
    """Where no folder of logs is mounted the ids are what is known."""
    key = contained(10)
    assert Containers(tree.root, tmp_path / "none").of(key) == Container(ID, UID)


def test_name_that_comes_later(tree, logs, contained):
    """The link is made after the process; it is found at the next look, and asked for once in each."""
    key = contained(10)
    containers = Containers(tree.root, logs.root)
    assert containers.of(key) == Container(ID, UID)
    logs.link(f"{RS}-x7k2p", "market", "web", ID)
    assert containers.of(key) == Container(ID, UID)
    containers.look({key})
    assert containers.of(key).container == "web"


def test_what_is_not_the_kubelets_is_passed_over(tree, logs, contained):
    """Other files in those folders name nothing."""
    for name in ("README", f"x_y_z-{ID}.log.gz", f"a_b-{ID}.log", f"A_b_c-{ID}.log"):
        (logs.root / "containers" / name).write_text("")
    (logs.root / "pods" / "lost+found").mkdir()
    assert Containers(tree.root, logs.root).of(contained(10)) == Container(ID, UID)


def test_who_is_gone_is_forgotten(tree, logs, contained):
    """A pid that is another's later is read again."""
    key = contained(10)
    containers = Containers(tree.root, logs.root)
    assert containers.of(key) is not None
    containers.look(set())
    tree.add(10, start=2000)
    assert containers.of(WorkerKey(10, 2000)) is None


def test_seats_say_where(tree, logs, contained, finder):
    """A worker has its container."""
    logs.link(f"{RS}-x7k2p", "market", "web", ID)
    contained(10)
    (seat,) = finder(TargetRule("shop", match="shop"), logs=logs.root).find(0.0).targets["shop"]
    assert seat.container == Container(ID, UID, f"{RS}-x7k2p", "market", "web")


PODS = TargetRule("pods", match=r"shop\.py", per_container=True)


@pytest.fixture
def two_pods(logs, contained):
    """Two pods of one Deployment, one with two workers, and one of another namespace."""
    elsewhere = FLAT.replace("8d6d", "1111")
    third = FLAT.replace("8d6d", "2222")
    ids = (ID, OTHER, "ab" * 32)
    logs.link(f"{RS}-x7k2p", "market", "web", ids[0])
    logs.link(f"{RS}-bbbbb", "market", "web", ids[1])
    logs.link(f"{RS}-x7k2p", "bank", "web", ids[2])
    contained(10, ids[0])
    contained(11, ids[0], parent=10, forked=True)
    contained(12, ids[0], parent=10, forked=True)
    contained(20, ids[1], elsewhere)
    contained(30, ids[2], third)


def pids(found):
    """Who is in each target."""
    return {name: [seat.key.pid for seat in seats] for name, seats in found.targets.items() if seats}


def test_each_workload_is_a_target(finder, logs, two_pods):
    """Pods of one Deployment are one; a master stays with its own, and is no worker of another."""
    found = finder(PODS, logs=logs.root).find(0.0)
    assert pids(found) == {"market:shop:web": [11, 12, 20], "bank:shop:web": [30]}
    assert set(found.targets) == {"market:shop:web", "bank:shop:web"}, "the rule itself is no target"


def test_on_the_host_it_is_the_rules_own(tree, finder, logs):
    """What runs in no container is of the target that the rule names."""
    tree.add(10, "python shop.py")
    assert pids(finder(PODS, logs=logs.root).find(0.0)) == {"pods": [10]}


def placed(found):
    """Target and slot -> who sits there."""
    return {(name, seat.slot): seat.key.pid for name, seats in found.targets.items() for seat in seats if seat.key}


@pytest.fixture
def worn(finder, logs, tree, two_pods):
    """A finder whose slots are not those that a new one would give: the first worker has gone for good."""
    follow = finder(PODS, logs=logs.root)
    follow.find(0.0)
    tree.remove(11)
    for now in (1000.0, 2000.0):
        found = follow.find(now, again=True)
    assert placed(found) == {
        ("market:shop:web", "1"): 12,
        ("market:shop:web", "2"): 20,
        ("bank:shop:web", "0"): 30,
    }
    return follow


def test_kept_over_a_restart_of_the_agent(finder, logs, worn):
    """The next agent goes on with the slots of such a target, and with none of a rule that is gone."""
    rows = worn.slots()
    assert {row.match for row in rows} == {PODS.match}
    after = finder(PODS, logs=logs.root)
    after.restore(rows, 1.0)
    assert placed(after.find(0.0)) == placed(worn.find(3000.0))
    assert {(row.target, row.slot) for row in after.slots()} == {(row.target, row.slot) for row in rows}
    other = finder(TargetRule("x", match="another", per_container=True), logs=logs.root)
    other.restore(rows, 1.0)
    assert not placed(other.find(0.0))


def test_kept_over_a_reload(worn):
    """The same rule goes on; without it such targets go."""
    before = placed(worn.find(3000.0))
    worn.reconfigure([PODS], 10.0)
    assert placed(worn.find(3001.0)) == before
    worn.reconfigure([TargetRule("bank", match="bank")], 10.0)
    assert set(worn.find(3002.0).targets) == {"bank"}


def test_a_seat_is_named_when_there_is_a_name(finder, logs, contained):
    """Each look at the table asks again for those that have none."""
    contained(10)
    follow = finder(TargetRule("shop", match="shop"), logs=logs.root)
    assert follow.find(0.0).targets["shop"][0].container == Container(ID, UID)
    logs.link(f"{RS}-x7k2p", "market", "web", ID)
    assert follow.find(1.0).targets["shop"][0].container.container is None, "the table is not read each time"
    assert follow.find(100.0).targets["shop"][0].container.container == "web"


def test_folders_are_listed_when_they_have_changed(tree, logs, contained):
    """And not else: on a node with very many pods that is what it would cost."""
    key = contained(10)
    containers = Containers(tree.root, logs.root)
    assert containers.of(key) == Container(ID, UID)
    before = (logs.root / "containers").stat()
    (logs.root / "containers" / f"{RS}-x7k2p_market_web-{ID}.log").symlink_to("/nowhere")
    os.utime(logs.root / "containers", ns=(before.st_atime_ns, before.st_mtime_ns))
    containers.look({key})
    assert containers.of(key) == Container(ID, UID)
