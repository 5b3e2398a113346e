"""
Holds objects in every way there is, a thousand each of a class of its own, and prints who holds them, as the
probe's search finds: `holds.py FOLDER WAY...`, the folder with the probe's package in it.
"""

import sys
from collections import OrderedDict, defaultdict, deque

sys.path.insert(0, sys.argv[1])
from python.referrers import name_of, referrers

COUNT = 1000


class Emitter:
    def __init__(self):
        self.listeners = []


class Slots:
    __slots__ = ("first", "second")


class Holder:
    cache = {}  # noqa: RUF012 - as services have it


class Page:
    def on_change(self):
        pass


def remember(thing):
    def again():
        return thing

    return again


def waits(things):
    yield things


IN_DICT, IN_LIST, IN_SET, IN_DEQUE, CALLBACKS, SLOTS, OWNERS = {}, [], set(), deque(), [], [], []
IN_DEFAULT, IN_ORDERED, NESTED = defaultdict(list), OrderedDict(), {"customer@example.org": {"outer": []}}
EMITTER, CHANGED, PAGE, AS_KEYS = Emitter(), Emitter(), Page(), {}
IN_TUPLE = ()


def keep(kind, number):
    """One more object of this kind, where it belongs."""
    thing = KINDS[kind]()
    if kind == "dict":
        IN_DICT["customer%d@example.org" % number] = thing
    elif kind == "keys":
        AS_KEYS[thing] = number
    elif kind == "list":
        IN_LIST.append(thing)
    elif kind == "set":
        IN_SET.add(thing)
    elif kind == "deque":
        IN_DEQUE.append(thing)
    elif kind == "default":
        IN_DEFAULT[number].append(thing)
    elif kind == "ordered":
        IN_ORDERED[number] = thing
    elif kind == "nested":
        NESTED["customer@example.org"]["outer"].append(thing)
    elif kind == "closure":
        CALLBACKS.append(remember(thing))
    elif kind == "listener":
        EMITTER.listeners.append(thing)
    elif kind == "slots":
        one = Slots()
        one.first, one.second = number, thing
        SLOTS.append(one)
    elif kind == "attribute":
        one = Emitter()
        one.listeners = thing
        OWNERS.append(one)
    elif kind == "owndict":
        CHANGED.__dict__.setdefault("by_number", {})[number] = thing
    elif kind == "class":
        Holder.cache[number] = thing


def outcome(job):
    try:
        while True:
            next(job)
    except StopIteration as over:
        return over.value.decode()


def main(wanted):
    global IN_TUPLE  # noqa: PLW0603 - as services have it
    for kind in wanted:
        for number in range(COUNT):
            keep(kind, number)
    if "tuple" in wanted:
        IN_TUPLE = tuple(KINDS["tuple"]() for _ in range(COUNT))
    generator = waits([KINDS["generator"]() for _ in range(COUNT if "generator" in wanted else 0)])
    next(generator)
    for kind in wanted:
        job = referrers(name_of("__main__.%s" % KINDS[kind].__name__))
        text = outcome(job)
        print("%s\t%s" % (kind, text.split("\n")[1]), flush=True)


KINDS = {name: type("Kept" + name.title(), (), {}) for name in [*sys.argv[2:], "generator", "tuple"]}
main(sys.argv[2:])
