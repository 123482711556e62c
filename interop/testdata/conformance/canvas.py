"""Chains, groups, chords and what is built of them."""
from celery import chain, chord, group

from expect import equal, failure, raised


def chain_(c):
    result = chain(c.s("add", 1, 2), c.s("add", 10), c.s("add", 100)).apply_async()
    equal(c.get(result), 113)
    equal((result.parent.get(timeout=5), result.parent.parent.get(timeout=5)), (13, 3))


def chain_immutable(c):
    equal(c.get(chain(c.s("add", 1, 2), c.task("add").si(5, 5), c.s("add", 1)).apply_async()), 11)


def chain_countdown(c):
    equal(c.get(chain(c.s("add", 1, 2), c.s("add", 1).set(countdown=1)).apply_async()), 4)


def chain_pipe(c):
    equal(c.get((c.s("add", 1, 1) | c.s("add", 1) | c.s("add", 1))()), 4)


def chain_of_one(c):
    equal(c.get(chain(c.s("add", 1, 1)).apply_async()), 2)


def chain_long(c):
    equal(c.get(chain([c.s("add", 0, 0)] + [c.s("add", 1)] * 40).apply_async()), 40)


def chain_error(c):
    errback = c.s("echo")
    follow = errback.freeze()
    bad = c.s("raises", "builtins", "ValueError", "bad")
    result = chain(c.s("add", 1, 1), bad.set(immutable=True), c.s("add", 1)).apply_async(link_error=errback)
    e = raised(c.get, result)
    equal(type(e).__name__, "ValueError")
    equal(c.get(follow), result.parent.id)


def chain_link(c):
    callback = c.s("add", 1000)
    follow = callback.freeze()
    result = chain(c.s("add", 1, 1), c.s("add", 1)).apply_async(link=callback)
    equal((c.get(result), c.get(follow)), (3, 1003))


def group_(c):
    result = group(c.s("add", i, i) for i in range(10)).apply_async()
    equal(c.get(result), [2 * i for i in range(10)])
    equal((result.completed_count(), result.successful()), (10, True))


def group_empty(c):
    equal(c.get(group([]).apply_async()), [])


def group_nested(c):
    inner = group(c.s("add", 1, 1), c.s("add", 2, 2))
    equal(sorted(map(str, c.get(group(inner, c.s("add", 3, 3)).apply_async()))), ["2", "4", "6"])


def group_of_chains(c):
    result = group(chain(c.s("add", i, 1), c.s("add", 10)) for i in range(4)).apply_async()
    equal(c.get(result), [11, 12, 13, 14])


def group_link(c):
    members = group(c.s("add", 1, 1), c.s("add", 2, 2))
    members.link(c.s("add", 1, 1000))  # Celery makes it immutable, after the first member
    result = members.apply_async()
    equal(c.get(result), [2, 4])
    equal([c.get(child) for child in result.children[0].children], [1001])


def map_(c):
    equal(c.get(c.task("xsum").map([[1, 2], [3, 4]]).apply_async(queue=c.side)), [3, 7])


def starmap(c):
    equal(c.get(c.task("add").starmap([(1, 2), (3, 4)]).apply_async(queue=c.side)), [3, 7])


def chunks(c):
    result = c.task("add").chunks(zip(range(10), range(10)), 4).apply_async(queue=c.side)
    equal(c.get(result), [[0, 2, 4, 6], [8, 10, 12, 14], [16, 18]])


def chord_(c):
    equal(c.get(chord([c.s("add", i, i) for i in range(c.param or 2)])(c.s("xsum"))), sum(2 * i for i in range(c.param or 2)))


def chord_of_one(c):
    value = c.get(chord([c.s("add", 2, 2)])(c.s("echo")))
    equal(value in (4, [4]), True)


def chord_empty(c):
    equal(c.get(chord([])(c.s("xsum"))), 0)


def chord_from_chain(c):
    """A group followed by a task becomes a chord."""
    flow = chain(c.s("add", 1, 1), group(c.s("add", 1), c.s("add", 2)), c.s("xsum"), c.s("add", 100))
    equal(c.get(flow.apply_async()), 107)


def chord_in_chord(c):
    inner = chord([c.s("add", 1, 1), c.s("add", 2, 2)], c.s("xsum"))
    equal(c.get(chord([inner, c.s("add", 3, 3)])(c.s("xsum"))), 12)


def chord_body_chain(c):
    body = chain(c.s("xsum"), c.s("add", 1), c.s("add", 1))
    equal(c.get(chord([c.s("add", i, 0) for i in range(3)])(body)), 5)


def chord_body_group(c):
    body = group(c.s("xsum"), c.s("xsum"))
    equal(c.get(chord([c.s("add", i, 0) for i in range(3)], body).apply_async()), [3, 3])


def chord_header_chains(c):
    header = [chain(c.s("add", i, 0), c.s("add", 10)) for i in range(3)]
    equal(c.get(chord(header)(c.s("xsum"))), 33)


def chord_header_groups(c):
    header = group(group(c.s("add", 1, 1), c.s("add", 2, 2)), c.s("add", 3, 3))
    # Celery numbers the members of nested groups twice, so their order is open.
    equal(sorted(c.get(chord(header, c.s("echo")).apply_async())), [2, 4, 6])


def groups_in_a_chain(c):
    one = group(c.s("add", 1, 1), c.s("add", 2, 2))
    two = group(c.s("xsum"), c.s("xsum"))
    equal(c.get(chain(one, two, c.s("xsum")).apply_async()), 12)


def fails_with(result, name):
    """get() raises the failed member's exception or, once it has seen the body's
    own, that."""
    equal(type(raised(result.get, timeout=20)).__name__ in (name, "ChordError"), True)


def chord_error(c):
    bad = c.s("raises", "builtins", "ValueError", "bad")
    result = chord([c.s("add", 1, 1), bad])(c.s("xsum"))
    fails_with(result, "ValueError")
    e = c.get(result, propagate=False)
    equal((type(e).__name__, "ValueError('bad')" in str(e)), ("ChordError", True))


def chord_error_link(c):
    errback = c.s("echo")
    follow = errback.freeze()
    body = c.s("xsum").on_error(errback)
    result = chord([c.s("add", 1, 1), c.s("raises", "builtins", "KeyError", "k")])(body)
    fails_with(result, "KeyError")
    equal(type(c.get(result, propagate=False)).__name__, "ChordError")
    equal(c.get(follow), result.id)


def chord_body_error(c):
    result = chord([c.s("add", 1, 1), c.s("add", 1, 1)])(c.task("raises").si("builtins", "ValueError", "body"))
    failure(result, "ValueError", "body")


def chord_error_in_chain(c):
    """The failure of a chord reaches the steps after it."""
    bad = group(c.s("add", 1, 1), c.s("raises", "builtins", "ValueError", "bad"))
    result = chain(bad, c.s("xsum"), c.s("add", 1)).apply_async()
    e = raised(c.get, result)
    equal(type(e).__name__ in ("ChordError", "ValueError"), True)


def chord_retry(c):
    header = [c.s("retry", 1), c.s("add", 1, 1), c.s("retry", 2)]
    equal(c.get(chord(header)(c.s("xsum"))), 5)


def chord_countdown(c):
    header = [c.s("add", 1, 1).set(countdown=1), c.s("add", 1, 1)]
    equal(c.get(chord(header)(c.s("xsum"))), 4)


def chord_not_registered(c):
    missing = c.app.signature(c.side + ".nobody.has.this")
    result = chord([c.s("add", 1, 1), missing])(c.s("xsum"))
    fails_with(result, "NotRegistered")
    if c.side == "go":  # a Python worker leaves the body pending
        equal(type(c.get(result, propagate=False)).__name__, "ChordError")


def chord_values(c):
    header = [c.s("echo", v) for v in (None, [1, [2]], {"k": 1.0}, "芹菜", 10**30)]
    equal(c.get(chord(header)(c.s("echo"))), [None, [1, [2]], {"k": 1.0}, "芹菜", 10**30])


def stamped_chord(c):
    flow = chord([c.s("stamps"), c.s("stamps")], c.s("echo"))
    flow.stamp(colour="green")
    got = c.get(flow.apply_async())
    equal([m.get("colour") for m in got], ["green", "green"])
