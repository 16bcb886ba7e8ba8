"""The exceptions: ElectionError, and more exact classes that are also Python's own errors."""

from __future__ import annotations

from typing import Any, Optional

from election._library import library
from election._numbers import Rc


class ElectionError(Exception):
    """The function `function` of the library returned `rc`."""

    def __init__(self, function: str, rc: int, text: str) -> None:
        super().__init__(f"{function}: {text}")
        self.function = function
        self.rc = Rc(rc)
        self.text = text

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.function, int(self.rc), self.text), self.__dict__


class ElectionTimeoutError(ElectionError, TimeoutError):
    """The awaited event did not come before the timeout."""


class ElectionConnectionError(ElectionError, ConnectionError):
    """The handle has no connection to ZooKeeper, or the connection broke; the session is over, or is being closed."""


class ElectionPermissionError(ElectionError, PermissionError):
    """ZooKeeper's access control lists do not allow the request, or the server refused the credentials."""


class ElectionValueError(ElectionError, ValueError):
    """An argument is wrong, or the handle is closed."""


class ElectionInterruptedError(ElectionError, InterruptedError):
    """Election.interrupt() ended a call that waited."""


class NotMasterError(ElectionError):
    """This handle is not master at the path, or is no longer master, or the token is that of an old master."""


_CLASSES: dict[Rc, type[ElectionError]] = {
    Rc.OPERATIONTIMEOUT: ElectionTimeoutError,
    Rc.CONNECTIONLOSS: ElectionConnectionError,
    Rc.SESSIONEXPIRED: ElectionConnectionError,
    Rc.CLOSING: ElectionConnectionError,
    Rc.NOAUTH: ElectionPermissionError,
    Rc.AUTHFAILED: ElectionPermissionError,
    Rc.BADARGUMENTS: ElectionValueError,
    Rc.INVALIDACL: ElectionValueError,
    Rc.NOT_MASTER: NotMasterError,
    Rc.STALE_TOKEN: NotMasterError,
    Rc.LEASE_EXPIRED: NotMasterError,
    Rc.LEADERSHIP_LOST: NotMasterError,
    Rc.INTERRUPTED: ElectionInterruptedError,
}
_CLASSES.update({rc: ElectionValueError for rc in Rc if rc.name.startswith("BAD_")})


def strerror(rc: int) -> str:
    """A sentence for a number of Rc, or for any other number of ZooKeeper."""
    return str(library().election_strerror(rc).decode())


def explain(rc: int) -> str:
    """A sentence for the number that a function has just returned on this thread; names the bad part, or the server."""
    return str(library().election_explain(rc).decode())


def error(function: str, rc: int, sentence: Optional[str] = None) -> ElectionError:
    """The error of the class that fits the number."""
    return _CLASSES.get(Rc(rc), ElectionError)(function, rc, sentence or strerror(rc))


def check(function: str, rc: int) -> int:
    """Raise the error if a function returned a negative number; else return the number."""
    if rc < 0:
        raise error(function, rc, explain(rc))
    return rc
