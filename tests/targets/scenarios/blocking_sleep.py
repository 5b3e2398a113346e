"""A callback that sleeps, as a client with a synchronous retry does."""

import time

from scenery import play


def retry_politely(seconds):
    time.sleep(seconds)


play(retry_politely, "blocking_call", "retry_politely")
