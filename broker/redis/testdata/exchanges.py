"""A Celery app that shares exchanges of all types with a Go consumer.

As a program it sends a task to each "exchange routing-key" of its arguments.
"""

import sys

import celery
from kombu import Exchange, Queue
from kombu.common import Broadcast

app = celery.Celery("exchanges")
exchanges = {
    "shop": Exchange("shop", "direct"),
    "orders": Exchange("orders", "topic"),
    "news": Exchange("news", "fanout"),
}
app.conf.update(
    task_ignore_result=True,
    worker_redirect_stdouts=False,
    task_queues=[
        Queue("py.direct", exchanges["shop"], routing_key="paid"),
        Queue("py.topic", exchanges["orders"], routing_key="eu.#"),
        Broadcast("news", exchange=exchanges["news"]),
    ],
)


@app.task(name="exchanges.run")
def run(name, seconds=0):
    print("start", name, flush=True)


if __name__ == "__main__":
    with app.connection_for_write() as connection:
        for exchange in exchanges.values():
            exchange(connection.default_channel).declare()
        for target in sys.argv[1:]:
            exchange, key = target.split(" ")
            run.apply_async(
                ("py " + target,), connection=connection, exchange=exchanges[exchange], routing_key=key)
