"""Assertions of the checks."""


def equal(got, want):
    """Equal values of one type."""
    if got != want or type(got) is not type(want):
        raise AssertionError("got %r, want %r" % (got, want))


def raised(call, *args, **kwargs):
    """The exception that a call raises."""
    try:
        value = call(*args, **kwargs)
    except Exception as e:
        return e
    raise AssertionError("gave %r instead of raising" % (value,))


def failure(result, name, *args):
    """The result fails with a class of this name and these arguments."""
    e = raised(result.get, timeout=20)
    equal(type(e).__name__, name)
    if args:
        equal(tuple(e.args), args)
    return e
