"""A Celery app with native delayed delivery: a quorum queue on a topic exchange.

Run as a program, it sends one task with the countdown given.
"""

import sys

import celery
from kombu import Exchange, Queue

app = celery.Celery("delayapp")
app.conf.task_queues = [
    Queue("slow", Exchange("slow", type="topic"), routing_key="slow.key", queue_arguments={"x-queue-type": "quorum"})
]
app.conf.task_default_queue = "slow"
app.conf.task_default_exchange = "slow"
app.conf.task_default_exchange_type = "topic"
app.conf.task_default_routing_key = "slow.key"


@app.task(name="py.nothing")
def nothing():
    pass


if __name__ == "__main__":
    app.send_task("go.add", args=[1], countdown=float(sys.argv[1]), queue="slow")
    print("sent", flush=True)
