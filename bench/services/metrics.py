"""
`metrics.py PORT [WORKERS]`: what prometheus_client tells of a process by itself; or, by its multiprocess
collector, what so many workers have written who count requests by path and time them.
"""

import os
import sys
import tempfile
import threading

PATHS = tuple(f"/things/{number}" for number in range(5))


def several(port, workers):
    """Serve what all of them have written."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
        from prometheus_client.multiprocess import MultiProcessCollector

        requests = Counter("requests", "Requests.", ["path"])
        seconds = Histogram("request_seconds", "How long they took.", ["path"])
        for _ in range(workers):
            if os.fork() == 0:
                for path in PATHS:
                    requests.labels(path).inc()
                    seconds.labels(path).observe(0.01)
                os._exit(0)
        for _ in range(workers):
            os.wait()
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        start_http_server(port, "127.0.0.1", registry)
        threading.Event().wait()


def alone(port):
    """Serve what is told of any process."""
    from prometheus_client import start_http_server

    start_http_server(port, "127.0.0.1")
    threading.Event().wait()


if __name__ == "__main__":
    several(int(sys.argv[1]), int(sys.argv[2])) if sys.argv[2:] else alone(int(sys.argv[1]))
