"""A Python worker's application.

Its broker and result backend come from the command line. RAN in the environment
is a file that gets one line per execution.
"""
import os

from celery import Celery

app = Celery("pyapp")
app.conf.broker_connection_retry_on_startup = True
app.conf.worker_prefetch_multiplier = 1


def ran(request):
    path = os.environ.get("RAN")
    if path:
        with open(path, "a") as f:
            f.write(request.id + "\n")


@app.task(name="shared.mark", bind=True)
def mark(self, i):
    ran(self.request)
    return i


@app.task(name="py.only", bind=True)
def only(self, i):
    ran(self.request)
    return "python %d" % i


@app.task(name="py.total")
def total(numbers):
    return sum(numbers)
