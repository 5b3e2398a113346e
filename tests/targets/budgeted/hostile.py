"""Blocks in a function, of a file, whose names are made to be taken for something else by whoever prints them."""

import asyncio
import sys
import time

NAME = "::error file=a.py,line=1::gotcha\x1b[31m\n##[error]\u202e]]><x&\x00"
FILE = "/srv/%s/app.py" % "a,b:c%0A::\x07<"


def block():
    time.sleep(0.4)


code = block.__code__.replace(co_name=NAME, co_filename=FILE)
if sys.version_info >= (3, 11):
    code = code.replace(co_qualname=NAME)
block.__code__ = code


async def main():
    block()


asyncio.run(main())
