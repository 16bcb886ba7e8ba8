"""The common part of Election and AsyncElection: a handle of the library, and the calls on it."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import json
import math
import os
import signal
import time
import warnings
from ctypes import c_int, c_int64, c_void_p
from typing import Any, Callable, Iterable, Iterator, Mapping, NamedTuple, Optional, Union

from election import _workers
from election._callbacks import (
    Lease,
    Listener,
    Master,
    Member,
    Owner,
    connection_fn,
    listen,
    master_fn,
    members_fn,
    role_fn,
    to_master,
    to_members,
)
from election._errors import check, error, strerror
from election._library import _COUNTERS, _handle_p, election_counters_t, library
from election._numbers import Acl, Dispatch, DumpFormat, LeaseMode, Perm, Rc, Recipe

Value = Union[bytes, bytearray, memoryview]


class AclEntry(NamedTuple):
    """An entry of an access control list: the arguments of election_options_add_acl."""

    permissions: Perm
    scheme: str
    id: str


class Counters(NamedTuple):
    """Counts of the actions of a handle: election_counters_t. Times are in seconds."""

    connections: int
    connect_failures: int
    suspensions: int
    sessions_opened: int
    sessions_expired: int
    sessions_renewed: int
    requests_sent: int
    requests_answered: int
    requests_unknown: int
    creates: int
    deletes: int
    sets: int
    reads: int
    touches: int
    proofs_sent: int
    proofs_committed: int
    proof_last: float
    proof_longest: float
    fenced_writes: int
    watches_fired: int
    masterships_begun: int
    masterships_ended: int
    leases_expired: int
    callbacks_run: int
    callback_longest: float


class Options(NamedTuple):
    """The options of a handle."""

    session_timeout: float
    connect_timeout: Optional[float]
    recipe: Recipe
    grace: float
    lease_mode: LeaseMode
    lease_margin: float
    tick: float
    auth: Iterable[tuple[str, Value]]
    acl: Acl
    acl_entries: Iterable[AclEntry]
    tls: Optional[str]
    tls_verify_host: bool
    frame_limit_bytes: int
    sasl: Mapping[str, str]
    # Of the library. With Dispatch.MANUAL the module itself dispatches the callbacks of the library's thread.
    dispatch: Dispatch = Dispatch.THREAD

    def make(self) -> Any:
        """Make options of the library. The caller frees them."""
        functions, options = library(), library().election_options_new()
        try:
            for name, number in {
                "session_timeout_ms": milliseconds(self.session_timeout),
                "connect_timeout_ms": milliseconds(self.connect_timeout or 0),
                "recipe": self.recipe,
                "grace_ms": milliseconds(self.grace),
                "lease_mode": self.lease_mode,
                "lease_margin_ms": milliseconds(self.lease_margin),
                "tick_ms": milliseconds(self.tick),
                "dispatch": self.dispatch,
                "acl": self.acl,
                "tls_verify_host": bool(self.tls_verify_host),
                "frame_limit_bytes": self.frame_limit_bytes,
            }.items():
                function = f"election_options_set_{name}"
                check(function, getattr(functions, function)(options, cint(number)))
            for scheme, secret in self.auth:
                secret = octets(secret)
                rc = functions.election_options_add_auth(options, text(scheme), secret, len(secret))
                check("election_options_add_auth", rc)
            for permissions, scheme, id_ in self.acl_entries:
                rc = functions.election_options_add_acl(options, cint(permissions), text(scheme), text(id_))
                check("election_options_add_acl", rc)
            for name, words in {"tls": self.tls}.items():
                if words is not None:
                    function = f"election_options_set_{name}"
                    check(function, getattr(functions, function)(options, text(words)))
            for name, value in self.sasl.items():
                rc = functions.election_options_set_sasl(options, text(name), text(value))
                check("election_options_set_sasl", rc)
            return options
        except BaseException:
            functions.election_options_free(options)
            raise


# The open handles. They are closed when the interpreter exits: after that no Python function can be called.
_open: set[int] = set()
_is_registered = False


def _close_all() -> None:
    for address in list(_open):
        library().election_close(ctypes.cast(address, _handle_p))


def _close_forgotten(address: int) -> None:
    library().election_close(ctypes.cast(address, _handle_p))
    _open.discard(address)


class Session:
    """One handle. For each call that waits for a server or for callbacks, a worker calls a function."""

    _address: Optional[int] = None
    _is_interrupted = False

    def __init__(self, hosts: str, options: Options) -> None:
        self._library = library()
        self._hosts, self._options = hosts, options
        self._handle = _handle_p()
        self._listeners: Owner = {}
        self._pid = os.getpid()

    def _opening(self) -> Callable[[], None]:
        global _is_registered
        if not _is_registered:
            _is_registered = True
            atexit.register(_close_all)
        hosts, options, handle = text(self._hosts), self._options.make(), self._handle
        # Callbacks, and the programs that they start, have the signal mask of the thread that opens the handle.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())

        def open_it() -> None:
            former = signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            try:
                rc = Rc.INTERRUPTED
                while rc == Rc.INTERRUPTED:  # a signal came to this thread
                    rc = self._library.election_open(hosts, options, ctypes.byref(handle))
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, former)
                self._library.election_options_free(options)
            check("election_open", rc)
            self._address = ctypes.cast(handle, c_void_p).value
            assert self._address
            _open.add(self._address)

        return open_it

    def _open_here(self) -> bool:
        """With Dispatch.LOOP, open the handle on this thread, unless that waits. Returns whether it is open."""
        if self._options.dispatch != Dispatch.LOOP or self._options.connect_timeout:
            return False
        with no_signals():
            self._opening()()
        return True

    def _turn(self) -> None:
        """With Dispatch.LOOP, do the work of the session that is due. The library calls the listeners meanwhile."""
        with no_signals():
            rc = self._library.election_dispatch(self._handle, 0)
        if rc < 0:
            raise error("election_dispatch", rc)

    def _closing(self) -> Callable[[], bool]:
        def close_it() -> bool:
            rc: int = self._library.election_close(self._handle)
            if rc not in (Rc.OK, Rc.CONNECTIONLOSS, Rc.BAD_HANDLE, Rc.FORKED):
                raise error("election_close", rc)
            if self._address is not None:
                _open.discard(self._address)
                self._address = None
            return rc in (Rc.OK, Rc.BAD_HANDLE)

        return close_it

    def _abandon(self, opening: _workers.Call[None]) -> None:
        """Close the handle that is being opened, because no caller waits for it any more."""

        def close_it() -> None:
            try:
                opening.wait()
            except Exception:
                return
            self._closing()()

        _workers.start(close_it)

    def __del__(self) -> None:
        if self._address is None or self._pid != os.getpid():
            return
        address, self._address = self._address, None
        try:
            # Not on this thread: closing takes time, and a callback cannot close its own handle.
            _workers.start(lambda: _close_forgotten(address))
        except RuntimeError:
            _close_forgotten(address)
        # Last, because this raises if warnings are errors.
        warnings.warn(f"unclosed {type(self).__name__} for {self._hosts}", ResourceWarning, source=self)

    def resign(self, path: str) -> None:
        """Stop standing at `path`."""
        check("election_resign", self._library.election_resign(self._handle, text(path)))

    def set_value(self, path: str, value: Value) -> None:
        """Change the value of the candidate from now on."""
        value = octets(value)
        check("election_set_value", self._library.election_set_value(self._handle, text(path), value, len(value)))

    def interrupt(self) -> None:
        """End every call that waits by ElectionInterruptedError. The function that lead() runs should stop. This lasts
        until clear_interrupt()."""
        self._is_interrupted = True
        check("election_interrupt", self._library.election_interrupt(self._handle))

    def clear_interrupt(self) -> None:
        """Let calls wait again from now on."""
        check("election_clear_interrupt", self._library.election_clear_interrupt(self._handle))
        self._is_interrupted = False

    def is_master(self, path: str) -> bool:
        """Whether this handle is master now, by the clock at the time of the call."""
        return bool(self._library.election_is_master(self._handle, text(path)))

    def lease(self, path: str) -> Optional[Lease]:
        """The mastership at `path`; None if this handle is not master."""
        token, left_ns = c_int64(), c_int64()
        is_master = self._library.election_lease(self._handle, text(path), token, left_ns)
        return Lease(token.value, left_ns.value / 1e9) if is_master else None

    def unwatch_master(self, path: str) -> None:
        check("election_unwatch_master", self._library.election_unwatch_master(self._handle, text(path)))

    def unwatch_members(self, path: str) -> None:
        check("election_unwatch_members", self._library.election_unwatch_members(self._handle, text(path)))

    def unwatch_connection(self) -> None:
        check("election_unwatch_connection", self._library.election_unwatch_connection(self._handle))

    @property
    def handle(self) -> Optional[int]:
        """The number of this handle in records of the log."""
        return ctypes.cast(self._handle, c_void_p).value

    def _finishing(self, timeout: float) -> Callable[[], int]:
        return self._call("election_wait_finished", ms(timeout))

    def counters(self) -> Counters:
        """Counts of the actions of this handle so far."""
        counters = election_counters_t(size=ctypes.sizeof(election_counters_t))
        check("election_counters", self._library.election_counters(self._handle, ctypes.byref(counters)))
        numbers = [(name, getattr(counters, name)) for name in _COUNTERS]
        return Counters(*(number / 1e6 if name.endswith("_us") else number for name, number in numbers))

    def connect_failure(self) -> str:
        """Why the handle has no connection; while it has one: why it had none the last time; empty if it always had
        one."""
        sentence = ctypes.create_string_buffer(4096)
        failure = self._library.election_connect_failure(self._handle, sentence, len(sentence))
        check("election_connect_failure", failure)
        return sentence.value.decode()

    def strerror(self, rc: int) -> str:
        """A sentence for a number of Rc."""
        return strerror(rc)

    # ---- Calls that take a callback ----

    def _stand(self, path: str, value: Value, listener: Listener) -> None:
        value = octets(value)
        self._listen(listener, "go_to_election", text(path), value, len(value), role_fn)

    def _watch_master(self, path: str, listener: Listener) -> None:
        self._listen(listener, "watch_master", text(path), master_fn)

    def _watch_members(self, path: str, enough: int, listener: Listener) -> None:
        self._listen(listener, "election_watch_members", text(path), cint(enough), members_fn)

    def _watch_connection(self, listener: Listener) -> None:
        self._listen(listener, "election_watch_connection", connection_fn)

    def _listen(self, listener: Listener, function: str, *arguments: Any) -> None:
        call = getattr(self._library, function)
        check(function, listen(self._listeners, listener, call, self._handle, *arguments))

    # ---- Calls that wait ----

    def _waiting(self, path: str, role: int, timeout: Optional[float], nap: float) -> Callable[[], bool]:
        """A function that waits for a role for at most `nap` seconds per call. It returns whether the role came. It
        raises ElectionTimeoutError after `timeout` seconds."""
        if timeout is not None and not timeout >= 0:
            raise error("election_wait", Rc.BAD_TIMEOUT)
        until = math.inf if timeout is None else time.monotonic() + timeout
        where, has_waited = text(path), False

        def wait_a_while() -> bool:
            nonlocal has_waited
            left = milliseconds(min(nap, until - time.monotonic()))
            rc = self._library.election_wait(self._handle, where, cint(role), max(1, left))
            # If interrupt() did not interrupt the call, a signal handler did. The handler has run by now.
            is_by_signal = rc == Rc.INTERRUPTED and not self._is_interrupted
            if is_by_signal or (rc == Rc.OPERATIONTIMEOUT and time.monotonic() < until):
                has_waited = True
                return False
            # The library returns NOT_THERE to a call that waits when the handle is closed.
            check("election_wait", Rc.NOT_THERE if rc == Rc.BAD_HANDLE and has_waited else rc)
            return True

        return wait_a_while

    def _fenced_create(self, path: str, target: str, value: Value, timeout: float) -> Callable[[], int]:
        value = octets(value)
        return self._call("election_fenced_create", text(path), text(target), value, len(value), ms(timeout))

    def _fenced_set(
        self, path: str, target: str, value: Value, version: int, timeout: float
    ) -> Callable[[], int]:
        value, version = octets(value), cint(version, refused=-2)
        return self._call("election_fenced_set", text(path), text(target), value, len(value), version, ms(timeout))

    def _fenced_delete(self, path: str, target: str, version: int, timeout: float) -> Callable[[], int]:
        version = cint(version, refused=-2)
        return self._call("election_fenced_delete", text(path), text(target), version, ms(timeout))

    def _call(self, function: str, *arguments: Any) -> Callable[[], int]:
        call, handle = getattr(self._library, function), self._handle
        return lambda: check(function, call(handle, *arguments))

    def _members(self, path: str, timeout: float) -> Callable[[], list[Member]]:
        where, left = text(path), ms(timeout)

        def ask() -> list[Member]:
            members, on_member = to_members()
            check("election_members", self._library.election_members(self._handle, where, on_member, None, left))
            return members

        return ask

    def _get_master(self, path: str, timeout: float) -> Callable[[], Master]:
        where, left = text(path), ms(timeout)

        def ask() -> Master:
            masters, on_master = to_master()
            rc = self._library.election_get_master(self._handle, where, on_master, None, left)
            check("election_get_master", rc)
            return masters[0]

        return ask

    def _dump(self) -> dict[str, Any]:
        described: dict[str, Any] = json.loads(self._dump_as(DumpFormat.JSON))
        return described

    def _dump_text(self) -> str:
        return self._dump_as(DumpFormat.TEXT)

    def _dump_as(self, format: DumpFormat) -> str:
        dump = c_void_p()
        check("election_dump", self._library.election_dump(self._handle, format, ctypes.byref(dump)))
        try:
            return ctypes.string_at(dump.value or 0).decode()
        finally:
            self._library.election_dump_free(dump)


# The signals that an instruction of a thread raises on that thread.
_FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS}


@contextlib.contextmanager
def no_signals() -> Iterator[None]:
    """Hold signals back while the library may call listeners on this thread. If a signal handler raised in a listener,
    its exception would be lost, and the event with it. In a program with other threads, those block the signals, too:
    otherwise one of them takes the signal, and Python runs its handler here."""
    former = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - _FAULTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def cint(number: int, refused: int = -1) -> int:
    """The number if it fits C's int, else `refused`, which the library refuses. ctypes would cut a larger number."""
    return number if c_int(number).value == number else refused


def milliseconds(seconds: float) -> int:
    """The time in whole milliseconds, rounded up; the inexactness of floats adds nothing. If `seconds` is not a time: a
    number that the library refuses."""
    if not math.isfinite(seconds):
        return -1
    return cint(math.ceil(round(seconds * 1000, 6)))


ms = milliseconds


def text(string: str) -> bytes:
    if not isinstance(string, str):
        raise TypeError(f"a str is needed, not {type(string).__name__}")
    if "\0" in string:
        raise ValueError("a 0 byte would end the text in C")
    return string.encode("utf-8", "surrogateescape")


def octets(value: Value) -> bytes:
    try:
        return value if isinstance(value, bytes) else memoryview(value).tobytes()
    except TypeError:
        raise TypeError(f"bytes, a bytearray or a memoryview is needed, not {type(value).__name__}") from None
