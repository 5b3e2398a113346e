"""A callback that asks a slow server over a synchronous socket."""

import socket
import subprocess
import sys

from scenery import play

SERVER = """
import socket, sys, time
asked = socket.socket(fileno=int(sys.argv[1]))
while True:
    seconds = asked.recv(64)
    if not seconds:
        break
    time.sleep(float(seconds))
    asked.sendall(b"answer")
"""
ours, theirs = socket.socketpair()
subprocess.Popen([sys.executable, "-S", "-c", SERVER, str(theirs.fileno())], pass_fds=[theirs.fileno()])
theirs.close()


def ask_old_database(seconds):
    ours.sendall(b"%f" % seconds)
    ours.recv(64)


play(ask_old_database, "blocking_call", "ask_old_database")
