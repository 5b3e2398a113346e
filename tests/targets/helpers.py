"""
An asyncio service that shells out: to a shell, to a Python script that lives on without a loop, and to one that
uses asyncio and is done within a second. Prints `helped` when all of them are.
"""

import asyncio
import subprocess
import sys

LOOPLESS = "import time; time.sleep(2.5)"
WITH_A_LOOP = "import asyncio; asyncio.run(asyncio.sleep(0.3))"


async def main():
    await asyncio.sleep(1.5)
    commands = (
        ["sh", "-c", "sleep 2; true"],
        [sys.executable, "-c", LOOPLESS],
        [sys.executable, "-c", WITH_A_LOOP],
    )
    helpers = [await asyncio.create_subprocess_exec(*command) for command in commands]
    await asyncio.get_running_loop().run_in_executor(None, subprocess.run, [sys.executable, "-c", WITH_A_LOOP])
    for helper in helpers:
        await helper.wait()
    print("helped", flush=True)
    await asyncio.sleep(3600)


asyncio.run(main())
