"""A Celery client and worker half, driven by JSON lines on standard input.

usage: peer.py REDIS_URL [SETTING=VALUE ...]. Each line is [command, argument ...]; each
answer is a line of JSON.
"""
import base64
import json
import sys
from types import ModuleType, SimpleNamespace

from celery import Celery, signature
from celery.result import AsyncResult, result_from_tuple

app = Celery(broker=sys.argv[1], backend=sys.argv[1])
app.conf.broker_connection_retry_on_startup = True
app.conf.accept_content = ["json", "msgpack", "yaml"]
app.conf.update(setting.split("=") for setting in sys.argv[2:])

# A user's module, with a class in a class and something that is no exception.
shop = sys.modules["shop"] = ModuleType("shop")
exec("""
class Shop:
    class Empty(Exception):
        pass
class Picky(Exception):
    def __init__(self, one):
        super().__init__(one)
def sell(): pass
""", shop.__dict__)


def get(task_id, timeout):
    """What .get() returns or raises."""
    try:
        return ["returned", AsyncResult(task_id, app=app).get(timeout=timeout)]
    except Exception as exc:
        return ["raised", type(exc).__module__, type(exc).__qualname__, repr(exc)]


def info(task_id):
    """What a result tells about its task."""
    r = AsyncResult(task_id, app=app)
    children = [c if isinstance(c, AsyncResult) else result_from_tuple(c, app) for c in r.children]
    return [r.state, r.result, r.name, r.args, r.kwargs, r.worker, r.retries, r.queue, str(r.date_done),
            [c.id for c in children]]


def store(task_id, value, state="SUCCESS"):
    return app.backend.store_result(task_id, value, state)


def fail(task_id, message):
    try:
        raise ValueError(message, 42)
    except ValueError as exc:
        app.backend.mark_as_failure(task_id, exc, traceback="Traceback")


def throw(task_id, expression):
    """Stores the exception as a failure and describes it."""
    exc = eval(expression, {"shop": shop})
    app.backend.mark_as_failure(task_id, exc)
    return [type(exc).__module__, type(exc).__qualname__, repr(exc)]


def part(task_id, group, index, value, state="SUCCESS"):
    """Does the chord part return of a header task."""
    body = signature("body", app=app).set(task_id="body-" + group)
    request = SimpleNamespace(
        id=task_id, group=group, group_index=index, chord=dict(body),
        chain=None, delivery_info={}, errbacks=None)
    app.backend.on_chord_part_return(request, state, value)


def bodies():
    """The arguments of the bodies that were sent since the last call."""
    client, sent = app.backend.client, []
    while True:
        message = client.rpop("celery")
        if message is None:
            return sent
        sent.append(json.loads(base64.b64decode(json.loads(message)["body"]))[0][0])


def chord(group, size):
    app.backend.set_chord_size(group, size)


def grow(group):
    app.backend.add_to_chord(group, None)


def save(group, members):
    """Saves a group; a list among its members is a group in it."""
    def result(m):
        return app.GroupResult(m[0], [result(c) for c in m[1]]) if isinstance(m, list) else AsyncResult(m, app=app)
    result([group, members]).save()


def restore(group):
    """The saved group as a tuple."""
    saved = app.GroupResult.restore(group, app=app)
    return saved and saved.as_tuple()


def delete(group):
    app.GroupResult.restore(group, app=app).delete()


for line in sys.stdin:
    command, *args = json.loads(line)
    print(json.dumps(globals()[command](*args)), flush=True)
