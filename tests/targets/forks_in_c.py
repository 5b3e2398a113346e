"""
Forks the way uWSGI does, in C and without Python's hooks on fork, while it looks like a uWSGI master.

Prints `ready CHILD`; master and worker both run a loop.
"""

import asyncio
import ctypes
import sys
import types

uwsgi = sys.modules["uwsgi"] = types.ModuleType("uwsgi")
uwsgi.worker_id = lambda: 0
asyncio.new_event_loop().run_until_complete(asyncio.sleep(1.2))
child = ctypes.PyDLL(None).fork()
if child:
    print("ready", child, flush=True)
asyncio.new_event_loop().run_until_complete(asyncio.sleep(3600))
