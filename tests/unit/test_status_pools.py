"""`vitalsd status`: what it says of a target as a whole."""

import pytest
from msgspec.structs import replace
from support.views import GONE, LEGACY, NOW, SHOP, WATCHED, FixedView

from vitalsd.cli.pools import pool_lines
from vitalsd.cli.status import table
from vitalsd_exporters.web.targets import targets_as_json


def lines(target):
    """What is said of one target."""
    (told,) = targets_as_json(FixedView(all_targets=(target,)))
    return list(pool_lines(told))


def workers(*shares):
    """Workers that are up, with so many MiB of PSS each, None where that is not known."""
    return tuple(
        replace(
            WATCHED,
            slot=str(slot),
            container=None,
            memory=replace(
                WATCHED.memory,
                proportional_bytes=share and share * 2**20,
                unique_bytes=share and share * 2**19,
            ),
        )
        for slot, share in enumerate(shares)
    )


@pytest.mark.parametrize(
    ("supervisor", "line"),
    [
        ({}, "gunicorn (sync, 2 workers, timeout 30 s), pid 4711"),
        ({"workers": 4}, "gunicorn (sync, 2 of 4 workers, timeout 30 s), pid 4711"),
        ({"workers": None, "timeout_seconds": None, "worker_class": None}, "gunicorn (2 workers), pid 4711"),
        ({"kind": "uwsgi", "timeout_seconds": 0.5}, "uWSGI (sync, 2 workers, timeout 0.5 s), pid 4711"),
        (
            {"timeout_seconds": None, "missing": {"timeout_seconds": "its title hides it"}},
            "gunicorn (sync, 2 workers, timeout not known), pid 4711; its title hides it",
        ),
        ({"kind": "plain", "timeout_seconds": None}, "a parent process (sync, 2 workers), pid 4711"),
    ],
)
def test_supervisor(supervisor, line):
    """Its kind, what it runs, how many, and when it ends one that hangs; what is not known is left out."""
    target = replace(SHOP, workers=workers(10, 20), supervisor=replace(SHOP.supervisor, **supervisor))
    assert lines(target)[0] == f"shop: {line}"


def test_memory():
    """Of a pool alone, and of all of it or as much as is known."""
    shop = replace(SHOP, supervisor=None, zombies=())
    assert lines(replace(shop, workers=workers(10))) == []
    assert lines(replace(shop, workers=workers(10, 20))) == [
        "shop: 2 workers have 30MiB together (PSS), 15MiB of it unshared"
    ]
    (some,) = lines(replace(shop, workers=workers(10, None, 30)))
    assert some.startswith(
        "shop: 2 of 3 workers have 40MiB together (PSS), 20MiB of it unshared; that of worker 1 is not"
    )
    (one,) = lines(replace(shop, workers=workers(10, None, None)))
    assert "shop: 1 of 3 workers has 10MiB (PSS), 5MiB of it unshared; that of workers 1, 2 is not known" in one
    (none,) = lines(replace(shop, workers=workers(None, None)))
    assert none.startswith(
        "shop: what 2 workers have of memory together is not known: it will be read for the first"
    )


def test_zombies():
    """How many, and the parent that does not fetch them."""
    shop = replace(SHOP, supervisor=None, workers=(GONE,))
    assert lines(shop) == ["shop: 1 ended child that nobody fetches, the first is ffmpeg (pid 4800) of pid 4242"]
    assert lines(replace(shop, zombies=SHOP.zombies * 7))[0].startswith("shop: 7 ended children")


def test_where_it_stands():
    """Between the workers and the notes."""
    told = table(targets_as_json(FixedView(all_targets=(SHOP, LEGACY))), NOW).splitlines()
    begins = [line.partition(" ")[0] for line in told]
    assert begins[begins.index("legacy") :] == [
        *("legacy", "legacy"),
        *("shop:", "shop:", "shop:"),
        *("legacy:", "note:", "note:"),
    ]


def test_an_agent_of_an_earlier_version():
    """It says none of this, and nothing fails."""
    (told,) = targets_as_json(FixedView(all_targets=(SHOP,)))
    for field in ("supervisor", "memory", "zombies", "zombie_count"):
        del told[field]
    for worker in told["workers"]:
        del worker["container"]
    assert list(pool_lines(told)) == []


def shared(*shares):
    """A target whose workers have these shares of its work."""
    pool = tuple(
        replace(each, share=share) for each, share in zip(workers(*(None,) * len(shares)), shares, strict=True)
    )
    return replace(SHOP, supervisor=None, zombies=(), workers=pool)


def test_shares():
    """Of a pool whose workers are compared; a worker alone has none."""
    assert (
        lines(shared(0.52, 0.31, 0.17))[0] == "shop: shares of its work, by CPU time: worker 0 52%, 1 31%, 2 17%"
    )
    assert not any("shares" in line for line in lines(shared(None)))
    assert not any("shares" in line for line in lines(shared(None, None)))


def test_shares_of_many_are_one_line():
    """The busiest, and between what the others lie: eighty columns."""
    (line,) = [each for each in lines(shared(*(0.02,) * 30, 0.4, 0.01)) if "shares" in each]
    assert len(line) <= 80
    assert line.startswith("shop: shares of its work, by CPU time: worker 30 40%, ")
    assert line.endswith(" others 1% to 2%")


def test_containers():
    """Where the workers run is said once for each container that has a name, and of no other."""
    here = WATCHED.container
    there = replace(here, pod="shop-6d4cf56db6-bbbbb", container=None)
    places = here, there, here, None, replace(here, pod=None, namespace=None, container=None)
    target = replace(
        SHOP,
        supervisor=None,
        workers=tuple(replace(WATCHED, slot=str(slot), container=place) for slot, place in enumerate(places)),
    )
    assert lines(target)[:2] == [
        "shop: pod shop-6d4cf56db6-x7k2p of market, container web: worker 0, 2",
        "shop: pod shop-6d4cf56db6-bbbbb of market: worker 1",
    ]
    assert not any("pod " in line for line in lines(target)[2:])


def test_many_containers_are_counted():
    """Nobody reads the names of a hundred."""
    places = [replace(WATCHED.container, pod=f"shop-{number}") for number in range(12)]
    target = replace(
        SHOP,
        workers=tuple(replace(WATCHED, slot=str(slot), container=place) for slot, place in enumerate(places)),
    )
    told = [line for line in lines(target) if "pod " in line or "containers" in line]
    assert len(told) == 11
    assert told[-1] == "shop: and 2 more containers: vitalsd status --json"
