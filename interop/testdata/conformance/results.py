"""What a producer does with a result."""
import time

from celery import group
from celery.result import GroupResult

from expect import equal, failure


def children(c):
    callback = c.s("add", 40)
    result = c.run("add", 1, 1, link=callback)
    equal(c.get(result), 2)
    equal([c.get(child) for child in result.children], [42])


def collect(c):
    result = c.run("add", 1, 1, link=c.s("add", 40))
    c.get(result)
    time.sleep(0.5)
    equal([value for _, value in result.collect(timeout=10)], [2, 42])


def save_restore(c):
    result = group(c.s("add", i, i) for i in range(3)).apply_async()
    result.save()
    again = GroupResult.restore(result.id, app=c.app)
    equal(again.join(timeout=20), [0, 2, 4])
    equal((again.completed_count(), again.successful(), again.ready()), (3, True, True))
    again.delete()


def group_partial(c):
    result = group([c.s("add", 1, 1), c.s("raises", "builtins", "KeyError", "k"), c.s("add", 2, 2)]).apply_async()
    values = c.get(result, propagate=False)
    equal([values[0], type(values[1]), values[2]], [2, KeyError, 4])
    equal((result.failed(), result.completed_count()), (True, 2))


def forget(c):
    result = c.run("add", 1, 1)
    equal(c.get(result), 2)
    result.forget()
    equal(c.app.AsyncResult(result.id).state, "PENDING")


def states(c):
    result = c.run("sleep", 0.7)
    seen = []
    while not seen or seen[-1] != "SUCCESS":
        state = c.app.AsyncResult(result.id).state
        if not seen or seen[-1] != state:
            seen.append(state)
        time.sleep(0.01)
    equal([s for s in seen if s != "PENDING"], ["STARTED", "SUCCESS"])


def metadata(c):
    result = c.run("add", 1, 1)
    c.get(result)
    equal(result.date_done is not None, True)
    equal((result.state, result.info, result.result), ("SUCCESS", 2, 2))


def many_at_once(c):
    results = [c.run("add", i, 1) for i in range(200)]
    equal([c.get(r) for r in results], [i + 1 for i in range(200)])


def revoke_before(c):
    result = c.run("add", 1, 1, countdown=2)
    c.app.control.revoke(result.id, destination=c.nodes)
    failure(result, "TaskRevokedError")
    equal(result.state, "REVOKED")


def revoke_terminate(c):
    result = c.run("sleep", 15)
    begun = time.time()
    while not any(t["id"] == result.id
                  for tasks in (c.app.control.inspect(destination=c.nodes, timeout=1, limit=len(c.nodes)).active() or {}).values()
                  for t in tasks):
        if time.time() - begun > 10:
            raise AssertionError("the task is not active after 10 s")
    c.app.control.revoke(result.id, terminate=True, signal="SIGKILL", destination=c.nodes)
    failure(result, "TaskRevokedError")
    equal(time.time() - begun < 12, True)
