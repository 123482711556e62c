"""A Celery app whose tasks end in every usual way."""

import celery

app = celery.Celery("besideapp")
app.conf.worker_send_task_events = True


@app.task(name="beside.add")
def add(x, y):
    return x + y


@app.task(name="beside.fail")
def fail(message):
    raise ValueError(message)


@app.task(name="beside.again", bind=True, max_retries=2)
def again(self):
    if self.request.retries < 1:
        raise self.retry(countdown=0.1)
    return {"état": [1.0, None, True]}


@app.task(name="beside.parent")
def parent():
    add.delay(20, 22)
    return "</script>"
