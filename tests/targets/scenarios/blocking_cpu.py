"""A callback that computes: nothing else gets a turn until it is done."""

import time

from scenery import play


def parse_catalogue(seconds):
    end = time.monotonic() + seconds
    total = 0
    while time.monotonic() < end:
        for number in range(2000):
            total += number * number


play(parse_catalogue, "blocking_cpu", "parse_catalogue")
