"""The log of the process."""

from __future__ import annotations

import atexit
import ctypes
import logging
from typing import Callable, Optional

from election._callbacks import LogRecord, _free_fn, _Listener, _listeners, _log_fn, _numbers
from election._library import election_log_fn, load
from election._numbers import LogLevel, Rc
from election._session import ElectionError, _int


_LEVELS = {
    LogLevel.ERROR: logging.ERROR,
    LogLevel.WARN: logging.WARNING,
    LogLevel.INFO: logging.INFO,
    LogLevel.DEBUG: logging.DEBUG,
}


def set_log(
    level: int, on_record: Optional[Callable[[LogRecord], None]] = None, library: Optional[ctypes.CDLL] = None
) -> None:
    """Have `on_record` hear the log of this process, on a thread of the library's, until another takes its place."""
    library, number = library or load(), next(_numbers)
    _listeners[number] = _Listener(on_record or (lambda _: None))
    rc = library.election_set_log(_int(level), _log_fn if on_record else election_log_fn(0), number, _free_fn)
    if rc != Rc.OK:
        del _listeners[number]
        raise ElectionError("election_set_log", rc, library.election_strerror(rc).decode())
    atexit.unregister(_log_off)
    if level != LogLevel.OFF:
        atexit.register(_log_off, library)  # nobody can be called when the interpreter is gone


def _log_off(library: ctypes.CDLL) -> None:
    set_log(LogLevel.OFF, None, library)


def log_to(logger: Optional[logging.Logger] = None, library: Optional[ctypes.CDLL] = None) -> None:
    """Have the log go where the program's own does: to `logger`, by default the one named "election".

    The level is the logger's at this moment. A record has `election`, the LogRecord, as an attribute.
    """
    target = logger or logging.getLogger("election")
    wanted = [level for level, number in _LEVELS.items() if target.isEnabledFor(number)]

    def pass_on(record: LogRecord) -> None:
        target.log(_LEVELS.get(record.level, logging.DEBUG), "%s", record.message, extra={"election": record})

    set_log(max(wanted, default=LogLevel.OFF), pass_on, library)
