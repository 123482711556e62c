"""The application of the Python worker beside ours.

Broker and result backend come from the command line.
"""
from celery import Celery

app = Celery("pyapp")
app.conf.broker_connection_retry_on_startup = True
app.conf.worker_prefetch_multiplier = 1
app.conf.beat_enable_remote_control = True


@app.task(name="py.echo")
def echo(value):
    return value


@app.task(name="py.fail")
def fail(message):
    raise ValueError(message)


@app.task(name="py.errback")
def errback(request, exc, traceback):
    app.backend.set("errback:" + request.id, repr(exc))


@app.task(name="py.errback.old")
def old_errback(failed):
    app.backend.set("errback:" + failed, "by message")
