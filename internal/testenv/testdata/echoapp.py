"""A Celery app with one task; run as a program, it sends the task its argument."""

import sys

import celery

app = celery.Celery("echoapp")


@app.task(name="echo")
def echo(value):
    return value


if __name__ == "__main__":
    answer = echo.delay(sys.argv[1]).get(timeout=20)
    print("celery", celery.__version__, "answered", answer)
