"""Feeds events to celery.events.State and prints what it then knows.

Input: one JSON object a line, {"event": {...}, "received": seconds}, in the form
that celery.events.EventReceiver hands over. A line {"show": true} prints one
line {"tasks": {...}, "workers": {...}} and starts with an empty state again.
"""
import json
import sys

from celery.events.state import State

TASK = [f for f in __import__('celery.events.state').events.state.Task._fields
        if f not in ('worker', 'children', 'root', 'parent')]
WORKER = __import__('celery.events.state').events.state.Worker._fields


def show(state):
    tasks = {}
    for uuid, task in state.tasks.items():
        tasks[uuid] = {f: getattr(task, f, None) for f in TASK}
        tasks[uuid]['worker'] = task.worker.hostname if task.worker else None
    workers = {}
    for hostname, worker in state.workers.items():
        workers[hostname] = {f: getattr(worker, f) for f in WORKER}
    print(json.dumps({'tasks': tasks, 'workers': workers}), flush=True)


state = State(max_tasks_in_memory=100000)
for line in sys.stdin:
    given = json.loads(line)
    if given.get('show'):
        show(state)
        state = State(max_tasks_in_memory=100000)
        continue
    event = given['event']
    event['local_received'] = given['received']
    state.event(event)
