"""What the tests of the Python module share."""

import contextlib
import sys

from election import ElectionError

# Seconds: longer than anything takes.
PATIENCE = 30


def check(holds, what=""):
    if not holds:
        caller = sys._getframe(1)
        raise SystemExit(f"{caller.f_code.co_filename}:{caller.f_lineno}: does not hold {what}")


@contextlib.contextmanager
def raises(rc, function, kind=ElectionError):
    try:
        yield
    except ElectionError as error:
        check(error.rc is rc and error.function == function, (error.rc, error.function))
        check(str(error).startswith(f"{function}: ") and len(str(error)) > len(function) + 10, error)
        check(isinstance(error, kind), type(error))
    else:
        check(False, f"{rc.name} is raised")
