"""Options of a call."""
import time
from datetime import datetime, timedelta, timezone

from celery import Celery

import app as application
from expect import equal, failure


def utcnow():
    return datetime.now(timezone.utc)


def not_before(c, due, **options):
    result = c.run("add", 1, 2, **options)
    equal(c.get(result), 3)
    if utcnow() < due - timedelta(milliseconds=50):
        raise AssertionError("ran %s too early" % (due - utcnow()))


def delay(c):
    equal(c.get(c.task("add").delay(2, 3)), 5)


def send_task(c):
    equal(c.get(c.app.send_task(c.side + ".add", kwargs={"y": 3, "x": 2})), 5)


def countdown(c):
    not_before(c, utcnow() + timedelta(seconds=1), countdown=1)


def eta_utc(c):
    due = utcnow() + timedelta(seconds=1.2)
    not_before(c, due, eta=due)


def eta_zone(c):
    due = (utcnow() + timedelta(seconds=1.2)).astimezone(timezone(timedelta(hours=-3, minutes=-30)))
    not_before(c, due, eta=due)


def eta_past(c):
    equal(c.call("add", 1, 2, eta=utcnow() - timedelta(hours=1)), 3)


def expires_future(c):
    equal(c.call("add", 1, 2, expires=60), 3)
    equal(c.call("add", 1, 2, expires=utcnow() + timedelta(minutes=1)), 3)


def expires_past(c):
    failure(c.run("add", 1, 2, expires=utcnow() - timedelta(minutes=1)), "TaskRevokedError", "expired")


def expires_while_delayed(c):
    failure(c.run("add", 1, 2, countdown=1.5, expires=0.5), "TaskRevokedError", "expired")


def priority(c):
    results = [c.run("add", p, 1, priority=p) for p in (0, 3, 6, 9, 4)]
    equal([c.get(r) for r in results], [1, 4, 7, 10, 5])


def link(c):
    callback = c.s("add", 40)
    follow = callback.freeze()
    equal(c.call("add", 1, 1, link=callback), 2)
    equal(c.get(follow), 42)


def link_list(c):
    result = c.run("add", 1, 1, link=[c.s("add", 10), c.s("add", 20)])
    equal(c.get(result), 2)
    got = []
    for child in result.children:  # two results, or one of a group before 5.7
        value = c.get(child)
        got += value if isinstance(value, list) else [value]
    equal(sorted(got), [12, 22])


def link_error(c):
    errback = c.s("echo")
    follow = errback.freeze()
    result = c.run("raises", "builtins", "ValueError", "bad", link_error=errback)
    failure(result, "ValueError", "bad")
    equal(c.get(follow), result.id)


def headers(c):
    equal(c.call("header", "x_colour", headers={"x_colour": "芹菜"}), "芹菜")


def large_header(c):
    equal(c.call("header", "x_count", headers={"x_count": 2**40}), 2**40)


def ignore_result(c):
    callback = c.s("add", 1)
    follow = callback.freeze()
    result = c.run("add", 1, 1, ignore_result=True, link=callback)
    c.get(c.app.AsyncResult(follow.id))
    time.sleep(0.3)
    # Before 5.6 a Python worker that tracks STARTED stores that.
    equal(c.app.AsyncResult(result.id).state in ("PENDING", "STARTED"), True)


def compression(c):
    text = "celery " * 5000
    equal(c.call("echo", text, compression=c.param), text)


def serializer(c):
    value = {"list": [1, 2.5, None, True], "text": "芹菜"}
    equal(c.call("echo", value, serializer=c.param), value)


def pickle_refused(c):
    result = c.run("add", 1, 2, serializer="pickle")
    c.get(result, propagate=False)
    equal(result.state, "FAILURE")


def soft_time_limit(c):
    failure(c.run("sleep", 10, soft_time_limit=1), "SoftTimeLimitExceeded")


def time_limit(c):
    failure(c.run("sleep", 10, time_limit=1), "TimeLimitExceeded")


def shadow(c):
    result = c.run("sleep", 1.5, shadow="nickname")
    for _ in range(30):
        active = c.app.control.inspect(destination=c.nodes, timeout=1).active() or {}
        names = [t["name"] for tasks in active.values() for t in tasks if t["id"] == result.id]
        if names:
            break
    equal(names, ["nickname"])
    equal(c.get(result), 1.5)


def stamped(c):
    signature = c.s("stamps")
    signature.stamp(colour="green", numbers=[1, 2])
    equal(c.get(signature.apply_async()), {"colour": "green", "numbers": [1, 2]})


def task_protocol_1(c):
    old = Celery("old", set_as_current=False)
    application.configure(old)
    old.conf.task_protocol = 1
    result = old.send_task(c.side + ".add", [2, 3])
    equal(c.get(result), 5)
    due = utcnow() + timedelta(seconds=1)
    equal(c.get(old.send_task(c.side + ".add", [2, 3], countdown=1)), 5)
    if utcnow() < due - timedelta(milliseconds=50):
        raise AssertionError("the countdown was not kept")
    old.close()
