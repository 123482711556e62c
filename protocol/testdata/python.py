"""Writes python.json: what Python and Celery make of values.

usage: python.py > python.json, in an environment with Celery 5.7 and PyYAML.
"""
import datetime
import decimal
import json
import pickle
import random
import struct
import sys
import uuid

import yaml
from celery import signature
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


# Every combination of a date, a separator, a time and an offset, good and bad.
dates = ["2026", "2026-11", "202611", "2026-11-20", "20261120", "2026-W47", "2026W47", "2026-W47-5", "2026W475", "2026W47-5", "2026-W475",
         "2026-W00-1", "2026-W53-7", "2026-W54-1", "2026-W01-0", "2026-W01-8", "2020-W53-7", "2026-324", "2026324", "2026-366", "2024-366",
         "2024366", "2026-000", "2026-02-29", "2024-02-29", "0001-01-01", "0000-01-01", "9999-12-31", "2026-1-2", "2026-13-01", "26-11-20", ""]
clocks = ["", "T", "T1", "T10", "T10:2", "T10:20", "T1020", "T102030", "T10:20:30", "T10:20:30.5", "T10:20:30,5", "T102030.123456789",
          "T10:20:30.", "T10:20.5", "T10:2030", "T1020:30", "T24", "T24:00", "T24:00:00.0", "T24:00:01", "T25", "T10:60", "T10:20:60",
          " 10:20:30", "x10:20", "-10:20", "T+02:00", "T-02:00"]
zones = ["", "Z", "z", "+00:00", "+05:30", "-0530", "+05", "-23:59", "+24:00", "+05:60", "+5", "+05:3", "Y", "+05:30:00"]
times += [d + c + z for d in dates for c in clocks for z in zones if rnd.random() < 0.1 or d == "2026-11-20" and not (c and z)]
# Not compared: a blank within a number, which Python's int takes, and the end of the last day.
times = [t for t in times if t[4:5] != " " and t[7:8] != " " and not t.startswith("9999-12-31T24")]


# Scalars as PyYAML reads them, bare and tagged.
yaml_texts = """yes Yes YES yEs no NO true True tRue on On off OFF y n null Null NULL nUll ~ = << < 0 -0 +0 00 07 08 0_7 017 -017 0o17 0x1F
-0x1f 0X1F 0b101 0b2 1_000 _1 1__0_ 123456789012345678901234567890 1:30 -1:30:59 1:60 01:30 1:5 190:20:30 190:20:30.15 1. .5 -.5 1.5 +1.5
1e5 1e+5 1.0e5 1.0e+5 1.5E-3 1_0.5_0 .inf -.INF +.Inf .nan .NaN .Nan nan inf 2026-11-20 2026-1-2 2026-11-20T10:00:00 2026-11-20t1:00:00Z
2026-11-20T10:00:00.5 2026-11-20T10:00:00.1234567+05:30 2026-11-20T10:00:00-5 2026-11-20T10:00:00. 2026-13-01 2026-02-30 2026-11-20T10:00
0001-01-01 word 'yes' "1" !!str\t1 !!int\t"017" !!int\tx !!float\t1 !!float\tinf !!bool\tno !!bool\tx !!null\tx !!binary\taGk= !!binary\t"/w==" !!timestamp\t2026-1-2
!!timestamp\t'2026-11-20' !!timestamp\tx !!set\t{a,b} !!python/tuple\t[1] !!python/name:os.system !!python/object/apply:os.system\t[ls] !x\t1
!!seq\t[1] !!map\t{a:\t1} !!map\t[] [a,b] {a:\tb} {1:\t2} {yes:\t1} {1.5:\t1} {null:\t1} &a\t[*a] [&a\t[1],*a] *b""".split()
yaml_texts = [t.replace("\t", " ") for t in yaml_texts] + ["2026-11-20 10:00:00", "2026-11-20  10:00:00 +02:00", "2026-11-20 10:00:00 Z", "a\n  b",
              "'a\n\n  b'", '"a\\\n  b\\u00e9\\x41"', "|\n  a\n  b\n", ">-\n  a\n  b\n", "", "# only a comment", "- a\n- - b\n  - c\n", "a: 1\nb:\n- 2\n"]


def yaml_json(text):
    try:
        v = yaml.safe_load(text)
        v = sorted(v) if isinstance(v, set) else v
        return dumps(v)
    except Exception:
        return ""


pickled = [None, True, 0, 255, 256, 70000, -1, 2**31, -2**63, 2**64, -10**40, 1.5, float("nan"), "", "é", "x" * 300, b"", b"\xff\x00", b"b" * 300,
           bytearray(b"ab"), (), (1,), (1, 2, 3, 4), [], [1, [2]], {}, {"a": 1}, {1: 2, None: 3}, {7}, frozenset(["x"]),
           datetime.datetime(2026, 11, 20, 17, 36, 49, 671927), datetime.datetime(2026, 11, 20, tzinfo=datetime.timezone.utc),
           datetime.datetime(2026, 11, 20, 1, 2, 3, fold=1, tzinfo=datetime.timezone(-datetime.timedelta(hours=5, minutes=30))),
           datetime.date(2026, 1, 2), datetime.time(1, 2, 3, 4), decimal.Decimal("1.50"), uuid.UUID(int=5), uuid.UUID(int=2**127 + 1),
           signature("a.b", args=(1,), kwargs={"x": [1]})]


def plain(v):
    """What JSON keeps of a value."""
    if isinstance(v, (set, frozenset)):
        return list(v)
    return bytes(v) if isinstance(v, bytearray) else v


def random_value(depth=0):
    kind = rnd.randrange(9 if depth < 4 else 6)
    if kind < 6:
        return rnd.choice([None, True, rnd.randrange(-10**6, 10**18), rnd.gauss(0, 1e5), rnd.choice(texts), "a few words, and more " * rnd.randrange(4)])
    if kind < 8:
        return [random_value(depth + 1) for _ in range(rnd.randrange(6))]
    return {rnd.choice(texts): random_value(depth + 1) for _ in range(rnd.randrange(6))}


values += dialect[:-2] + [
    datetime.datetime(2026, 11, 20, 17, 36), datetime.datetime(2026, 11, 20, 17, 36, 9), datetime.datetime(2026, 1, 2, 0, 0, 0, 5),
    datetime.datetime(2026, 11, 20, 17, 36, tzinfo=datetime.timezone(datetime.timedelta(hours=5, minutes=30))),
    datetime.datetime(2026, 11, 20, 17, 36, tzinfo=datetime.timezone(-datetime.timedelta(hours=5))),
    datetime.date(2026, 1, 2), datetime.time(1, 2), datetime.time(1, 2, 3, 4), [b"it's\n\x00", b"'\"", b"", b"\\"], {"k": b"\xff" * 3}]
values += [random_value() for _ in range(150)]
limited += [random_value(1) for _ in range(60)] + [[datetime.datetime(2026, 11, 20, 17, 36), b"some bytes that are long"], b"\xff\xfe\xfd" * 9]


def utc(text):
    try:
        t = parser.isoparse(text)
    except (ValueError, OverflowError):
        return ""
    if t.tzinfo is None:
        t = t.replace(tzinfo=datetime.timezone.utc)
    try:
        return t.astimezone(datetime.timezone.utc).isoformat()
    except OverflowError:
        return ""


json.dump({
    "floats": [[struct.pack(">d", f).hex(), json.dumps(f), repr(f)] for f in floats],
    "values": [{"json": dumps(v), "repr": repr(v), "safe": saferepr(v, 1024), "tuple": saferepr((v,), 1024)} for v in values],
    "dialect": [dumps(v) for v in dialect],
    "limited": [{"json": dumps(v), "safe": {n: saferepr(v, n) for n in limits}} for v in limited],
    "pickles": [[repr(v), pickle.dumps(v, protocol=p).hex(), dumps(plain(v))] for v in pickled for p in range(2, 6)],
    "yaml": [[t, yaml_json(t)] for t in yaml_texts],
    "times": [[t, utc(t)] for t in times],
}, sys.stdout, indent=0)
