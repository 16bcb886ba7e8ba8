"""The events of callbacks, and how the library finds the Python function to call.

One C function of each kind serves all callbacks; its ctx is the number of a Listener. The library calls these functions
on its own threads, never on the main thread. Python runs signal handlers on the main thread alone. If a signal handler
raised inside a C callback, its exception would be lost, and the event with it.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import threading
import weakref
from typing import Any, Callable, NamedTuple, Optional

from election._library import (
    election_connection_fn,
    election_free_fn,
    election_log_fn,
    election_master_fn,
    election_member_fn,
    election_members_fn,
    election_role_fn,
)
from election._numbers import Alarm, ConnectionState, LogLevel, Rc, Reason, Role


class Event(NamedTuple):
    """The event of a candidate: election_event_t."""

    path: str
    role: Role
    reason: Reason
    rc: Rc
    value: bytes
    token: int


class Master(NamedTuple):
    """The event of an observer: election_master_t. `since` is a time like that of time.time()."""

    path: str
    rc: Rc
    value: bytes
    token: int
    session_id: int
    since: float


class Member(NamedTuple):
    """One member: election_member_t. `since` is a time like that of time.time()."""

    name: str
    value: bytes
    token: int
    session_id: int
    since: float


class Members(NamedTuple):
    """The event of a watcher of the members: election_members_t."""

    path: str
    rc: Rc
    members: list[Member]
    alarm: Alarm


class Connection(NamedTuple):
    """The state of the connection: election_connection_t."""

    state: ConnectionState
    rc: Rc
    session_id: int
    session_timeout: float
    cause: Optional[str] = None  # why the handle has no connection, as soon as the cause is known


class LogRecord(NamedTuple):
    """One record of the log: election_log_t. `handle` is Election.handle, `at` is a time like that of time.time()."""

    level: LogLevel
    message: str
    path: Optional[str]
    handle: Optional[int]
    session_id: int
    at: float


class Lease(NamedTuple):
    """A mastership: its token, to send with each write, and the seconds from now until its lease ends."""

    token: int
    left: float


class Listener:
    """The callback of one call. It lives as long as its owner does, even if the library has not freed it yet."""

    def __init__(self, hear: Callable[[Any], object], end: Callable[[], object] = lambda: None) -> None:
        self.hear, self.end = hear, end
        self.owner: Owner = {}


Owner = dict[int, Listener]
"""The listeners of one owner, by their numbers."""

# Weak references: a handle without other references is closed, and its callbacks may hold the only references to it.
_listeners: dict[int, weakref.ref[Listener]] = {}
_count = itertools.count(1)  # not 0, which would be NULL
_counting = threading.RLock()  # for interpreters in which threads run at the same time
# In a child, the thread that holds it may not exist.
os.register_at_fork(after_in_child=lambda: globals().update(_counting=threading.RLock()))


def listen(owner: Owner, listener: Listener, function: Any, *arguments: Any) -> int:
    """Call a function that takes a ctx and a free_ctx, which are added to the arguments. Returns its result.

    An exception may be raised at any instant. Even then a listener exists as long as the library calls it, and no
    listener is kept that the library does not call.
    """
    with _counting:
        number = next(_count)
    _listeners[number] = weakref.ref(listener)
    listener.owner = owner
    owner[number] = listener
    returned: list[int] = []
    try:
        # One instruction of the interpreter: no signal handler runs between the call and the storing of its result.
        returned.extend(map(function, *((argument,) for argument in (*arguments, number, free_fn))))
        return returned[0]
    finally:
        if not returned or returned[0] < 0:
            _forget(number)


def _forget(number: int) -> Optional[Listener]:
    reference = _listeners.pop(number, None)
    listener = reference() if reference else None
    if listener:
        listener.owner.pop(number, None)
    return listener


_this_thread = threading.local()


def is_inside(owner: Owner) -> bool:
    """Whether this thread is inside a callback of that owner."""
    return getattr(_this_thread, "owner", None) is owner


def _hear(ctx: int, news: Any) -> None:
    reference = _listeners.get(ctx)
    listener = reference() if reference else None
    if listener:
        _this_thread.owner = listener.owner
        try:
            listener.hear(news)
        finally:
            _this_thread.owner = None


def _on_role(event: Any, ctx: int) -> None:
    e = event.contents
    value = ctypes.string_at(e.value, e.value_len)
    _hear(ctx, Event(e.path.decode(), Role(e.role), Reason(e.reason), Rc(e.rc), value, e.token))


def master(m: Any) -> Master:
    value = ctypes.string_at(m.value, m.value_len)
    return Master(m.path.decode(), Rc(m.rc), value, m.token, m.session_id, m.since_ms / 1000)


def member(m: Any) -> Member:
    value = ctypes.string_at(m.value, m.value_len)
    return Member(m.name.decode(), value, m.token, m.session_id, m.since_ms / 1000)


def _on_master(event: Any, ctx: int) -> None:
    _hear(ctx, master(event.contents))


def _on_members(members: Any, ctx: int) -> None:
    m = members.contents
    each = [member(m.members[at].contents) for at in range(m.count)]
    _hear(ctx, Members(m.path.decode(), Rc(m.rc), each, Alarm(m.alarm)))


def _on_connection(connection: Any, ctx: int) -> None:
    c = connection.contents
    cause = None if c.cause is None else c.cause.decode()
    _hear(ctx, Connection(ConnectionState(c.state), Rc(c.rc), c.session_id, c.session_timeout_ms / 1000, cause))


def _on_record(record: Any, ctx: int) -> None:
    r = record.contents
    path = None if r.path is None else r.path.decode()
    _hear(ctx, LogRecord(LogLevel(r.level), r.message.decode(), path, r.handle, r.session_id, r.at_ms / 1000))


def _free_ctx(ctx: int) -> None:
    listener = _forget(ctx)
    if listener:
        listener.end()


# The library may call them at any time, so they are kept for ever.
role_fn, master_fn = election_role_fn(_on_role), election_master_fn(_on_master)
members_fn, connection_fn = election_members_fn(_on_members), election_connection_fn(_on_connection)
log_fn, free_fn = election_log_fn(_on_record), election_free_fn(_free_ctx)
no_log_fn = election_log_fn(0)


def answers(kind: Any, copy: Callable[[Any], Any]) -> tuple[list[Any], Any]:
    """A list, and a C function that adds a copy of each object that it receives to the list."""
    shown: list[Any] = []
    return shown, kind(lambda pointer, _: shown.append(copy(pointer.contents)))


def to_members() -> tuple[list[Member], Any]:
    return answers(election_member_fn, member)


def to_master() -> tuple[list[Master], Any]:
    return answers(election_master_fn, master)
