"""What Election and AsyncElection share: opening, and the calls that do not wait for a server."""

from __future__ import annotations

import atexit
import ctypes
import json
from ctypes import c_int, c_int64, c_void_p
from typing import Any, Iterable, Optional

from election._callbacks import (
    Master,
    Mastership,
    Member,
    _connection_fn,
    _free_fn,
    _Listener,
    _listeners,
    _master_fn,
    _member_fn,
    _members_fn,
    _numbers,
    _role_fn,
)
from election._library import _COUNTERS, _handle_p, election_counters_t, load
from election._numbers import Acl, Dispatch, DumpFormat, Lease, Rc, Recipe


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


def _int(number: int, refused: int = -1) -> int:
    return number if c_int(number).value == number else refused  # ctypes would cut it


def _text(text: str) -> bytes:
    if "\0" in text:
        raise ValueError("a 0 byte would end the text in C")
    return text.encode("utf-8", "surrogateescape")
