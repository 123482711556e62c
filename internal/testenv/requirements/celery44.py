"""Gives a current Python the names that Celery 4.4's libraries import from inspect."""
import inspect

for name in ("getargspec", "formatargspec"):
    if not hasattr(inspect, name):
        setattr(inspect, name, inspect.getfullargspec)
