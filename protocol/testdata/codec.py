"""Real kombu at the other end of codec_python_test.go.

usage: codec.py write SEED        messages of random values, one JSON object a line
       codec.py check SEED        reads what Go made of them, one a line, and compares
       codec.py values -          values that have a type of their own in Go, as JSON, one a line
       codec.py compare -         reads them back and compares
"""
import base64
import datetime
import decimal
import json
import math
import random
import sys
import uuid

from celery import signature
from kombu.compression import compress, decompress
from kombu.serialization import dumps, loads
from kombu.utils.json import register_type

COMPRESSIONS = [None, "zlib", "bzip2", "lzma", "brotli", "zstd"]


class Money:
    def __init__(self, amount, currency):
        self.amount, self.currency = amount, currency


register_type(Money, "money", lambda m: {"amount": m.amount, "currency": m.currency}, lambda d: Money(**d))

TEXTS = ["", "plain", "it's", 'a "quote"', "back\\slash", "new\nline\r\t\x00\x1f\x7f\x85\xa0", " lead", "trail ", "# no comment", "- no item",
         "a: b", "é", "日本語", "😀\U0010ffff", "\u2028\ufeff\u200b", "yes", "no", "null", "~", "<<", "=", "0o17", "017", "1_000", "1:30", "1e5",
         "1.5", ".5", "2026-11-20", "2026-11-20 10:00:00", "!!binary", "&a", "*a", "%", "@", "`", "{", "[x]", "long words " * 30, "x" * 1500,
         "multi\nline\n\ntext\n", "\n", "\u00e9" * 200]


def scalars(rnd, serializer):
    yield from [None, True, False, 0, -1, 2**31, -2**63, 2**63 - 1, 1.0, -0.0, 1e16, 1e-7, 5e-324, 1.7976931348623157e308, 0.1,
                float("nan"), float("inf"), float("-inf"), rnd.gauss(0, 1e9), rnd.randrange(-10**9, 10**9)]
    yield from TEXTS
    yield from [b"", b"text \xc3\xa9", b"\xff\x00", bytes(range(256))]
    if serializer == "msgpack":
        yield 2**64 - 1
        return
    yield from [10**30, -10**30, 2**64]
    yield from [datetime.datetime(2026, 11, 20, 17, 36, 49, 671927, datetime.timezone.utc), datetime.datetime(2026, 1, 2),
                datetime.datetime(2026, 1, 2, 3, 4, 5, 60, datetime.timezone(-datetime.timedelta(hours=5, minutes=30))), datetime.date(2026, 11, 20)]
    if serializer == "yaml":
        yield {"b", "a"}
        return
    yield from [datetime.time(1, 2, 3, 4), decimal.Decimal("1.50"), uuid.UUID(int=2**127 + 5), uuid.UUID(int=7)]
    if serializer == "pickle":
        yield from [(1, (2,), ()), {1, 2}, frozenset([3]), bytearray(b"xyz"), {1: "a", True: "b", None: 2.5}, datetime.time(1, 2, tzinfo=datetime.timezone.utc),
                    signature("a.b", args=(1,)), [[x] * 2 for x in [[[]]]]]
    else:
        yield Money(5, "EUR")


def value(rnd, leaves, depth=0):
    kind = rnd.randrange(10 if depth < 5 else 6)
    if kind < 6:
        return rnd.choice(leaves)
    if kind < 8:
        return [value(rnd, leaves, depth + 1) for _ in range(rnd.randrange(6))]
    return {rnd.choice(TEXTS): value(rnd, leaves, depth + 1) for _ in range(rnd.randrange(6))}


def payload(rnd, leaves):
    shared = value(rnd, leaves)  # YAML writes it once, with an anchor
    args = [shared, value(rnd, leaves), {"again": shared}] + [leaf for leaf in leaves if rnd.random() < 0.2]
    kwargs = {"k%d" % i: value(rnd, leaves) for i in range(3)}
    link = signature("link.me", args=[shared], kwargs={"k": 1}, immutable=True)
    embed = {"callbacks": [dict(link)], "errbacks": None, "chain": [dict(link), dict(link)], "chord": None}
    return [args, kwargs, embed]


def messages(seed):
    for i in range(12):
        for serializer in ["json", "msgpack", "yaml", "pickle"]:
            rnd = random.Random("%s %s %s" % (seed, i, serializer))
            leaves = list(scalars(rnd, serializer))
            yield serializer, COMPRESSIONS[i % len(COMPRESSIONS)], payload(rnd, leaves)


def write(seed):
    for serializer, compression, body in messages(seed):
        content_type, encoding, data = dumps(body, serializer=serializer)
        headers = {"task": "t", "id": "i"}
        data = data.encode() if isinstance(data, str) else data
        if compression:
            data, headers["compression"] = compress(data, compression)
        print(json.dumps({"serializer": serializer, "content_type": content_type, "content_encoding": encoding, "headers": headers,
                          "body": base64.b64encode(data).decode()}))


def plain(v):
    """A comparable form in which types count, but not those that JSON cannot tell apart."""
    if isinstance(v, (list, tuple)):
        return [plain(x) for x in v]
    if isinstance(v, (set, frozenset)):
        return sorted((plain(x) for x in v), key=repr)
    if isinstance(v, dict):
        return {k if isinstance(k, str) else json.dumps(k): plain(x) for k, x in v.items()}
    if isinstance(v, float):
        return "nan" if math.isnan(v) else ("float", v, math.copysign(1, v))
    if isinstance(v, Money):
        return ("Money", v.amount, v.currency)
    if isinstance(v, datetime.datetime):
        return ("datetime", v.isoformat())
    if isinstance(v, bytearray):
        v = bytes(v)
    return (type(v).__name__, v)


def check(seed):
    for (serializer, compression, want), line in zip(messages(seed), sys.stdin, strict=True):
        m = json.loads(line)
        data = base64.b64decode(m["body"])
        if m["compression"]:
            data = decompress(data, m["compression"])
        got = loads(data, m["content_type"], m["content_encoding"], accept=None, force=True)
        for name, a, b in zip(["args", "kwargs", "embed"], got, want):
            a, b = plain(a), plain(b)
            for k in b if isinstance(b, dict) else range(len(b)):
                if sort_sets(a[k]) != sort_sets(b[k]):
                    print("%s %s: %s[%r]\n got %r\nwant %r" % (serializer, compression, name, k, a[k], b[k]))


TYPED = [Money(5, "EUR"), [Money(1, "x"), {"k": Money(2, "y")}], datetime.datetime(2026, 11, 20, 17, 36, 49, 671927, datetime.timezone.utc),
         {"at": datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)}, b"text", [b"\xff\x00"], 10**30, 1.0, 1, float("nan"), "é"]


def values(_):
    for v in TYPED:
        print(dumps(v, serializer="json")[2])


def compare(_):
    for want, line in zip(TYPED, sys.stdin, strict=True):
        got = loads(line, "application/json", "utf-8", accept=None, force=True)
        if plain(got) != plain(want):
            print("got %r, want %r" % (plain(got), plain(want)))


def sort_sets(v):
    """Sets come back as lists in any order."""
    if isinstance(v, list):
        v = [sort_sets(x) for x in v]
        return sorted(v, key=repr) if all(isinstance(x, tuple) for x in v) else v
    if isinstance(v, dict):
        return {k: sort_sets(x) for k, x in v.items()}
    return v


{"write": write, "check": check, "values": values, "compare": compare}[sys.argv[1]](sys.argv[2])
