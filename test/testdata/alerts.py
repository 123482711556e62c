"""Alert scripts as people run them against Flower, with their URL as argument.

Prints one line per alert and "done".
"""
import sys
import time

import requests

BASE = sys.argv[1]


def send_alert(text):
    print("ALERT " + text, flush=True)


def check_flower_status():
    response = requests.get(BASE + '/api/workers')
    workers = response.json()

    for worker, stats in workers.items():
        if stats.get('status') != 'online':
            send_alert(f'Worker {worker} is offline')

        if stats.get('pool', {}).get('max-concurrency'):
            active = stats.get('pool', {}).get('max-concurrency', 0)
            if active > 80:
                send_alert(f'Worker {worker} is nearly full')


def check_stuck_tasks():
    response = requests.get(BASE + '/api/tasks')
    tasks = response.json()

    for task_id, task in tasks.items():
        if task.get('state') == 'STARTED':
            started = task.get('started')
            if started and (time.time() - started) > 3600:
                send_alert(f'Task {task_id} may be stuck')


def check_failed_tasks():
    response = requests.get(BASE + '/api/tasks?state=FAILURE')
    tasks = response.json()

    if len(tasks) > 10:
        send_alert(f'Too many failed tasks: {len(tasks)}')


check_flower_status()
check_stuck_tasks()
check_failed_tasks()
print("done", flush=True)
