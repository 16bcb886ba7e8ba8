"""Master election on Apache ZooKeeper: a ctypes binding of libelection, and the program election.cpp with it.

The program is that of "使用zookeeper实现分布式master选举(c 接口版本)" (seed 000). Python 3.9 or later, the standard
library only.

    python3 election.py 10.0.0.1        in one terminal
    python3 election.py 10.0.0.2        in another; then end the first with Enter, Ctrl-C or kill -9

The binding is the class Election; a program that copies this file uses it like this:

    with Election("127.0.0.1:2181") as election:
        with election.go_to_election("/master", b"10.0.0.1", lambda event: print(event.role.name)) as candidacy:
            candidacy.wait(Role.MASTER)
            while candidacy.is_master():
                do_a_piece_of_work()

In a program on asyncio it is AsyncElection: no thread, the events come in the loop.

    async with AsyncElection("127.0.0.1:2181") as election:
        with election.roles("/master", b"10.0.0.1") as roles:
            async for event in roles:
                print(event.role.name)

Each function of election.h is a method that does what is written there. What Python adds:

- A function that fails raises ElectionError, whose `rc` is a member of Rc.
- An exception in a callback is told to sys.unraisablehook, which prints it; the next callbacks come all the same.
- What is called back, and all that it holds, is kept until the library has made the last call, and no longer.
"""

from __future__ import annotations

import argparse
import asyncio
import atexit
import ctypes
import enum
import itertools
import json
import logging
import os
import select
import signal
import sys
import threading
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_int64, c_size_t, c_uint64, c_void_p
from pathlib import Path
from typing import Any, Callable, Generic, Iterable, NamedTuple, Optional, TypeVar

# ---- election.h: numbers, structs and functions ----------------------------------------------------------------


class Open(enum.IntEnum):
    """Numbers of which a later version of the library may have more: those are members named by the number."""

    @classmethod
    def _missing_(cls, value: object) -> Any:
        member = int.__new__(cls, value)  # type: ignore[call-overload]
        member._name_, member._value_ = str(value), value
        return member


class Role(Open):
    UNKNOWN, SLAVE, MASTER = -1, 0, 1


class Reason(Open):
    ELECTED, FOLLOWING, SUSPENDED, EXPIRED, DELETED, REFUSED, BLOCKED, RESIGNED, CLOSED, FAILED = range(10)
    LEASE_EXPIRED, GRACE, FOREIGN_CONTENDER, DENIED = range(10, 14)


class Rc(Open):
    OK, CONNECTIONLOSS, UNIMPLEMENTED, OPERATIONTIMEOUT, BADARGUMENTS = 0, -4, -6, -7, -8
    NONODE, NOAUTH, BADVERSION, NOCHILDRENFOREPHEMERALS, NODEEXISTS = -101, -102, -103, -108, -110
    NOTEMPTY, SESSIONEXPIRED, INVALIDACL, AUTHFAILED, CLOSING = -111, -112, -114, -115, -116
    QUOTAEXCEEDED, THROTTLEDOP = -125, -127
    BAD_HANDLE, BAD_HOSTS, BAD_OPTIONS, BAD_TIMEOUT, BAD_PATH = range(-1001, -1006, -1)
    BAD_VALUE, BAD_CALLBACK, BAD_RESULT, BAD_RECIPE, ALREADY = range(-1006, -1011, -1)
    NOT_THERE, IN_CALLBACK, NOT_EPHEMERAL, RESIGNED, NO_RESOURCES = range(-1011, -1016, -1)
    INTERNAL, LEASE_EXPIRED, GRACE, FOREIGN_CONTENDER, NOT_MASTER = range(-1016, -1021, -1)
    STALE_TOKEN, BAD_LEASE_MODE, FORKED, NOT_MANUAL, BAD_ROLE, BAD_DISPATCH = range(-1021, -1027, -1)
    BAD_VERIFIER, BAD_COUNT = -1027, -1028
    BAD_SIZE, BAD_FORMAT, BAD_LEVEL = range(-1032, -1035, -1)
    BAD_AUTH, BAD_ACL = -1036, -1037


class Recipe(Open):
    NODE, QUEUE, QUEUE_CURATOR_LOCK, QUEUE_KAZOO, QUEUE_ZOOKEEPER, QUEUE_W = range(6)


class Lease(Open):
    COMMITTED, ANSWERED = range(2)


class Dispatch(Open):
    THREAD, MANUAL = range(2)


class Alarm(Open):
    NONE, TOO_FEW, ENOUGH = range(3)


class Acl(Open):
    OPEN, CREATOR, CREATOR_WORLD_READ = range(3)


class Perm(Open):
    READ, WRITE, CREATE, DELETE, ADMIN, ALL = 1, 2, 4, 8, 16, 31


class LogLevel(Open):
    OFF, ERROR, WARN, INFO, DEBUG = range(5)


class ConnectionState(Open):
    CONNECTING, CONNECTED, SUSPENDED, EXPIRED, CLOSED = range(5)


class DumpFormat(Open):
    TEXT, JSON = range(2)


class election_t(ctypes.Structure):
    """Opaque."""


class election_options_t(ctypes.Structure):
    """Opaque."""


class election_verifier_t(ctypes.Structure):
    """Opaque."""


class election_event_t(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("path", c_char_p), ("role", c_int), ("reason", c_int), ("rc", c_int),
                ("value", c_void_p), ("value_len", c_size_t), ("token", c_int64)]  # fmt: skip


class election_master_t(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("path", c_char_p), ("rc", c_int), ("value", c_void_p), ("value_len", c_size_t),
                ("token", c_int64), ("session_id", c_int64), ("since_ms", c_int64)]  # fmt: skip


class election_member_t(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("name", c_char_p), ("value", c_void_p), ("value_len", c_size_t),
                ("token", c_int64), ("session_id", c_int64), ("since_ms", c_int64)]  # fmt: skip


class election_members_t(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("path", c_char_p), ("rc", c_int), ("members", POINTER(POINTER(election_member_t))),
                ("count", c_size_t), ("alarm", c_int)]  # fmt: skip


class election_log_t(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("level", c_int), ("message", c_char_p), ("origin", c_char_p), ("path", c_char_p),
                ("handle", c_void_p), ("session_id", c_int64), ("at_ms", c_int64)]  # fmt: skip


class election_connection_t(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("state", c_int), ("rc", c_int), ("session_id", c_int64),
                ("session_timeout_ms", c_int64)]  # fmt: skip


_COUNTERS = (
    "connections connect_failures suspensions sessions_opened sessions_expired sessions_renewed "
    "requests_sent requests_answered requests_unknown creates deletes sets reads touches proofs_sent "
    "proofs_committed proof_last_us proof_longest_us fenced_writes watches_fired masterships_begun "
    "masterships_ended leases_expired callbacks_run callback_longest_us"
).split()


class election_counters_t(ctypes.Structure):
    _fields_ = [("size", c_size_t)] + [(name, c_uint64) for name in _COUNTERS]


election_role_fn = CFUNCTYPE(None, POINTER(election_event_t), c_void_p)
election_master_fn = CFUNCTYPE(None, POINTER(election_master_t), c_void_p)
election_member_fn = CFUNCTYPE(None, POINTER(election_member_t), c_void_p)
election_members_fn = CFUNCTYPE(None, POINTER(election_members_t), c_void_p)
election_log_fn = CFUNCTYPE(None, POINTER(election_log_t), c_void_p)
election_connection_fn = CFUNCTYPE(None, POINTER(election_connection_t), c_void_p)
election_free_fn = CFUNCTYPE(None, c_void_p)

_handle_p, _options_p, _verifier_p = POINTER(election_t), POINTER(election_options_t), POINTER(election_verifier_t)
_int64_p = POINTER(c_int64)
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "election_version": (c_char_p, []),
    "election_strerror": (c_char_p, [c_int]),
    "election_options_new": (_options_p, []),
    "election_options_free": (None, [_options_p]),
    "election_options_set_session_timeout_ms": (c_int, [_options_p, c_int]),
    "election_options_set_connect_timeout_ms": (c_int, [_options_p, c_int]),
    "election_options_set_recipe": (c_int, [_options_p, c_int]),
    "election_options_set_dispatch": (c_int, [_options_p, c_int]),
    "election_options_set_grace_ms": (c_int, [_options_p, c_int]),
    "election_options_set_lease_mode": (c_int, [_options_p, c_int]),
    "election_options_set_lease_margin_ms": (c_int, [_options_p, c_int]),
    "election_options_set_tick_ms": (c_int, [_options_p, c_int]),
    "election_options_add_auth": (c_int, [_options_p, c_char_p, c_char_p, c_size_t]),
    "election_options_set_acl": (c_int, [_options_p, c_int]),
    "election_options_add_acl": (c_int, [_options_p, c_int, c_char_p, c_char_p]),
    "election_open": (c_int, [c_char_p, _options_p, POINTER(_handle_p)]),
    "election_close": (c_int, [_handle_p]),
    "go_to_election": (c_int, [_handle_p, c_char_p, c_char_p, c_size_t, election_role_fn, c_void_p, election_free_fn]),
    "election_resign": (c_int, [_handle_p, c_char_p]),
    "election_set_value": (c_int, [_handle_p, c_char_p, c_char_p, c_size_t]),
    "election_is_master": (c_int, [_handle_p, c_char_p]),
    "election_lease": (c_int, [_handle_p, c_char_p, _int64_p, _int64_p]),
    "election_wait": (c_int, [_handle_p, c_char_p, c_int, c_int]),
    "election_fd": (c_int, [_handle_p]),
    "election_dispatch": (c_int, [_handle_p, c_int]),
    "election_fenced_create": (c_int, [_handle_p, c_char_p, c_char_p, c_char_p, c_size_t, c_int]),
    "election_fenced_set": (c_int, [_handle_p, c_char_p, c_char_p, c_char_p, c_size_t, c_int, c_int]),
    "election_fenced_delete": (c_int, [_handle_p, c_char_p, c_char_p, c_int, c_int]),
    "election_members": (c_int, [_handle_p, c_char_p, election_member_fn, c_void_p, c_int]),
    "election_get_master": (c_int, [_handle_p, c_char_p, election_master_fn, c_void_p, c_int]),
    "election_verifier_new": (_verifier_p, [c_int64]),
    "election_verifier_free": (None, [_verifier_p]),
    "election_verifier_admit": (c_int, [_verifier_p, c_int64]),
    "election_verifier_highest": (c_int64, [_verifier_p]),
    "watch_master": (c_int, [_handle_p, c_char_p, election_master_fn, c_void_p, election_free_fn]),
    "election_unwatch_master": (c_int, [_handle_p, c_char_p]),
    "election_watch_members": (c_int, [_handle_p, c_char_p, c_int, election_members_fn, c_void_p, election_free_fn]),
    "election_unwatch_members": (c_int, [_handle_p, c_char_p]),
    "election_set_log": (c_int, [c_int, election_log_fn, c_void_p, election_free_fn]),
    "election_watch_connection": (c_int, [_handle_p, election_connection_fn, c_void_p, election_free_fn]),
    "election_unwatch_connection": (c_int, [_handle_p]),
    "election_counters": (c_int, [_handle_p, POINTER(election_counters_t)]),
    "election_dump": (c_int, [_handle_p, c_int, POINTER(c_void_p)]),
    "election_dump_free": (None, [c_void_p]),
}


def load(path: Optional[str] = None) -> ctypes.CDLL:
    """Load the library: from `path`, $ELECTION_LIB, beside this file, its source tree, or as the system does."""
    here = Path(__file__).resolve().parent
    near = [here / "libelection.so.0", here / "libelection.so", here.parent / "target" / "release" / "libelection.so"]
    found = next((str(file) for file in near if file.exists()), "libelection.so.0")
    # CDLL and not PyDLL: a call that waits lets go of the interpreter.
    library = ctypes.CDLL(path or os.environ.get("ELECTION_LIB") or found)
    for name, (restype, argtypes) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = restype, argtypes
    return library


def version(library: Optional[ctypes.CDLL] = None) -> str:
    """The version of the library at hand."""
    return str((library or load()).election_version().decode())


# ---- Callbacks: one C function of each kind for all; ctx is the number of the Python function to call ----------


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


# ---- The binding -----------------------------------------------------------------------------------------------


class ElectionError(Exception):
    """The function of the library returned `rc`."""

    def __init__(self, function: str, rc: int, text: str) -> None:
        super().__init__(f"{function}: {text}")
        self.function = function
        self.rc = Rc(rc)


class _Session:
    """What Election and AsyncElection share: opening, and the calls that do not wait for a server."""

    def __init__(
        self,
        hosts: str,
        session_timeout_ms: int = 10_000,
        connect_timeout_ms: int = 0,
        *,
        recipe: int = Recipe.NODE,
        grace_ms: int = 0,
        lease_mode: int = Lease.COMMITTED,
        lease_margin_ms: int = 0,
        tick_ms: int = 0,
        dispatch: int = Dispatch.THREAD,
        auth: Iterable[tuple[str, bytes]] = (),
        acl: int = Acl.OPEN,
        more_acl: Iterable[tuple[int, str, str]] = (),
        library: Optional[ctypes.CDLL] = None,
    ) -> None:
        self._library = library or load()
        self._handle = _handle_p()
        options = self._library.election_options_new()
        try:
            for name, number in {
                "session_timeout_ms": session_timeout_ms,
                "connect_timeout_ms": connect_timeout_ms,
                "recipe": recipe,
                "grace_ms": grace_ms,
                "lease_mode": lease_mode,
                "lease_margin_ms": lease_margin_ms,
                "tick_ms": tick_ms,
                "dispatch": dispatch,
                "acl": acl,
            }.items():
                self._call(f"election_options_set_{name}", options, _int(number))
            for scheme, secret in auth:
                self._call("election_options_add_auth", options, _text(scheme), secret, len(secret))
            for permissions, scheme, id_ in more_acl:
                self._call("election_options_add_acl", options, _int(permissions), _text(scheme), _text(id_))
            self._call("election_open", _text(hosts), options, ctypes.byref(self._handle))
        finally:
            self._library.election_options_free(options)
        atexit.register(self._close)

    def resign(self, path: str) -> None:
        self._call("election_resign", self._handle, _text(path))

    def set_value(self, path: str, value: bytes) -> None:
        """Stand with another value from now on."""
        self._call("election_set_value", self._handle, _text(path), value, len(value))

    def is_master(self, path: str) -> bool:
        """Whether this is master now, by the clock at the time of the call."""
        return bool(self._library.election_is_master(self._handle, _text(path)))

    def lease(self, path: str) -> Optional[Mastership]:
        """The mastership at `path`; None when this is not master."""
        token, left_ns = c_int64(), c_int64()
        is_master = self._library.election_lease(self._handle, _text(path), token, left_ns)
        return Mastership(token.value, left_ns.value) if is_master else None

    def unwatch_master(self, path: str) -> None:
        self._call("election_unwatch_master", self._handle, _text(path))

    def unwatch_members(self, path: str) -> None:
        self._call("election_unwatch_members", self._handle, _text(path))

    @property
    def handle(self) -> Optional[int]:
        """The number of this handle, as records of the log have it."""
        return ctypes.cast(self._handle, c_void_p).value

    def unwatch_connection(self) -> None:
        self._call("election_unwatch_connection", self._handle)

    def counters(self) -> dict[str, int]:
        """What this handle has done so far: election_counters_t by name."""
        counters = election_counters_t(size=ctypes.sizeof(election_counters_t))
        self._call("election_counters", self._handle, ctypes.byref(counters))
        return {name: getattr(counters, name) for name in _COUNTERS}

    def dump(self) -> dict[str, Any]:
        """What this handle is, believes and did last."""
        described: dict[str, Any] = json.loads(self._dump(DumpFormat.JSON))
        return described

    def dump_text(self) -> str:
        """The same for people."""
        return self._dump(DumpFormat.TEXT)

    def _dump(self, format: int) -> str:
        dump = c_void_p()
        self._call("election_dump", self._handle, format, ctypes.byref(dump))
        try:
            return ctypes.string_at(dump.value or 0).decode()
        finally:
            self._library.election_dump_free(dump)

    def strerror(self, rc: int) -> str:
        return str(self._library.election_strerror(rc).decode())

    def _stand(self, path: str, value: bytes, listener: _Listener) -> None:
        self._listen(listener, "go_to_election", _text(path), value, len(value), _role_fn)

    def _watch_master(self, path: str, listener: _Listener) -> None:
        self._listen(listener, "watch_master", _text(path), _master_fn)

    def _watch_members(self, path: str, enough: int, listener: _Listener) -> None:
        self._listen(listener, "election_watch_members", _text(path), _int(enough), _members_fn)

    def _watch_connection(self, listener: _Listener) -> None:
        self._listen(listener, "election_watch_connection", _connection_fn)

    def _fenced_create(self, path: str, target: str, value: bytes, timeout_ms: int) -> None:
        where = (self._handle, _text(path), _text(target))
        self._call("election_fenced_create", *where, value, len(value), _int(timeout_ms))

    def _fenced_set(self, path: str, target: str, value: bytes, version: int, timeout_ms: int) -> None:
        where, version = (self._handle, _text(path), _text(target)), _int(version, refused=-2)
        self._call("election_fenced_set", *where, value, len(value), version, _int(timeout_ms))

    def _fenced_delete(self, path: str, target: str, version: int, timeout_ms: int) -> None:
        where, version = (self._handle, _text(path), _text(target)), _int(version, refused=-2)
        self._call("election_fenced_delete", *where, version, _int(timeout_ms))

    def _members(self, path: str, timeout_ms: int) -> list[Member]:
        return self._ask("election_members", path, _member_fn, timeout_ms)

    def _get_master(self, path: str, timeout_ms: int) -> Master:
        masters: list[Master] = self._ask("election_get_master", path, _master_fn, timeout_ms)
        return masters[0]

    def _ask(self, function: str, path: str, on_answer: Any, timeout_ms: int) -> list[Any]:
        answers: list[Any] = []
        number = next(_numbers)
        _listeners[number] = _Listener(answers.append)
        try:
            self._call(function, self._handle, _text(path), on_answer, number, _int(timeout_ms))
        finally:
            del _listeners[number]
        return answers

    def _fileno(self) -> int:
        return self._call("election_fd", self._handle)

    def _dispatch(self, timeout_ms: int = 0) -> int:
        return self._call("election_dispatch", self._handle, _int(timeout_ms))

    def _close(self) -> bool:
        rc: int = self._library.election_close(self._handle)
        if rc not in (Rc.OK, Rc.CONNECTIONLOSS, Rc.BAD_HANDLE, Rc.FORKED):
            raise ElectionError("election_close", rc, self.strerror(rc))
        atexit.unregister(self._close)
        return rc in (Rc.OK, Rc.BAD_HANDLE)

    def _call(self, function: str, *arguments: Any) -> int:
        """Call a function that returns a negative number when it fails."""
        rc: int = getattr(self._library, function)(*arguments)
        if rc < 0:
            raise ElectionError(function, rc, self.strerror(rc))
        return rc

    def _listen(self, listener: _Listener, function: str, *arguments: Any) -> None:
        number = next(_numbers)
        _listeners[number] = listener
        try:
            self._call(function, self._handle, *arguments, number, _free_fn)
        except BaseException:
            del _listeners[number]  # nothing happened: it is still ours
            raise


class Election(_Session):
    """One session with ZooKeeper, and the elections on it. The header has the rules for each method.

    Callbacks run on a thread of the library's, or in dispatch(). One that is not closed is closed when the
    interpreter exits. In a child of os.fork() it is inert: is_master() is False, the others raise Rc.FORKED, and
    close() does nothing.
    """

    def go_to_election(
        self, path: str, value: bytes = b"", on_role: Callable[[Event], object] = lambda _: None
    ) -> Candidacy:
        """Stand at `path`. A `with` of what is returned resigns at its end; without one this stands until resign()."""
        self._stand(path, value, _Listener(on_role))
        return Candidacy(self, path)

    def wait(self, path: str, role: int, timeout_ms: int = 3_600_000) -> None:
        """Wait for a role; raises Rc.OPERATIONTIMEOUT when it does not come in time."""
        self._call("election_wait", self._handle, _text(path), _int(role), _int(timeout_ms))

    def fenced_create(self, path: str, target: str, value: bytes = b"", timeout_ms: int = 10_000) -> None:
        self._fenced_create(path, target, value, timeout_ms)

    def fenced_set(
        self, path: str, target: str, value: bytes, version: int = -1, timeout_ms: int = 10_000
    ) -> None:
        self._fenced_set(path, target, value, version, timeout_ms)

    def fenced_delete(self, path: str, target: str, version: int = -1, timeout_ms: int = 10_000) -> None:
        self._fenced_delete(path, target, version, timeout_ms)

    def members(self, path: str, timeout_ms: int = 10_000) -> list[Member]:
        """Who stands at `path`, the master first."""
        return self._members(path, timeout_ms)

    def get_master(self, path: str, timeout_ms: int = 10_000) -> Master:
        """Who is master at `path`, asked once; `rc` is Rc.NONODE when there is none."""
        return self._get_master(path, timeout_ms)

    def fileno(self) -> int:
        """The descriptor that is readable while callbacks wait for dispatch(): for select and selectors."""
        return self._fileno()

    def dispatch(self, timeout_ms: int = 0) -> int:
        """Run the callbacks that wait, here; when there are none, wait for one. Returns how many were passed on."""
        return self._dispatch(timeout_ms)

    def watch_master(self, path: str, on_master: Callable[[Master], object]) -> Watch:
        """Watch who is master. A `with` of what is returned ends it; without one it lasts until unwatch_master()."""
        self._watch_master(path, _Listener(on_master))
        return Watch(lambda: self.unwatch_master(path))

    def watch_members(self, path: str, on_members: Callable[[Members], object], enough: int = 0) -> Watch:
        """Watch who is in, with an alarm when fewer than `enough` are. As watch_master, until unwatch_members()."""
        self._watch_members(path, enough, _Listener(on_members))
        return Watch(lambda: self.unwatch_members(path))

    def watch_connection(self, on_connection: Callable[[Connection], object]) -> Watch:
        """Watch the connection. As watch_master, until unwatch_connection()."""
        self._watch_connection(_Listener(on_connection))
        return Watch(self.unwatch_connection)

    def close(self) -> bool:
        """Close; a second time does nothing. Returns whether a server confirmed the end of the session."""
        return self._close()

    def __enter__(self) -> Election:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class Watch:
    """What a `with` ends: watching, or standing. Nothing happens when it has ended already, or the handle is closed."""

    def __init__(self, end: Callable[[], None]) -> None:
        self._end = end

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self._end()
        except ElectionError as error:
            if error.rc not in (Rc.NOT_THERE, Rc.BAD_HANDLE, Rc.FORKED):
                raise


Self = TypeVar("Self", bound=Watch)


class Candidacy(Watch):
    """One who stands at a path: the methods of Election, for that path."""

    def __init__(self, election: Election, path: str) -> None:
        super().__init__(lambda: election.resign(path))
        self.election, self.path = election, path

    def resign(self) -> None:
        self.election.resign(self.path)

    def set_value(self, value: bytes) -> None:
        self.election.set_value(self.path, value)

    def is_master(self) -> bool:
        return self.election.is_master(self.path)

    def lease(self) -> Optional[Mastership]:
        return self.election.lease(self.path)

    def wait(self, role: int, timeout_ms: int = 3_600_000) -> None:
        self.election.wait(self.path, role, timeout_ms)


# ---- The log of the process ------------------------------------------------------------------------------------

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


# ---- asyncio ---------------------------------------------------------------------------------------------------

T = TypeVar("T")


class Feed(Watch, Generic[T]):
    """What is heard, for `async for`, from the call that made it until there is no more. A `with` of it ends that call;
    to be cancelled while waiting for the next loses nothing."""

    def __init__(self, end: Callable[[], None]) -> None:
        super().__init__(end)
        self._heard = heard = asyncio.Queue[Optional[T]]()
        self._listener = _Listener(heard.put_nowait, lambda: heard.put_nowait(None))

    def __aiter__(self) -> Feed[T]:
        return self

    async def __anext__(self) -> T:
        event = await self._heard.get()
        if event is None:
            self._heard.put_nowait(None)  # for whoever asks again
            raise StopAsyncIteration
        return event


class Roles(Feed[Event]):
    """The roles of a candidate, and the methods of AsyncElection for its path."""

    def __init__(self, election: AsyncElection, path: str) -> None:
        super().__init__(lambda: election.resign(path))
        self.election, self.path = election, path

    async def wait(self, role: int) -> Event:
        """Hear of roles until this one comes. Rc.NOT_THERE when none comes any more."""
        async for event in self:
            if event.role == role:
                return event
        raise ElectionError("wait", Rc.NOT_THERE, self.election.strerror(Rc.NOT_THERE))

    def resign(self) -> None:
        self.election.resign(self.path)

    def set_value(self, value: bytes) -> None:
        self.election.set_value(self.path, value)

    def is_master(self) -> bool:
        return self.election.is_master(self.path)

    def lease(self) -> Optional[Mastership]:
        return self.election.lease(self.path)


class AsyncElection(_Session):
    """An Election in the asyncio loop, between `async with` and its end: callbacks run there, and nothing blocks it.

    What waits for a server does so on a thread of asyncio.to_thread. Whoever is cancelled meanwhile does not hear the
    answer, so whether a fenced write was done is not known then; close() ends all the same.
    """

    def __init__(self, hosts: str, session_timeout_ms: int = 10_000, **options: Any) -> None:
        super().__init__(hosts, session_timeout_ms, dispatch=Dispatch.MANUAL, **options)
        self._fd = -1

    def roles(self, path: str, value: bytes = b"") -> Roles:
        """Stand at `path`, at once. The events end when it resigned or was closed."""
        roles = Roles(self, path)
        self._stand(path, value, self._in_loop(roles._listener))
        return roles

    def masters(self, path: str) -> Feed[Master]:
        """Watch who is master at `path`, at once. The news end with unwatch_master, or when it was closed."""
        masters: Feed[Master] = Feed(lambda: self.unwatch_master(path))
        self._watch_master(path, self._in_loop(masters._listener))
        return masters

    def memberships(self, path: str, enough: int = 0) -> Feed[Members]:
        """Watch who is in at `path`, at once. The news end with unwatch_members, or when it was closed."""
        memberships: Feed[Members] = Feed(lambda: self.unwatch_members(path))
        self._watch_members(path, enough, self._in_loop(memberships._listener))
        return memberships

    def connections(self) -> Feed[Connection]:
        """Watch the connection, at once. The news end with unwatch_connection, or when it was closed."""
        connections: Feed[Connection] = Feed(self.unwatch_connection)
        self._watch_connection(self._in_loop(connections._listener))
        return connections

    def go_to_election(
        self, path: str, value: bytes = b"", on_role: Callable[[Event], object] = lambda _: None
    ) -> None:
        """Stand at `path`, with a callback."""
        self._stand(path, value, self._in_loop(_Listener(on_role)))

    def watch_master(self, path: str, on_master: Callable[[Master], object]) -> None:
        """Watch who is master at `path`, with a callback."""
        self._watch_master(path, self._in_loop(_Listener(on_master)))

    def watch_members(self, path: str, on_members: Callable[[Members], object], enough: int = 0) -> None:
        """Watch who is in at `path`, with a callback."""
        self._watch_members(path, enough, self._in_loop(_Listener(on_members)))

    async def fenced_create(self, path: str, target: str, value: bytes = b"", timeout_ms: int = 10_000) -> None:
        await asyncio.to_thread(self._fenced_create, path, target, value, timeout_ms)

    async def fenced_set(
        self, path: str, target: str, value: bytes, version: int = -1, timeout_ms: int = 10_000
    ) -> None:
        await asyncio.to_thread(self._fenced_set, path, target, value, version, timeout_ms)

    async def fenced_delete(self, path: str, target: str, version: int = -1, timeout_ms: int = 10_000) -> None:
        await asyncio.to_thread(self._fenced_delete, path, target, version, timeout_ms)

    async def members(self, path: str, timeout_ms: int = 10_000) -> list[Member]:
        """Who stands at `path`, the master first."""
        return await asyncio.to_thread(self._members, path, timeout_ms)

    async def get_master(self, path: str, timeout_ms: int = 10_000) -> Master:
        """Who is master at `path`, asked once; `rc` is Rc.NONODE when there is none."""
        return await asyncio.to_thread(self._get_master, path, timeout_ms)

    async def close(self) -> bool:
        """Close; a second time does nothing. Returns whether a server confirmed the end of the session.

        The last callbacks have run in the loop when this returns, after 2 s at most. To be cancelled ends it no sooner.
        """
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            self._fd = -1
        closing = asyncio.ensure_future(asyncio.to_thread(self._close))
        try:
            return await asyncio.shield(closing)
        except asyncio.CancelledError:
            await asyncio.wait([closing])
            raise

    async def __aenter__(self) -> AsyncElection:
        self._fd = self._fileno()
        asyncio.get_running_loop().add_reader(self._fd, self._dispatch)
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    def _in_loop(self, listener: _Listener) -> _Listener:
        """A listener that hears in the loop, also of what close() dispatches on its thread."""
        loop, thread = asyncio.get_running_loop(), threading.get_ident()

        def pass_on(function: Callable[..., object], *news: Any) -> None:
            if threading.get_ident() == thread:
                function(*news)
            else:
                loop.call_soon_threadsafe(function, *news)

        return _Listener(lambda news: pass_on(listener.hear, news), lambda: pass_on(listener.end))


# ---- The other side --------------------------------------------------------------------------------------------


class Verifier:
    """Refuses the tokens of old masters, on the side that is written to."""

    _verifier: Any = None

    def __init__(self, highest: int = 0, library: Optional[ctypes.CDLL] = None) -> None:
        if c_int64(highest).value != highest:
            raise OverflowError("tokens have 64 bits")
        self._library = library or load()
        self._verifier = self._library.election_verifier_new(highest)
        if not self._verifier:
            raise MemoryError

    def admit(self, token: int) -> bool:
        """Whether a write with this token may be taken."""
        is_token = c_int64(token).value == token  # ctypes would cut it
        return is_token and bool(self._library.election_verifier_admit(self._verifier, token) == Rc.OK)

    @property
    def highest(self) -> int:
        """The highest token seen, to be stored with what was written."""
        return int(self._library.election_verifier_highest(self._verifier))

    def __del__(self) -> None:
        if self._verifier:
            self._library.election_verifier_free(self._verifier)


def _int(number: int, refused: int = -1) -> int:
    return number if c_int(number).value == number else refused  # ctypes would cut it


def _text(text: str) -> bytes:
    if "\0" in text:
        raise ValueError("a 0 byte would end the text in C")
    return text.encode("utf-8", "surrogateescape")


# ---- The program: election.cpp in Python -----------------------------------------------------------------------

EXIT_DONE, EXIT_USAGE, EXIT_TROUBLE = 0, 2, 3

EPILOG = """\
Lines on standard input: `resign` resigns, `stand` stands again, any other line (Enter) quits, as do the
end of the input, SIGINT and SIGTERM. What is printed is explained by the --help of election.cpp.

The library is that of --lib, else of $ELECTION_LIB, else ../target/release/libelection.so seen from this
file, else the system's. Exit code: 0 when ended as above, 2 for a wrong command line, 3 when something failed.
"""


def escaped(value: bytes) -> str:
    return "".join(chr(b) if 0x20 < b < 0x7F and b != 0x5C else f"\\x{b:02x}" for b in value)


def print_event(event: Event, trouble: str) -> None:
    words = {
        Rc.OK: "Become master",
        Rc.NODEEXISTS: f"Become slave, keep watch\nget master ip :{escaped(event.value)}",
    }.get(event.rc, f"Cannot tell who is master: {trouble}")
    print(
        f"{words}\nrole={event.role.name} reason={event.reason.name} rc={event.rc:d} token={event.token}"
        f" value={escaped(event.value)} path={escaped(event.path.encode())}",
        flush=True,
    )


def run(commands: dict[bytes, Callable[[], None]], bell: int, stay: bool) -> int:
    """Obey standard input until it says quit, or the bell rings. Returns how to exit."""
    text, waiting = b"", [bell, sys.stdin.fileno()]
    while True:
        ready, _, _ = select.select(waiting, [], [])
        if bell in ready:
            return EXIT_DONE if os.read(bell, 1)[0] in (signal.SIGINT, signal.SIGTERM) else EXIT_TROUBLE
        chunk = os.read(sys.stdin.fileno(), 256)
        if not chunk:
            if not stay:
                return EXIT_DONE
            waiting = [bell]
        *lines, text = (text + chunk).split(b"\n")
        for line in lines:
            if line not in commands:
                return EXIT_DONE
            try:
                commands[line]()
            except ElectionError as error:
                print(f"{line.decode()}: {error}", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Stand for master with the value IP, and print what this program is until it is ended.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--hosts", default="127.0.0.1:2181", help="ZooKeeper's servers (%(default)s)")
    parser.add_argument("--path", default="/master", help="the path of the election (%(default)s)")
    parser.add_argument("--timeout", type=int, default=30000, metavar="MS", help="the session timeout (%(default)s)")
    parser.add_argument("--stay", action="store_true", help="go on when standard input ends")
    parser.add_argument("--lib", help="the library to load")
    parser.add_argument("ip", metavar="IP")
    arguments = parser.parse_args()

    bell, ringer = os.pipe()  # signals and callbacks ring it, the main thread waits at it
    os.set_blocking(ringer, False)
    signal.set_wakeup_fd(ringer)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)

    try:
        with Election(arguments.hosts, arguments.timeout, library=load(arguments.lib)) as election:

            def get_result(event: Event) -> None:
                try:
                    print_event(event, election.strerror(event.rc))
                except BrokenPipeError:
                    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is left in the buffer
                    os.write(ringer, bytes([signal.SIGPIPE]))
                if event.reason == Reason.FAILED:
                    os.write(ringer, b"F")

            def stand() -> None:
                election.go_to_election(arguments.path, os.fsencode(arguments.ip), get_result)

            def resign() -> None:
                election.resign(arguments.path)

            stand()
            code = run({b"stand": stand, b"resign": resign}, bell, arguments.stay)
            if election.close():
                return code
            print(f"election_close: {election.strerror(Rc.CONNECTIONLOSS)}", file=sys.stderr)
            return EXIT_TROUBLE
    except ElectionError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE if Rc.BAD_RECIPE <= error.rc <= Rc.BAD_HANDLE else EXIT_TROUBLE
    except OSError as error:  # the library cannot be loaded
        print(error, file=sys.stderr)
        return EXIT_TROUBLE


if __name__ == "__main__":
    sys.exit(main())
