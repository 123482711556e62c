"""A Celery app; run as a program, it sends tasks that Go consumes."""

import datetime
import decimal
import sys

import celery

app = celery.Celery("celeryapp")


@app.task(name="add")
def add(x, y):
    return x + y


if __name__ == "__main__":
    headers = {
        "milliseconds": 1763722800123,
        "far_below": -(2**40),
        "nested": {"deep": [1, 2**31, {"deeper": 2**62}]},
        "price": decimal.Decimal("12.34"),
        "none": None,
        "real": -0.25,
        "small": -5,
        "yes": True,
        "bytes": b"raw",
        "when": datetime.datetime(2026, 11, 21, 12, 30, tzinfo=datetime.timezone.utc),
    }
    for n in range(int(sys.argv[1])):
        result = app.send_task("go.add", args=[n, 1], headers=headers, priority=3, expires=3600)
    if len(sys.argv) > 2:
        print("answer", result.get(timeout=20))
