"""
Forks with an active probe, and gets a signal whose handler raises while the probe is being stopped for that.

`forks_signalled.py exit`: the handler ends the service with 3. `timeout`: it raises an error that the service
catches. `thread`: it is Ctrl-C, and the handler runs at once because another thread takes the signal. Prints
`raised` or `lost`; `child 0` if the child's signal mask is what the service's was, and `same` if its own is.
"""

import asyncio
import os
import signal
import sys
import threading
import time

MODE = sys.argv[1]
forks = []


def handle(number, frame):
    if MODE == "exit":
        sys.exit(3)
    raise (KeyboardInterrupt if MODE == "thread" else TimeoutError)


taken = threading.Event()


def take_the_signal():
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))
    os.kill(os.getpid(), signal.SIGTERM)


def fork():
    child = os.fork()
    forks.append(child)
    if child == 0:
        same = signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before and sys.getprofile() is None
        os._exit(0 if same else 4)
    time.sleep(0.001)


asyncio.new_event_loop().run_until_complete(asyncio.sleep(2.0))
signal.signal(signal.SIGTERM, handle)
before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGUSR1,)) | {signal.SIGUSR1}
active = sys.modules["vitalsd_probe.lifecycle"]._active
pause = active.pause


def pause_and_be_signalled():
    active.pause = pause
    if MODE == "thread":
        threading.Thread(target=take_the_signal).start()
        while not taken.wait(0.001):
            pass  # the handler comes up here
    os.kill(os.getpid(), signal.SIGTERM)
    pause()


active.pause = pause_and_be_signalled
try:
    fork()
    print("lost", flush=True)
except (TimeoutError, KeyboardInterrupt):
    print("raised", flush=True)
finally:
    print("child", os.WEXITSTATUS(os.waitpid(forks[0] if forks else -1, 0)[1]), flush=True)
    same = signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before and sys.getprofile() is None
    print("same" if same else "different", flush=True)
