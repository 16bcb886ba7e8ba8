"""What callbacks hear. There is one C function of each kind for all; ctx is the number of the Python function to call."""

from __future__ import annotations

import ctypes
import itertools
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
    """What a candidate is told: election_event_t."""

    path: str
    role: Role
    reason: Reason
    rc: Rc
    value: bytes
    token: int


class Master(NamedTuple):
    """What an observer is told: election_master_t."""

    path: str
    rc: Rc
    value: bytes
    token: int
    session_id: int
    since_ms: int


class Member(NamedTuple):
    """One who stands: election_member_t."""

    name: str
    value: bytes
    token: int
    session_id: int
    since_ms: int


class Members(NamedTuple):
    """What a watcher of the members is told: election_members_t."""

    path: str
    rc: Rc
    members: list[Member]
    alarm: Alarm


class Connection(NamedTuple):
    """How the connection stands: election_connection_t."""

    state: ConnectionState
    rc: Rc
    session_id: int
    session_timeout_ms: int


class LogRecord(NamedTuple):
    """One record of the log: election_log_t. `handle` is that of Election.handle; None for none."""

    level: LogLevel
    message: str
    origin: str
    path: Optional[str]
    handle: Optional[int]
    session_id: int
    at_ms: int


class Mastership(NamedTuple):
    """What election_lease tells a master: the token, to be sent along with each write, and how long it lasts."""

    token: int
    left_ns: int


class _Listener(NamedTuple):
    hear: Callable[[Any], object]
    end: Callable[[], object] = lambda: None


_listeners: dict[int, _Listener] = {}  # until free_ctx
_numbers = itertools.count(1)  # not 0, which would be NULL


def _on_role(event: Any, ctx: int) -> None:
    e = event.contents
    value = ctypes.string_at(e.value, e.value_len)
    _listeners[ctx].hear(Event(e.path.decode(), Role(e.role), Reason(e.reason), Rc(e.rc), value, e.token))


def _on_master(master: Any, ctx: int) -> None:
    m = master.contents
    value = ctypes.string_at(m.value, m.value_len)
    _listeners[ctx].hear(Master(m.path.decode(), Rc(m.rc), value, m.token, m.session_id, m.since_ms))


def _member(m: Any) -> Member:
    return Member(m.name.decode(), ctypes.string_at(m.value, m.value_len), m.token, m.session_id, m.since_ms)


def _on_member(member: Any, ctx: int) -> None:
    _listeners[ctx].hear(_member(member.contents))


def _on_members(members: Any, ctx: int) -> None:
    m = members.contents
    each = [_member(m.members[at].contents) for at in range(m.count)]
    _listeners[ctx].hear(Members(m.path.decode(), Rc(m.rc), each, Alarm(m.alarm)))


def _on_connection(connection: Any, ctx: int) -> None:
    c = connection.contents
    _listeners[ctx].hear(Connection(ConnectionState(c.state), Rc(c.rc), c.session_id, c.session_timeout_ms))


def _on_record(record: Any, ctx: int) -> None:
    r = record.contents
    path = None if r.path is None else r.path.decode()
    message, origin = r.message.decode(), r.origin.decode()
    _listeners[ctx].hear(LogRecord(LogLevel(r.level), message, origin, path, r.handle, r.session_id, r.at_ms))


def _free_ctx(ctx: int) -> None:
    _listeners.pop(ctx).end()


# For as long as the library may call them.
_role_fn, _master_fn = election_role_fn(_on_role), election_master_fn(_on_master)
_member_fn, _members_fn = election_member_fn(_on_member), election_members_fn(_on_members)
_connection_fn, _log_fn = election_connection_fn(_on_connection), election_log_fn(_on_record)
_free_fn = election_free_fn(_free_ctx)
