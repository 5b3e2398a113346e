"""A celery app without a task worth the name; its broker is in memory, so each worker has its own."""

from celery import Celery

app = Celery("tasks_celery", broker="memory://", backend=None)


@app.task
def add(one, other):
    return one + other
