"""A WSGI service that computes for 0.8 s where it is asked for /slow."""

import time


def compute_report():
    until = time.monotonic() + 0.8
    while time.monotonic() < until:
        sum(range(1000))


def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        compute_report()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"served"]
