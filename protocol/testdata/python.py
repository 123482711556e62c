"""Writes python.json: what Python and Celery make of values.

usage: python.py > python.json, in an environment with Celery 5.7.
"""
import datetime
import decimal
import json
import random
import struct
import sys
import uuid

from celery.utils.saferepr import saferepr
from dateutil import parser
from kombu.utils.json import dumps

rnd = random.Random(57)

floats = [0.0, -0.0, 1.0, -1.0, 0.1, 1 / 3, 1e15, 1e16, 1e17, 123456789012345678.0, 9007199254740993.0,
          1e-4, 1e-5, 0.00012345, 1.5e-7, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1e22, 1e23,
          9999999999999998.0, float("nan"), float("inf"), float("-inf"), 3.0e-10, 1e100, 12345.678]
while len(floats) < 200:
    f = struct.unpack("<d", rnd.randbytes(8))[0]
    if f == f:
        floats.append(f)

texts = ["", "plain", "it's", 'a "quote"', "both ' and \"", "back\\slash", "new\nline\r\t\b\f", "\x00\x1f\x7f\x80\xa0\xad",
         "é", "日本語", "😀", "\u2028\u2029\ufeff\u200b\ue000", "</script>&", "\uffff", "\U0010ffff\U000e0001", "e\u0301"]

values = [None, True, False, 0, -1, 10**30, 2**63, 1.0, 1e16, float("nan"), float("-inf"), [], {}, [[]], [{}], {"a": {}},
          [1, [2, [3, [4, [5]]]]], {"a": {"b": {"c": {"d": 1}}}}, [[[[]]]], [[[{}]]], {"k": [1, "x", None, True, 2.5]},
          {"": 0, "it's": "b", "n\n": "\t"}, ["a b c", "d"], {"list": [{"x": 1}, {"y": [2]}]}] + texts

dialect = [datetime.datetime(2026, 11, 20, 17, 36, 49, 671927, datetime.timezone.utc), b"text \xc3\xa9", b"\xff\x00",
           uuid.UUID("12345678123456781234567812345678"), decimal.Decimal("1.50"), (1, (2, 3)), {"b": b"x"}]

limited = [[1, 2, 3, [4, 5, 6], 7], {"key": "some words here", "other": [1, 2]}, "one two three four", "unbroken" * 4, [[[1], [2]], [3]],
           [100000000000000000000, "abc", {"x": {"y": "zzzz"}}], ["é" * 10, "ü ü ü ü"], [[], [], {}, {}], [True, None, 1.5, False]]
limits = [1, 2, 3, 5, 8, 11, 14, 17, 20, 25, 30, 40, 60]

times = ["2026-11-20T23:21:02.614866+00:00", "2026-11-20T23:21:02+00:00", "2026-11-20T23:21:02Z", "2026-11-20T23:21:02.614866",
         "2026-11-20T23:21:02", "2026-11-20 23:21:02", "2026-11-20T23:21:02.5+05:30", "2026-11-20T23:21:02-0800", "2026-11-20T23:21:02+02",
         "2026-11-20T23:21", "2026-11-20T23:21Z", "2026-11-20", "20261120T232102Z", "20261120T232102", "20261120",
         "2026-11-20T23:21:02,614", "2026-11-20T23:21:02.614866789+00:00"]


def utc(text):
    t = parser.isoparse(text)
    if t.tzinfo is None:
        t = t.replace(tzinfo=datetime.timezone.utc)
    return t.astimezone(datetime.timezone.utc).isoformat()


json.dump({
    "floats": [[struct.pack(">d", f).hex(), json.dumps(f), repr(f)] for f in floats],
    "values": [{"json": json.dumps(v), "repr": repr(v), "safe": saferepr(v, 1024), "tuple": saferepr((v,), 1024)} for v in values],
    "dialect": [dumps(v) for v in dialect],
    "limited": [{"json": json.dumps(v), "safe": {n: saferepr(v, n) for n in limits}} for v in limited],
    "times": [[t, utc(t.replace(" ", "T"))] for t in times],
}, sys.stdout, indent=0)
