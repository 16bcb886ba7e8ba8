"""The log of the process."""

from __future__ import annotations

import atexit
import logging
import threading
from typing import Callable, Optional

from election import _workers
from election._callbacks import Listener, LogRecord, Owner, listen, log_fn, no_log_fn
from election._errors import check
from election._library import library
from election._numbers import LogLevel
from election._session import cint

_LEVELS = {
    LogLevel.ERROR: logging.ERROR,
    LogLevel.WARN: logging.WARNING,
    LogLevel.INFO: logging.INFO,
    LogLevel.DEBUG: logging.DEBUG,
}
_listeners: Owner = {}


def set_log(level: LogLevel, on_record: Optional[Callable[[LogRecord], None]] = None) -> None:
    """Let `on_record` receive the log of this process, on a thread of the library, until the next set_log."""
    atexit.unregister(_log_off)
    if level != LogLevel.OFF:
        atexit.register(_log_off)  # no Python function can be called after the interpreter has exited
    listener, function = Listener(on_record or (lambda _: None)), log_fn if on_record else no_log_fn

    def set_it() -> int:
        return listen(_listeners, listener, library().election_set_log, cint(level), function)

    # The call waits until the former function has received its last record. On a thread of the library it does not.
    is_main = threading.current_thread() is threading.main_thread()
    check("election_set_log", _workers.run(set_it) if is_main else set_it())


def _log_off() -> None:
    set_log(LogLevel.OFF)


def log_to(logger: Optional[logging.Logger] = None) -> None:
    """Send the log to the program's own log: to `logger`, by default the logger named "election".

    The level is the logger's level at the time of the call. A record has the attribute `election`, the LogRecord.
    """
    target = logger or logging.getLogger("election")
    wanted = [level for level, number in _LEVELS.items() if target.isEnabledFor(number)]

    def pass_on(record: LogRecord) -> None:
        target.log(_LEVELS.get(record.level, logging.DEBUG), "%s", record.message, extra={"election": record})

    set_log(max(wanted, default=LogLevel.OFF), pass_on)
