"""A Celery producer that runs checks on request.

Every line of standard input is a JSON object: {"check", "side", "param"}; the
answer is a line "answer {...}" with ok, skip or error. The checks are the
functions of the check modules here; they use Celery as its users do.
"""
import json
import os
import signal
import sys
import traceback

os.environ["PEER"] = "1"

import celery
import celery.exceptions
import app as application
import canvas
import control
import failures
import mixed
import results
import sending
import values

MODULES = (sending, values, failures, results, control, canvas, mixed)
LIMIT = int(os.environ.get("CHECK_LIMIT", "45"))  # seconds for one check


class Context:
    """What a check works with. Side is go, py or both: who runs the tasks."""

    def __init__(self, side, param, stage):
        self.app, self.side, self.param, self.stage = application.app, side, param, stage
        self.version = tuple(int(n) for n in celery.__version__.split(".")[:2])
        self.nodes = {"go": ["umbel@conf"], "py": ["py@conf"], "both": ["umbel@conf", "py@conf"]}[side]

    def task(self, name):
        """The task object on the side under test."""
        return self.app.tasks["%s.%s" % (self.side, name)]

    def s(self, name, *args, **kwargs):
        return self.task(name).s(*args, **kwargs)

    def run(self, name, *args, **options):
        return self.task(name).apply_async(args, **options)

    def get(self, result, **options):
        try:
            return result.get(timeout=20, **options)
        except celery.exceptions.TimeoutError:
            # Celery's client now and then misses the notice of a result that is
            # there, with Python workers too; asking again finds it.
            print("no result of %s after 20 s, asking again" % result.id, flush=True)
            return result.get(timeout=2, **options)

    def call(self, name, *args, **options):
        return self.get(self.run(name, *args, **options))


def alarm(*_):
    raise TimeoutError("the check did not end within %d s" % LIMIT)


def find(name):
    for module in MODULES:
        if name in vars(module):
            return vars(module)[name]
    raise LookupError("there is no check %s" % name)


def perform(request):
    signal.alarm(LIMIT)
    try:
        find(request["check"])(Context(request["side"], request.get("param"), os.environ["STAGE"]))
        return {"ok": True}
    except BaseException as e:
        where = traceback.format_exc().strip().splitlines()
        sys.stderr.write("\n".join(where) + "\n")
        return {"error": "%s: %s" % (type(e).__name__, e)}
    finally:
        signal.alarm(0)


def main():
    signal.signal(signal.SIGALRM, alarm)
    print("peer ready", flush=True)
    for line in sys.stdin:
        print("answer " + json.dumps(perform(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
