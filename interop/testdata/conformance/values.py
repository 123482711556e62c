"""Values that go to a task and come back."""
import math
import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal

from expect import equal


def unicode(c):
    text = "芹菜 \U0001f33f \x00 \u2028 \" \\ é"
    equal(c.call("echo", text), text)
    equal(c.call("echo", {text: [text]}), {text: [text]})


def big_integers(c):
    for n in (10**40, -(10**40), 2**63, -(2**63), 2**53 + 1):
        equal(c.call("echo", n), n)


def not_a_number(c):
    got = c.call("echo", [float("nan"), float("inf"), float("-inf")])
    if not math.isnan(got[0]) or got[1:] != [float("inf"), float("-inf")]:
        raise AssertionError("got %r" % got)


def integers_and_floats(c):
    want = [1, 1.0, -0.0, 0, 1e300, 5e-324, 0.1, 1e16, 1e22, True, None]
    got = c.call("echo", want)
    equal([repr(v) for v in got], [repr(v) for v in want])


def nested(c):
    deep = []
    for _ in range(50):
        deep = [deep, {}]
    equal(c.call("echo", deep), deep)
    equal(c.call("echo", {"1": {"": []}}), {"1": {"": []}})


def large(c):
    text = "x" * 2_000_000
    equal(c.call("echo", text), text)


def python_values(c):
    now = datetime(2026, 11, 5, 12, 30, 1, 250000, tzinfo=timezone.utc)
    key = uuid.UUID("6f2c9a1e-31ac-4a9a-8a55-1d1f5e9c3a77")
    given = [now, Decimal("1.10"), key, date(2026, 11, 5)]
    if c.version >= (5, 3):
        got = c.call("echo", given)
        equal(got[:3], given[:3])
        equal([type(v) for v in got[:3]], [datetime, Decimal, uuid.UUID])
        return
    got = c.call("echo", given)
    equal([str(got[0])[:10], got[1], got[2]], ["2026-11-05", "1.10", str(key)])


def bytes_value(c):
    equal(c.call("echo", {"data": b"\x00\xff raw"}), {"data": b"\x00\xff raw"})


def repr_of_values(c):
    """What a v1 peer and monitors see of arguments."""
    equal(c.call("echo", time(12, 30).isoformat()), "12:30:00")
    equal(c.call("echo", str(timedelta(seconds=1))), "0:00:01")
