"""A Python peer that runs the snippets of a test.

It reads one JSON object a line: code, broker, backend, conf (settings of the
Celery app) and vars. A snippet finds app, its variables and the names imported
here, and leaves its answer in result. The answer is one line of kombu's JSON
with result, or with error.
"""
import sys
import traceback

from celery import Celery, chain, chord, group, signature  # noqa: F401
from kombu.utils.json import dumps, loads

answers, sys.stdout = sys.stdout, sys.stderr
apps = {}


def app_of(request):
    key = dumps([request["broker"], request["backend"], request["conf"]])
    if key not in apps:
        app = Celery("peer", broker=request["broker"], backend=request["backend"] or None)
        app.conf.update(request["conf"] or {})
        apps[key] = app
    return apps[key]


for line in sys.stdin:
    request = loads(line)
    scope = dict(globals(), app=app_of(request), **(request["vars"] or {}))
    scope["result"] = None
    try:
        with scope["app"].pool.acquire(block=True) as connection:
            scope["connection"] = connection
            exec(request["code"], scope)
        answer = {"result": scope["result"]}
    except Exception:
        answer = {"error": traceback.format_exc()}
    print(dumps(answer), file=answers, flush=True)
