"""Leading: a function runs while this handle is master, and the candidate resigns when the function has returned."""

from __future__ import annotations

import math
import threading
import time
from ctypes import c_void_p
from typing import Any, Callable, Optional

from election import _workers
from election._callbacks import is_inside
from election._errors import check, error
from election._library import election_lead_fn, library
from election._numbers import Rc
from election._session import Session, Value, milliseconds, octets, text

FOREVER = 2**31 - 1  # ELECTION_FOREVER

# election_lead has this time, in seconds, to refuse. After it the code assumes that the candidate stands.
BEGINNING = 0.02


class Leadership:
    """A mastership during which lead() runs a function. The function asks this object whether it should stop."""

    def __init__(self, number: int) -> None:
        self._number = c_void_p(number)
        self.token = int(library().election_leadership_token(self._number))
        """The token of the mastership, to be sent along with each write."""

    def should_stop(self) -> bool:
        """Whether the function should return: the lease is about to end or has ended, or interrupt(), resign() or
        close() was called. This never waits."""
        return bool(library().election_should_stop(self._number))

    def wait_stop(self, timeout: Optional[float] = None) -> bool:
        """Wait until the function should stop, for `timeout` seconds at most. Returns whether it should stop."""
        if timeout is not None and not timeout >= 0:
            raise error("election_wait_stop", Rc.BAD_TIMEOUT)
        until = math.inf if timeout is None else time.monotonic() + timeout
        while not self.should_stop():
            left = until - time.monotonic()
            if left <= 0:
                return False
            rc = library().election_wait_stop(self._number, max(1, milliseconds(min(left, _workers.NAP))))
            if rc not in (Rc.OK, Rc.OPERATIONTIMEOUT, Rc.INTERRUPTED, Rc.BAD_LEADERSHIP):
                raise error("election_wait_stop", rc)
        return True


class Leading:
    """A call of election_lead, on its own thread. The function that leads runs on another thread.

    The thread of election_lead calls `begins` when this handle is master. If `stops` is given, it calls `stops` when
    the function should stop.
    """

    def __init__(
        self,
        session: Session,
        path: str,
        value: Value,
        timeout: Optional[float],
        begins: Callable[[Leadership], object],
        stops: Optional[Callable[[], object]] = None,
    ) -> None:
        if is_inside(session._listeners):
            raise error("election_lead", Rc.IN_CALLBACK)
        if timeout is not None and not timeout >= 0:
            raise error("election_lead", Rc.BAD_TIMEOUT)
        left = FOREVER if timeout is None else max(1, milliseconds(timeout))
        self._session, self._path = session, text(path)
        self._begins, self._stops = begins, stops
        self._value, self._timeout = octets(value), left
        self._has_begun, over = threading.Event(), threading.Lock()
        over.acquire()
        self._over = over
        self.end = over.release
        """The function has returned. One instruction of the interpreter: no signal handler runs before it is done."""

    def run(self) -> None:
        """Lead, on this thread, until end() is called."""

        def function(number: int, _: Any) -> int:
            if self._over.locked():
                self._begins(Leadership(number))
                if self._stops:
                    library().election_wait_stop(c_void_p(number), FOREVER)
                    self._stops()
                self._over.acquire()
            return 0

        lead_fn, value = election_lead_fn(function), self._value
        handle, lead = self._session._handle, library().election_lead
        self._has_begun.set()
        check("election_lead", lead(handle, self._path, value, len(value), lead_fn, None, self._timeout, None))

    def resign(self) -> None:
        """Resign, so that no thread waits for a reason to stop any more."""
        library().election_resign(self._session._handle, self._path)

    def abandon(self, is_done: Callable[[], bool]) -> None:
        """Stop standing, before or after this has become master. This runs on its own thread, because it takes time."""
        self.end()

        def stop_standing() -> None:
            self._has_begun.wait()
            time.sleep(BEGINNING)
            while not is_done():
                self.resign()
                time.sleep(BEGINNING)

        _workers.start(stop_standing)
