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


if os.environ.get("DEMO"):
    # The demo tasks of Umbel's stock worker, so that either side may take them.
    @app.task(name="demo.add")
    def add(x, y):
        if isinstance(x, str) or isinstance(y, str):
            raise TypeError("demo.add() takes numbers")
        return x + y

    @app.task(name="demo.mul")
    def mul(x, y):
        return x * y

    @app.task(name="demo.xsum")
    def xsum(numbers):
        return sum(numbers)

    @app.task(name="demo.echo")
    def echo(value):
        return value

    @app.task(name="demo.fail")
    def fail(message):
        raise Exception(message)

    @app.task(name="demo.flaky", bind=True, max_retries=None)
    def flaky(self, fail_times):
        if self.request.retries < fail_times:
            raise self.retry(exc=Exception("not yet"), countdown=1)
        return self.request.retries + 1
