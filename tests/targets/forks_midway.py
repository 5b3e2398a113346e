"""
Forks while another thread is in the middle of importing the probe's larger part, and then lets that go on.

The child runs a loop of its own for a while. Prints `child CODE`, then `ready`.
"""

import asyncio
import importlib.machinery
import os
import sys
import threading
import time

importing, forked = threading.Event(), threading.Event()


class Slow:
    def find_spec(self, name, path=None, _target=None):
        if name != "vitalsd_probe.counts":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        run = spec.loader.exec_module

        def wait_and_run(module):
            importing.set()
            forked.wait()
            run(module)

        spec.loader.exec_module = wait_and_run
        return spec


def loop_for(seconds):
    asyncio.new_event_loop().run_until_complete(asyncio.sleep(seconds))


sys.meta_path.insert(0, Slow())
time.sleep(1.1)
threading.Thread(target=loop_for, args=(3600,), daemon=True).start()
importing.wait()
child = os.fork()
if child == 0:
    loop_for(1.3)
    os._exit(5)
forked.set()
print("child", os.WEXITSTATUS(os.waitpid(child, 0)[1]), flush=True)
print("ready", flush=True)
time.sleep(3600)
