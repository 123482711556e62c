"""A Celery client and worker half, driven by JSON lines on standard input.

usage: peer.py REDIS_URL. Each line is [command, argument ...]; each answer is a
line of JSON.
"""
import json
import sys
from types import SimpleNamespace

from celery import Celery, signature
from celery.result import AsyncResult

app = Celery(broker=sys.argv[1], backend=sys.argv[1])
app.conf.broker_connection_retry_on_startup = True


def get(task_id, timeout):
    """What .get() returns or raises."""
    try:
        return ["returned", AsyncResult(task_id, app=app).get(timeout=timeout)]
    except Exception as exc:
        return ["raised", type(exc).__module__, type(exc).__name__, repr(exc)]


def store(task_id, value):
    return app.backend.store_result(task_id, value, "SUCCESS")


def fail(task_id, message):
    try:
        raise ValueError(message, 42)
    except ValueError as exc:
        app.backend.mark_as_failure(task_id, exc, traceback="Traceback")


def part(task_id, group, index, value):
    """Does the chord part return of a header task and tells the body's args."""
    body = signature("body", app=app).set(task_id="body-" + group)
    request = SimpleNamespace(
        id=task_id, group=group, group_index=index, chord=dict(body),
        chain=None, delivery_info={}, errbacks=None)
    app.backend.on_chord_part_return(request, "SUCCESS", value)
    return app.backend.client.llen("celery")


def chord(group, size):
    app.backend.set_chord_size(group, size)


def save(group, task_ids):
    app.GroupResult(group, [AsyncResult(t, app=app) for t in task_ids]).save()


for line in sys.stdin:
    command, *args = json.loads(line)
    print(json.dumps(globals()[command](*args)), flush=True)
