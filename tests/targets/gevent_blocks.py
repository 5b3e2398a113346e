"""
A service of gevent with a driver that is not patched: `wsgi` under gunicorn, or by itself at the port given.

It is asked for BLOCK_SECONDS, each EVERY_SECONDS, in a greenlet beside those that serve.
"""

import os
import sys

import gevent
from gevent import monkey
from gevent.pywsgi import WSGIServer


def ask_slowly():
    monkey.get_original("time", "sleep")(float(os.environ["BLOCK_SECONDS"]))


def ask_often():
    while True:
        gevent.sleep(float(os.environ["EVERY_SECONDS"]))
        ask_slowly()


def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"served"]


gevent.spawn(ask_often)
if __name__ == "__main__":
    WSGIServer(("127.0.0.1", int(sys.argv[1])), wsgi, log=None).serve_forever()
