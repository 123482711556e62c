"""A Celery app whose worker shares queues with a Go consumer.

As a program it sends what its arguments say.
"""

import json
import os
import sys
import time

import celery

app = celery.Celery("shared")
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    worker_redirect_stdouts=False,
    worker_prefetch_multiplier=1,
    broker_transport_options={
        "visibility_timeout": int(os.environ.get("VISIBILITY_TIMEOUT", "3600")),
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
        **json.loads(os.environ.get("TRANSPORT_OPTIONS", "{}")),
    },
)


@app.task(name="shared.run", bind=True)
def run(self, name, seconds=0):
    print("start", name, "redelivered", bool(self.request.delivery_info.get("redelivered")), flush=True)
    time.sleep(seconds)
    print("end", name, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "send":
        for i in range(int(sys.argv[2])):
            run.apply_async((f"py-{i}",), priority=i % 10)
    elif sys.argv[1] == "sweep":
        with app.connection_for_write() as connection:
            connection.default_channel.sweep_bindings()
    elif sys.argv[1] == "ping":
        print("replies", app.control.ping(timeout=5, destination=[sys.argv[2]]))
