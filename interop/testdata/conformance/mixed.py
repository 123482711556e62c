"""One canvas that Go and Python work on together."""
import json
import time

from celery import chain, chord, group

from expect import equal, failure


def other(c, name, *args):
    return c.app.tasks["py." + name].s(*args)


def ours(c, name, *args):
    return c.app.tasks["go." + name].s(*args)


def chord_error(c, result):
    equal(type(c.get(result, propagate=False)).__name__, "ChordError")


def in_order(c, values):
    """What a chord's body gets; before 5.0 in any order."""
    return values if c.version >= (5, 0) else sorted(values)


def chain_across(c):
    flow = chain(ours(c, "add", 1, 1), other(c, "add", 10), ours(c, "add", 100), other(c, "add", 1000))
    equal(c.get(flow.apply_async()), 1112)
    flow = chain(other(c, "add", 1, 1), ours(c, "add", 10), other(c, "add", 100), ours(c, "add", 1000))
    equal(c.get(flow.apply_async()), 1112)


def group_across(c):
    equal(c.get(group(ours(c, "side"), other(c, "side")).apply_async()), ["go", "py"])


def link_across(c):
    for first, second in ((ours, other), (other, ours)):
        callback = second(c, "side").set(immutable=True)
        follow = callback.freeze()
        equal(c.get(first(c, "add", 1, 1).apply_async(link=callback)), 2)
        equal(c.get(follow), "py" if second is other else "go")


def errback_across(c):
    for first, second in ((ours, other), (other, ours)):
        errback = second(c, "echo")
        follow = errback.freeze()
        result = first(c, "raises", "builtins", "ValueError", "bad").apply_async(link_error=errback)
        failure(result, "ValueError", "bad")
        equal(c.get(follow), result.id)


def chord_body_go(c):
    header = [side(c, "add", i, i) for i in range(10) for side in (ours, other)]
    equal(c.get(chord(header)(ours(c, "xsum"))), 180)


def chord_body_py(c):
    header = [side(c, "add", i, i) for i in range(10) for side in (ours, other)]
    equal(c.get(chord(header)(other(c, "xsum"))), 180)


def chord_two(c):
    for body in (ours, other):
        got = c.get(chord([ours(c, "side"), other(c, "side")])(body(c, "echo")))
        equal(in_order(c, got), ["go", "py"])
        got = c.get(chord([other(c, "side"), ours(c, "side")])(body(c, "echo")))
        equal(in_order(c, got), in_order(c, ["py", "go"]))


def chord_many(c):
    n = c.param
    equal(c.get(chord([c.s("mark", i) for i in range(n)])(c.s("xsum"))), n * (n - 1) // 2)


def chord_failure_go(c):
    result = chord([other(c, "add", 1, 1), ours(c, "raises", "builtins", "ValueError", "bad")])(other(c, "xsum"))
    chord_error(c, result)


def chord_failure_py(c):
    result = chord([ours(c, "add", 1, 1), other(c, "raises", "builtins", "ValueError", "bad")])(ours(c, "xsum"))
    chord_error(c, result)


def chord_retry_across(c):
    for body in (ours, other):
        equal(c.get(chord([ours(c, "retry", 1), other(c, "retry", 1), ours(c, "add", 1, 1)])(body(c, "xsum"))), 4)


def chord_in_chord_across(c):
    inner = chord([ours(c, "add", 1, 1), other(c, "add", 2, 2)], ours(c, "xsum"))
    equal(c.get(chord([inner, other(c, "add", 3, 3)])(other(c, "xsum"))), 12)
    inner = chord([ours(c, "add", 1, 1), other(c, "add", 2, 2)], other(c, "xsum"))
    equal(c.get(chord([inner, ours(c, "add", 3, 3)])(ours(c, "xsum"))), 12)


def retry_across(c):
    """A Python retry on a shared queue may be taken by Go, and the reverse."""
    results = [c.run("retry", 2) for _ in range(12)]
    equal([c.get(r) for r in results], [2] * 12)


def redelivered_part(c):
    """A header task that runs twice with another value counts once, the first
    value wins, and the body runs once."""
    import redis
    broker = redis.Redis.from_url(c.app.conf.broker_url)
    for executor in ("go", "py"):
        rand = c.app.tasks[executor + ".randomly"].s().set(queue="limbo")
        last = c.app.tasks[executor + ".add"].s(1, 1).set(queue="limbo")
        result = chord([rand, last])(ours(c, "echo"))
        first, second = broker.lindex("limbo", -1), broker.lindex("limbo", -2)
        broker.delete("limbo")
        if json.loads(first)["headers"]["task"].endswith(".add"):
            first, second = second, first
        part = c.app.AsyncResult(json.loads(first)["headers"]["id"])
        broker.lpush(executor, first)
        value = c.get(part)
        broker.lpush(executor, first)
        c.get(c.app.tasks[executor + ".sleep"].s(0.5).apply_async())
        broker.lpush(executor, second)
        got = c.get(result)
        equal(len(got), 2)
        if c.version >= (5, 7):
            equal(got, [value, 2])


def chord_failure_either(c):
    header = [c.s("mark", i) for i in range(10)] + [c.s("raises", "builtins", "ValueError", "bad")]
    chord_error(c, chord(header)(c.s("xsum")))


def through_typed(c):
    results = [c.run("add", i, 1, queue="typed", priority=i % 10) for i in range(50)]
    equal([c.get(r) for r in results], [i + 1 for i in range(50)])
    equal(c.get(c.run("retry", 1, queue="typed")), 1)


def shared_typed(c):
    results = [c.run("side", queue="typed") for _ in range(100)]
    equal(set(c.get(r) for r in results), {"go", "py"})
    results = [c.run("retry", 1, queue="typed") for _ in range(10)]
    equal([c.get(r) for r in results], [1] * 10)


def delayed_typed(c):
    for seconds in (1.4, 3):
        begun = time.time()
        equal(c.get(c.run("add", 1, 2, queue="typed", countdown=seconds)), 3)
        if not seconds <= time.time() - begun < seconds + 3:
            raise AssertionError("ran after %.1f s, due after %.1f s" % (time.time() - begun, seconds))


def queue_by_priority(c):
    """Queues 0 to 19 with priorities 9 to 0, twice."""
    for i in range(20):
        c.run("mark", i, priority=9 - i % 10)
