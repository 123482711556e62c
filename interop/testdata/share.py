"""Sends tasks to a queue that Go and Python workers share.

Usage: share.py BROKER BACKEND COUNT [--no-chord]
"""
import argparse
import sys

from celery import Celery, chord, signature

parser = argparse.ArgumentParser()
parser.add_argument("broker")
parser.add_argument("backend")
parser.add_argument("count", type=int)
parser.add_argument("--no-chord", action="store_true")
options = parser.parse_args()

app = Celery("share", broker=options.broker, backend=options.backend)
app.conf.broker_connection_retry_on_startup = True

sent = [app.send_task("shared.mark", [i]) for i in range(options.count)]
only = [app.send_task("py.only", [i]) for i in range(10)]
mixed = None
if not options.no_chord:
    header = [signature("shared.mark", args=(i,), app=app) for i in range(20)]
    # A Python worker destroys what it does not register, so the Go body has a queue of its own.
    bodies = [signature("py.total", app=app), signature("go.total", app=app, queue="go")]
    mixed = [chord(header, body).apply_async() for body in bodies]

results = [r.get(timeout=60) for r in sent]
if results != list(range(options.count)):
    sys.exit("results are wrong: %r" % results)
got = [r.get(timeout=60) for r in only]
if got != ["python %d" % i for i in range(10)]:
    sys.exit("results of py.only are wrong: %r" % got)
for r in mixed or []:
    if r.get(timeout=60) != sum(range(20)):
        sys.exit("chord gave %r" % r.result)
print("all came back", flush=True)
