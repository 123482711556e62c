"""Failures, and the exceptions they raise at the caller."""
import time

from celery.exceptions import ImproperlyConfigured

import app as application
from expect import equal, failure, raised


def builtin_exception(c):
    for name, args in (("ValueError", ("bad",)), ("KeyError", ("k",)), ("TypeError", ("t", 2)), ("ZeroDivisionError", ())):
        e = failure(c.run("raises", "builtins", name, *args), name)
        equal(tuple(e.args), args)
        equal(type(e).__module__, "builtins")


def celery_exception(c):
    e = failure(c.run("raises", "celery.exceptions", "ImproperlyConfigured", "no"), "ImproperlyConfigured", "no")
    equal(isinstance(e, ImproperlyConfigured), True)


def user_exception(c):
    e = failure(c.run("raises", "app", "OrderError", 7, "out of stock"), "OrderError", 7, "out of stock")
    equal(isinstance(e, application.OrderError), True)


def unknown_exception(c):
    e = failure(c.run("invents", "nobody knows"), "Homemade")
    equal("nobody knows" in str(e), True)


def wrong_arguments(c):
    e = raised(c.get, c.app.send_task(c.side + ".add", [1]))
    equal(type(e), TypeError)


def not_registered(c):
    result = c.app.send_task(c.side + ".nobody.has.this")
    e = raised(c.get, result)
    equal(type(e).__name__, "NotRegistered")


def propagate(c):
    result = c.run("raises", "builtins", "ValueError", "bad")
    value = c.get(result, propagate=False)
    equal(type(value), ValueError)
    equal((result.state, result.failed(), result.successful()), ("FAILURE", True, False))
    equal(bool(result.traceback), True)


def retry(c):
    result = c.run("retry", 2)
    equal(c.get(result), 2)


def retry_state(c):
    result = c.run("retry", 2)
    seen = set()
    while "SUCCESS" not in seen:
        seen.add(c.app.AsyncResult(result.id).state)
        time.sleep(0.01)
    equal("RETRY" in seen, True)


def retries_used_up(c):
    failure(c.run("exhaust"), "ValueError", "used up")
