"""Builds canvases with Celery and tells what it would send for them.

Reads one case a line, a JSON object:
  canvas   description of a signature, see build()
  args     arguments to apply it with
  options  options to apply it with
Answers one JSON line each:
  signature  the signature as Celery writes it
  built      what applying it sends, as trace() tells
  decoded    the same for a signature read back from its JSON
"""
import json
import sys
from copy import deepcopy
from datetime import datetime, timezone

from celery import Celery, chain, chord, group, signature
from celery._state import _task_stack
from celery.backends.redis import RedisBackend
from celery.canvas import chunks, maybe_signature, xmap, xstarmap
from celery.result import GroupResult, result_from_tuple
from kombu.compression import decompress
from kombu.messaging import Producer
from kombu.utils.json import dumps, loads

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
LIMIT = 400  # messages of one case


class Backend(RedisBackend):
    """Celery's Redis backend that notes what it would write for chords."""

    def set_chord_size(self, group_id, chord_size):
        run.sizes.append([group_id, chord_size])

    def _set_chord_key(self, key, value):
        run.groups.append([loads(value)['result']])

    def add_pending_result(self, result, weak=False, start_drainer=True):
        return result

    add_pending_results = remove_pending_result = on_task_call = lambda *a, **kw: None


app = Celery('peer', broker='memory://', set_as_current=True)
app.conf.update(result_backend='redis://127.0.0.1:1/0', task_always_eager=False)
app.now = lambda: NOW
app._get_backend = lambda: Backend(app=app, url='redis://127.0.0.1:1/0')


@app.task(name='peer.running')
def running():
    """Stands for whatever task is running."""


def note(self, body, priority, content_type, content_encoding, headers, properties, routing_key, *args, **kwargs):
    exchange = args[2] if len(args) > 2 else kwargs.get('exchange')
    raw = body if isinstance(body, bytes) else body.encode()
    if 'compression' in headers:
        raw = decompress(raw, headers['compression'])
    run.messages.append({
        'headers': dict(headers), 'content_type': content_type, 'body': json.loads(raw), 'priority': priority,
        'properties': {k: properties.get(k) for k in ('correlation_id', 'reply_to', 'delivery_mode', 'expiration')},
        'exchange': exchange, 'routing_key': routing_key,
    })


Producer._publish = note


class LostError(Exception):
    """A chord waits for the result of a task that was never sent."""


class Run:
    """What one application sends, and what follows when its tasks succeed."""

    def __init__(self):
        self.messages, self.sizes, self.groups = [], [], []
        self.values, self.parts, self.finished = {}, {}, set()

    def complete(self, number):
        """A task succeeds: what celery.app.trace and the chord join then send."""
        message = self.messages[number]
        headers, (args, kwargs, embed) = message['headers'], deepcopy(message['body'])  # canvas changes what it reads
        value = f'r{number}'
        self.values[headers['id']] = value
        running.push_request(id=headers['id'], root_id=headers['root_id'], parent_id=headers['parent_id'],
                             called_directly=False, children=[])
        _task_stack.push(running)
        try:
            self.follow(embed, value, headers)
            if embed['chord'] and headers['group']:
                self.part(headers, embed['chord'], value)
        finally:
            _task_stack.pop()
            running.pop_request()

    def follow(self, embed, value, headers):
        place = {'parent_id': headers['id'], 'root_id': headers['root_id']}
        callbacks = [signature(c, app=app) for c in embed['callbacks'] or []]
        if len(callbacks) > 1:
            for c in callbacks:
                if isinstance(c, group):
                    c.apply_async((value,), **place)
            rest = [c for c in callbacks if not isinstance(c, group)]
            if rest:
                group(rest, app=app).apply_async((value,), **place)
        elif callbacks:
            callbacks[0].apply_async((value,), **place)
        if embed['chain']:
            signature(embed['chain'][-1], app=app).apply_async((value,), chain=embed['chain'][:-1], **place)

    def part(self, headers, body, value):
        gid = headers['group']
        if gid in self.finished:  # a part too many
            return
        parts = self.parts.setdefault(gid, [])
        parts.append((headers['group_index'], headers['id'], value))
        size = dict(map(tuple, self.sizes)).get(gid)
        if len(parts) != size:
            return
        self.finished.add(gid)
        values = [v for _, _, v in sorted(parts, key=lambda p: p[0])]
        for tuple_, in self.groups:
            if tuple_[0][0] == gid:
                values = self.value(tuple_)
        maybe_signature(body, app=app).delay(values)

    def value(self, tuple_):
        (id_, _), members = tuple_
        if members is None and id_ not in self.values:
            raise LostError(id_)
        return self.values[id_] if members is None else [self.value(m) for m in members]

    def unfinished(self):
        """Chords that wait for a part that nobody sends."""
        return [g for g in self.parts if g not in self.finished and len(self.messages) < LIMIT]


def trace(sig, case):
    """Apply and complete every task that is sent."""
    global run
    run = Run()
    try:
        result = sig.apply_async(tuple(case['args']), **case['options'])
        tuple_ = result.as_tuple() if result is not None else None
        first = len(run.messages)
        number = 0
        while number < len(run.messages) < LIMIT:
            run.complete(number)
            number += 1
    except LostError:
        return {'lost': True, 'messages': run.messages}
    except Exception as e:
        return {'error': f'{type(e).__name__}: {e}'}
    joined = {m['headers']['group'] for m in run.messages if m['body'][2]['chord']}
    return {'lost': bool(run.unfinished()), 'messages': run.messages, 'first': first, 'result': tuple_,
            'sizes': [s for s in run.sizes if s[0] in joined], 'groups': [g for g, in run.groups]}


def build(d):
    kind = d['kind']
    members = [build(m) for m in d.get('tasks') or []]
    if kind == 'task':
        sig = signature(d['name'], args=tuple(d.get('args') or ()), kwargs=d.get('kwargs') or {}, app=app)
    elif kind == 'chain':
        sig = chain(members)
    elif kind == 'group':
        sig = group(members, app=app)
    elif kind == 'chord':
        header = members[0] if len(members) == 1 and isinstance(members[0], group) else members
        sig = chord(header, body=build(d['body']), app=app)
    elif kind == 'map':
        sig = xmap(signature(d['name'], app=app), d['items'], app=app)
    elif kind == 'starmap':
        sig = xstarmap(signature(d['name'], app=app), d['items'], app=app)
    elif kind == 'chunks':
        sig = chunks(signature(d['name'], app=app), d['items'], d['n'], app=app).group()
    sig.set(**(d.get('options') or {}))
    if d.get('immutable'):
        sig.set(immutable=True)
    for link in d.get('link') or []:
        sig.link(build(link))
    for link in d.get('link_error') or []:
        sig.link_error(build(link))
    if d.get('stamps'):
        sig.stamp(**d['stamps'])
    return sig


def answer(case):
    try:
        written = dumps(build(case['canvas']))
    except Exception as e:
        return {'error': f'{type(e).__name__}: {e}'}
    return {
        'signature': json.loads(written),
        'built': trace(build(case['canvas']), case),
        'decoded': trace(signature(loads(written), app=app), case),
    }


for line in sys.stdin:
    print(dumps(answer(json.loads(line))), flush=True)
