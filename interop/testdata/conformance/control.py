"""Remote control and inspection."""
import time

from expect import equal


def inspect(c, method, *args, **kwargs):
    asked = c.app.control.inspect(destination=c.nodes, timeout=5, limit=len(c.nodes))
    answers = getattr(asked, method)(*args, **kwargs)
    equal(sorted(answers or {}), sorted(c.nodes))
    return answers


def holds(answers, test):
    for node, answer in answers.items():
        if not test(answer):
            raise AssertionError("%s answers %r" % (node, answer))


def ok(reply):
    return list(reply) == ["ok"]


def order(c, method, *args, **kwargs):
    """A control command that every node confirms with ok."""
    replies = getattr(c.app.control, method)(*args, destination=c.nodes, reply=True, timeout=5, limit=len(c.nodes), **kwargs)
    merged = {node: answer for reply in replies for node, answer in reply.items()}
    equal(sorted(merged), sorted(c.nodes))
    holds(merged, ok)


def ping(c):
    replies = c.app.control.ping(destination=c.nodes, timeout=5, limit=len(c.nodes))
    equal(sorted(node for reply in replies for node in reply), sorted(c.nodes))
    holds({node: v for reply in replies for node, v in reply.items()}, lambda v: v == {"ok": "pong"})
    holds(inspect(c, "ping"), lambda v: v == {"ok": "pong"})


def registered(c):
    side = {"umbel@conf": "go", "py@conf": "py"}
    for node, names in inspect(c, "registered").items():
        equal("%s.add" % side[node] in names and "both.add" in names, True)


def stats(c):
    def good(s):
        pool = s["pool"]
        return (pool["max-concurrency"] == len(pool["processes"]) and isinstance(s["total"], dict)
                and isinstance(s["pid"], int) and "broker" in s and isinstance(s["clock"], str) and "rusage" in s)
    holds(inspect(c, "stats"), good)


def active(c):
    result = c.run("sleep", 1.5)
    found = {}
    for _ in range(20):
        for tasks in inspect(c, "active").values():
            found.update((t["id"], t) for t in tasks)
        if result.id in found:
            break
    info = found[result.id]
    equal((info["type"], info["args"], info["kwargs"]), (c.side + ".sleep", [1.5], {}))
    equal(isinstance(info["time_start"], float), True)
    equal(info["delivery_info"]["routing_key"], c.side)
    state = [s for answer in inspect(c, "query_task", result.id).values() for s in answer.values()]
    equal([s[0] for s in state], ["active"])
    c.get(result)


def reserved(c):
    holds(inspect(c, "reserved"), lambda v: isinstance(v, list))


def scheduled(c):
    result = c.run("add", 1, 1, countdown=3)
    for _ in range(10):
        found = [t for tasks in inspect(c, "scheduled").values() for t in tasks if t["request"]["id"] == result.id]
        if found:
            break
        time.sleep(0.1)
    equal(sorted(found[0]), ["eta", "priority", "request"])
    c.app.control.revoke(result.id)


def revoked(c):
    result = c.run("add", 1, 1, countdown=1)
    c.app.control.revoke(result.id)
    for _ in range(10):
        answers = inspect(c, "revoked")
        if all(result.id in ids for ids in answers.values()):
            return
        time.sleep(0.1)
    raise AssertionError("not listed: %r" % answers)


def active_queues(c):
    for node, queues in inspect(c, "active_queues").items():
        names = {q["name"] for q in queues}
        equal("both" in names and len(names) >= 2, True)
        holds({q["name"]: q for q in queues}, lambda q: "exchange" in q and "routing_key" in q)


def conf_report_clock(c):
    holds(inspect(c, "conf"), lambda v: isinstance(v, dict) and "error" not in v)
    holds(inspect(c, "report"), lambda v: "ok" in v)
    holds(inspect(c, "clock"), lambda v: isinstance(v["clock"], int))


def rate_limit(c):
    order(c, "rate_limit", c.side + ".add", "1000/s")
    equal(c.call("add", 1, 1), 2)
    order(c, "rate_limit", c.side + ".add", "0")


def set_time_limit(c):
    order(c, "time_limit", c.side + ".echo", soft=30, hard=60)
    equal(c.call("echo", 1), 1)


def queues_at_runtime(c):
    order(c, "add_consumer", "later")
    equal(c.get(c.task("add").apply_async((1, 1), queue="later")), 2)
    order(c, "cancel_consumer", "later")


def pool_size(c):
    order(c, "pool_grow", 1)
    order(c, "pool_shrink", 1)


def events_switch(c):
    order(c, "disable_events")
    order(c, "enable_events")


def broadcast(c):
    replies = c.app.control.broadcast("ping", reply=True, timeout=2)
    nodes = [node for reply in replies for node in reply]
    equal(set(c.nodes) <= set(nodes), True)


def unknown_command(c):
    replies = c.app.control.broadcast("no_such_command", reply=True, destination=c.nodes, timeout=1)
    for reply in replies:
        holds(reply, lambda v: "error" in v)
    ping(c)
