"""A callback that asks a slow server over a synchronous socket."""

import os
import socket
import time

from scenery import play

ours, theirs = socket.socketpair()
if os.fork() == 0:
    ours.close()
    while True:
        asked = theirs.recv(64)
        if not asked:
            os._exit(0)
        time.sleep(float(asked))
        theirs.sendall(b"answer")
theirs.close()


def ask_old_database(seconds):
    ours.sendall(b"%f" % seconds)
    ours.recv(64)


play(ask_old_database, "blocking_call", "ask_old_database")
