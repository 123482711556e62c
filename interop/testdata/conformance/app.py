"""The Celery application of the conformance suite: a worker's and a producer's.

The worker program `celery -A app worker -Q py,both` registers py.* and both.*;
with PEER in the environment, go.* are registered too, so that a producer has
task objects for them. A task's queue is the first part of its name, here and in
the Go worker, so follow-ups stay on their side.
"""
import importlib
import os
import random
import time

from celery import Celery
from kombu import Exchange, Queue

SIDES = ("py", "both", "go") if os.environ.get("PEER") else ("py", "both")

app = Celery("conformance")


def configure(app):
    app.conf.update(
        broker_url=os.environ["CELERY_BROKER_URL"],
        result_backend=os.environ["CELERY_RESULT_BACKEND"],
        task_routes={side + ".*": {"queue": side} for side in ("py", "both", "go")},
        accept_content=["json", "msgpack", "yaml"],
        # Celery 4.4 keeps chord parts in a list otherwise, which newer peers do not.
        result_backend_transport_options={"result_chord_ordered": True},
        worker_prefetch_multiplier=1,
        task_track_started=True,
        broker_connection_retry_on_startup=True,
    )
    visibility = os.environ.get("VISIBILITY")
    if visibility:
        app.conf.broker_transport_options = {"visibility_timeout": int(visibility)}
    kind = os.environ.get("TYPED")
    if kind:
        arguments = {"quorum": {"x-queue-type": "quorum"}, "priority": {"x-max-priority": 10}}[kind]
        app.conf.task_queues = [
            Queue("typed", Exchange("typed", type="topic"), routing_key="typed", queue_arguments=arguments),
            Queue("go"), Queue("py"), Queue("both"),
        ]
        app.conf.task_default_queue_type = "classic"
        app.conf.worker_detect_quorum_queues = kind == "quorum"


configure(app)


class OrderError(Exception):
    """A user's exception, which the producer has and the Go worker names."""


def task(**options):
    def register(function):
        for side in SIDES:
            app.task(name="%s.%s" % (side, function.__name__), **options)(function)
        return function

    return register


def ran(request):
    path = os.environ.get("RAN")
    if path:
        with open(path, "a") as f:
            f.write(request.id + "\n")


@task()
def add(x, y):
    return x + y


@task()
def xsum(numbers):
    return sum(numbers)


@task()
def echo(value=None):
    return value


@task()
def sleep(seconds):
    time.sleep(seconds)
    return seconds


@task(acks_late=True)
def sleep_late(seconds):
    time.sleep(seconds)
    return seconds


@task(bind=True)
def mark(self, i):
    ran(self.request)
    return i


@task()
def raises(module, name, *args):
    raise getattr(importlib.import_module(module), name)(*args)


if not os.environ.get("PEER"):

    class Homemade(Exception):
        """A class that the producer does not find."""


@task()
def invents(message):
    raise Homemade(message)


@task(bind=True, max_retries=None)
def retry(self, times):
    if self.request.retries < times:
        raise self.retry(exc=ValueError("not yet"), countdown=0.5)
    return self.request.retries


@task(bind=True, max_retries=1)
def exhaust(self):
    raise self.retry(exc=ValueError("used up"), countdown=0.2)


@task(bind=True)
def header(self, name):
    custom = (self.request.headers or {}).get(name)
    return custom if custom is not None else self.request.get(name)


@task(bind=True)
def stamps(self):
    return self.request.get("stamps") or {}


@task()
def randomly():
    return random.getrandbits(30)


@task()
def side():
    return "py"


@app.task(name="demo.sleep", acks_late=True, bind=True)
def demo_sleep(self, seconds):
    """The stock Go worker has it too."""
    ran(self.request)
    time.sleep(seconds)
    return seconds
