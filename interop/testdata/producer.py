"""A plain Celery producer: sends the demo tasks and checks what comes back.

Usage: producer.py BROKER BACKEND [--no-chord] [--node NAME]
Prints one line per check and exits 1 at the first that does not hold.
"""
import argparse
import sys
import time

from celery import Celery, chain, chord, group, signature

parser = argparse.ArgumentParser()
parser.add_argument("broker")
parser.add_argument("backend")
parser.add_argument("--no-chord", action="store_true")
parser.add_argument("--node", default="umbel@")
options = parser.parse_args()

app = Celery("producer", broker=options.broker, backend=options.backend)
app.conf.broker_connection_retry_on_startup = True
TIMEOUT = 20


def add(*args, **kwargs):
    return signature("demo.add", args=args, app=app, **kwargs)


def check(name, got, want):
    if got != want or type(got) is not type(want):
        print(f"FAILED {name}: got {got!r}, want {want!r}", flush=True)
        sys.exit(1)
    print(f"ok {name}", flush=True)


check("add", app.send_task("demo.add", [2, 3]).get(timeout=TIMEOUT), 5)
check("keyword arguments", app.send_task("demo.add", kwargs={"y": 3, "x": 2}).get(timeout=TIMEOUT), 5)
check("floats stay floats", app.send_task("demo.add", [2.0, 3]).get(timeout=TIMEOUT), 5.0)
check("large integers", app.send_task("demo.mul", [10**20, 10**20]).get(timeout=TIMEOUT), 10**40)
check("unicode", app.send_task("demo.echo", ["芹菜 \U0001f33f"]).get(timeout=TIMEOUT), "芹菜 \U0001f33f")

failing = app.send_task("demo.fail", ["no such luck"])
try:
    failing.get(timeout=TIMEOUT)
except Exception as e:
    check("failure message", str(e), "no such luck")
    check("failure class", type(e).__name__, "Exception")
else:
    check("failure raises", False, True)

try:
    app.send_task("demo.add", ["one"]).get(timeout=TIMEOUT)
except TypeError as e:
    print(f"ok wrong arguments: {e}", flush=True)

try:
    app.send_task("nobody.registers.this").get(timeout=TIMEOUT)
except Exception as e:
    check("unknown task", type(e).__name__, "NotRegistered")

begun = time.time()
check("countdown", app.send_task("demo.add", [1, 1], countdown=2).get(timeout=TIMEOUT), 2)
waited = time.time() - begun
check(f"countdown waits ({waited:.2f} s)", waited >= 2, True)

check("retries", app.send_task("demo.flaky", [1]).get(timeout=TIMEOUT), 2)

check("chain", chain(add(1, 2), add(10), add(100)).apply_async().get(timeout=TIMEOUT), 113)
members = group(add(i, i) for i in range(5)).apply_async()
check("group", members.get(timeout=TIMEOUT), [0, 2, 4, 6, 8])

linked = app.send_task("demo.add", [1, 1], link=add(40, task_id="linked-%d" % time.time_ns()))
check("link", linked.get(timeout=TIMEOUT), 2)

xsum = signature("demo.xsum", app=app)
if not options.no_chord:
    check("chord", chord([add(i, i) for i in range(10)], xsum).apply_async().get(timeout=TIMEOUT), 90)
    nested = chain(add(1, 1), group(add(1), add(2)), xsum.clone(), add(100))
    check("chain with a group", nested.apply_async().get(timeout=TIMEOUT), 107)
    bad = chord([add(1, 1), signature("demo.fail", args=("header",), app=app)], xsum.clone()).apply_async()
    check("failed chord", type(bad.get(timeout=TIMEOUT, propagate=False)).__name__, "ChordError")

replies = app.control.ping(timeout=2)
nodes = [name for reply in replies for name in reply]
check("ping", any(n.startswith(options.node) for n in nodes), True)
inspected = app.control.inspect(timeout=2, destination=[n for n in nodes if n.startswith(options.node)])
registered = inspected.registered()
check("registered", all("demo.add" in names for names in registered.values()), True)
stats = inspected.stats()
check("stats", all(s["pool"]["max-concurrency"] == len(s["pool"]["processes"]) for s in stats.values()), True)
running = [info for infos in inspected.active().values() for info in infos]
check("active", all(info["type"].startswith("demo.") and info["id"] for info in running), True)
print("all checks hold", flush=True)
