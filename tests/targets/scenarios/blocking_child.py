"""A callback that runs a command and waits for it."""

import subprocess

from scenery import play


def convert_picture(seconds):
    subprocess.run(["sleep", str(seconds)], check=True)


play(convert_picture, "blocking_call", "convert_picture")
