"""A healthy control: a service that waits."""

from scenery import play


def nothing(_seconds):
    pass


play(nothing)
