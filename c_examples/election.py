"""Master election on Apache ZooKeeper: a ctypes binding of libelection, and the program election.cpp with it.

The program is that of "使用zookeeper实现分布式master选举(c 接口版本)" (seed 000). Python 3.9 or later, the standard
library only.

    python3 election.py 10.0.0.1        in one terminal
    python3 election.py 10.0.0.2        in another; then end the first with Enter, Ctrl-C or kill -9

The binding is the class Election; a program that copies this file uses it like this:

    with Election("127.0.0.1:2181") as election:
        election.go_to_election("/master", b"10.0.0.1", lambda event: print(event.role.name))
        election.wait("/master", Role.MASTER)
        while election.is_master("/master"):
            do_a_piece_of_work()

In a program on asyncio it is AsyncElection: no thread, the events come in the loop.

    async with AsyncElection("127.0.0.1:2181") as election:
        async for event in election.roles("/master", b"10.0.0.1"):
            print(event.role.name)
"""

from __future__ import annotations

import argparse
import asyncio
import atexit
import ctypes
import enum
import itertools
import os
import select
import signal
import sys
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_int64, c_size_t, c_void_p
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
    LAPSED, GRACE, STRANGER, DENIED = range(10, 14)


class Rc(Open):
    OK, CONNECTIONLOSS, UNIMPLEMENTED, OPERATIONTIMEOUT, BADARGUMENTS = 0, -4, -6, -7, -8
    NONODE, NOAUTH, BADVERSION, NOCHILDRENFOREPHEMERALS, NODEEXISTS = -101, -102, -103, -108, -110
    NOTEMPTY, SESSIONEXPIRED, INVALIDACL, AUTHFAILED, CLOSING = -111, -112, -114, -115, -116
    QUOTAEXCEEDED, THROTTLEDOP = -125, -127
    BAD_HANDLE, BAD_HOSTS, BAD_OPTIONS, BAD_TIMEOUT, BAD_PATH = range(-1001, -1006, -1)
    BAD_VALUE, BAD_CALLBACK, BAD_RESULT, BAD_RECIPE, ALREADY = range(-1006, -1011, -1)
    NOT_THERE, IN_CALLBACK, NOT_EPHEMERAL, RESIGNED, NO_RESOURCES = range(-1011, -1016, -1)
    INTERNAL, LAPSED, GRACE, STRANGER, NOT_MASTER = range(-1016, -1021, -1)
    STALE_TOKEN, BAD_GRADE, FORKED, NOT_MANUAL, BAD_ROLE, BAD_DISPATCH = range(-1021, -1027, -1)
    BAD_VERIFIER, BAD_COUNT = -1027, -1028
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


election_role_fn = CFUNCTYPE(None, POINTER(election_event_t), c_void_p)
election_master_fn = CFUNCTYPE(None, POINTER(election_master_t), c_void_p)
election_members_fn = CFUNCTYPE(None, POINTER(election_members_t), c_void_p)
election_member_fn = CFUNCTYPE(None, POINTER(election_member_t), c_void_p)
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
    "election_options_set_lease_grade": (c_int, [_options_p, c_int]),
    "election_options_set_lease_margin_ms": (c_int, [_options_p, c_int]),
    "election_options_set_tick_ms": (c_int, [_options_p, c_int]),
    "election_options_add_auth": (c_int, [_options_p, c_char_p, c_char_p, c_size_t]),
    "election_options_set_acl": (c_int, [_options_p, c_int]),
    "election_options_add_acl": (c_int, [_options_p, c_int, c_char_p, c_char_p]),
    "election_open": (c_int, [c_char_p, _options_p, POINTER(_handle_p)]),
    "election_close": (c_int, [_handle_p]),
    "go_to_election": (c_int, [_handle_p, c_char_p, c_char_p, c_size_t, election_role_fn, c_void_p, election_free_fn]),
    "election_set_value": (c_int, [_handle_p, c_char_p, c_char_p, c_size_t]),
    "election_resign": (c_int, [_handle_p, c_char_p]),
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
    "election_watch_members": (
        c_int,
        [_handle_p, c_char_p, c_int, election_members_fn, c_void_p, election_free_fn],
    ),
    "election_unwatch_members": (c_int, [_handle_p, c_char_p]),
    "election_verifier_new": (_verifier_p, [c_int64]),
    "election_verifier_free": (None, [_verifier_p]),
    "election_verifier_admit": (c_int, [_verifier_p, c_int64]),
    "election_verifier_highest": (c_int64, [_verifier_p]),
    "watch_master": (c_int, [_handle_p, c_char_p, election_master_fn, c_void_p, election_free_fn]),
    "election_unwatch_master": (c_int, [_handle_p, c_char_p]),
}


def load(path: Optional[str] = None) -> ctypes.CDLL:
    """Load the library: from `path`, $ELECTION_LIB, the source tree around this file, or as the system does."""
    built = Path(__file__).resolve().parent.parent / "target" / "release" / "libelection.so"
    path = path or os.environ.get("ELECTION_LIB") or (str(built) if built.exists() else "libelection.so.0")
    library = ctypes.CDLL(path)  # CDLL and not PyDLL: a call that waits lets go of the interpreter
    for name, (restype, argtypes) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = restype, argtypes
    return library


# ---- Callbacks: one C function of each kind for all; ctx is the number of the Python function to call --------------------


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


class Mastership(NamedTuple):
    """What election_lease tells a master: the token, to be sent along with each write, and how long it lasts."""

    token: int
    left_ns: int


_callbacks: dict[int, Callable[[Any], None]] = {}  # until free_ctx
_numbers = itertools.count(1)  # not 0, which would be NULL


@election_role_fn
def _on_role(event: Any, ctx: int) -> None:
    e = event.contents
    value = ctypes.string_at(e.value, e.value_len)
    _callbacks[ctx](Event(e.path.decode(), Role(e.role), Reason(e.reason), Rc(e.rc), value, e.token))


@election_master_fn
def _on_master(master: Any, ctx: int) -> None:
    m = master.contents
    value = ctypes.string_at(m.value, m.value_len)
    _callbacks[ctx](Master(m.path.decode(), Rc(m.rc), value, m.token, m.session_id, m.since_ms))


def _member(m: Any) -> Member:
    return Member(m.name.decode(), ctypes.string_at(m.value, m.value_len), m.token, m.session_id, m.since_ms)


@election_member_fn
def _on_member(member: Any, ctx: int) -> None:
    _callbacks[ctx](_member(member.contents))


@election_members_fn
def _on_members(members: Any, ctx: int) -> None:
    m = members.contents
    each = [_member(m.members[at].contents) for at in range(m.count)]
    _callbacks[ctx](Members(m.path.decode(), Rc(m.rc), each, Alarm(m.alarm)))


@election_free_fn
def _free_ctx(ctx: int) -> None:
    callback = _callbacks.pop(ctx)
    if isinstance(callback, Feed):
        callback.end()


# ---- The binding -----------------------------------------------------------------------------------------------


class ElectionError(Exception):
    """A function of the library returned `rc`."""

    def __init__(self, rc: int, text: str) -> None:
        super().__init__(text)
        self.rc = Rc(rc)


class Election:
    """One session with ZooKeeper, and the elections on it. The header has the rules for each method.

    Callbacks run on a thread of the library's, or in dispatch(). One that is not closed is closed when the
    interpreter exits. In a child of os.fork() it is inert: is_master() is False, the others raise Rc.FORKED, and
    close() does nothing.
    """

    def __init__(
        self,
        hosts: str,
        session_timeout_ms: int = 10_000,
        connect_timeout_ms: int = 0,
        *,
        recipe: int = Recipe.NODE,
        grace_ms: int = 0,
        lease_grade: int = Lease.COMMITTED,
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
                "lease_grade": lease_grade,
                "lease_margin_ms": lease_margin_ms,
                "tick_ms": tick_ms,
                "dispatch": dispatch,
                "acl": acl,
            }.items():
                self._check(getattr(self._library, f"election_options_set_{name}")(options, _int(number)))
            for scheme, secret in auth:
                add_auth = self._library.election_options_add_auth
                self._check(add_auth(options, _text(scheme), secret, len(secret)))
            for permissions, scheme, id_ in more_acl:
                add_acl = self._library.election_options_add_acl
                self._check(add_acl(options, _int(permissions), _text(scheme), _text(id_)))
            self._check(self._library.election_open(_text(hosts), options, ctypes.byref(self._handle)))
        finally:
            self._library.election_options_free(options)
        atexit.register(self.close)

    def go_to_election(self, path: str, value: bytes = b"", on_role: Callable[[Event], None] = lambda _: None) -> None:
        self._register(on_role, self._library.go_to_election, _text(path), value, len(value), _on_role)

    def set_value(self, path: str, value: bytes) -> None:
        """Stand with another value from now on."""
        self._check(self._library.election_set_value(self._handle, _text(path), value, len(value)))

    def resign(self, path: str) -> None:
        self._check(self._library.election_resign(self._handle, _text(path)))

    def is_master(self, path: str) -> bool:
        return bool(self._library.election_is_master(self._handle, _text(path)))

    def lease(self, path: str) -> Optional[Mastership]:
        """The mastership at `path`; None when this is not master."""
        token, left_ns = c_int64(), c_int64()
        is_master = self._library.election_lease(self._handle, _text(path), token, left_ns)
        return Mastership(token.value, left_ns.value) if is_master else None

    def wait(self, path: str, role: int, timeout_ms: int = 3_600_000) -> None:
        """Wait for a role; raises Rc.OPERATIONTIMEOUT when it does not come in time."""
        self._check(self._library.election_wait(self._handle, _text(path), _int(role), _int(timeout_ms)))

    def fenced_create(self, path: str, target: str, value: bytes = b"", timeout_ms: int = 10_000) -> None:
        create = self._library.election_fenced_create
        self._check(create(self._handle, _text(path), _text(target), value, len(value), _int(timeout_ms)))

    def fenced_set(
        self, path: str, target: str, value: bytes, version: int = -1, timeout_ms: int = 10_000
    ) -> None:
        set_, version = self._library.election_fenced_set, _int(version, refused=-2)
        self._check(set_(self._handle, _text(path), _text(target), value, len(value), version, _int(timeout_ms)))

    def fenced_delete(self, path: str, target: str, version: int = -1, timeout_ms: int = 10_000) -> None:
        delete, version = self._library.election_fenced_delete, _int(version, refused=-2)
        self._check(delete(self._handle, _text(path), _text(target), version, _int(timeout_ms)))

    def members(self, path: str, timeout_ms: int = 10_000) -> list[Member]:
        """Who stands at `path`, the master first."""
        return self._ask(self._library.election_members, path, _on_member, timeout_ms)

    def get_master(self, path: str, timeout_ms: int = 10_000) -> Master:
        """Who is master at `path`, asked once; `rc` is Rc.NONODE when there is none."""
        masters: list[Master] = self._ask(self._library.election_get_master, path, _on_master, timeout_ms)
        return masters[0]

    def fileno(self) -> int:
        """The descriptor that is readable while callbacks wait for dispatch(): for select, selectors and asyncio."""
        fd: int = self._library.election_fd(self._handle)
        if fd < 0:
            self._check(fd)
        return fd

    def dispatch(self, timeout_ms: int = 0) -> int:
        """Run the callbacks that wait, here; when there are none, wait for one. Returns how many were passed on."""
        told: int = self._library.election_dispatch(self._handle, _int(timeout_ms))
        if told < 0:
            self._check(told)
        return told

    def watch_master(self, path: str, on_master: Callable[[Master], None]) -> None:
        self._register(on_master, self._library.watch_master, _text(path), _on_master)

    def unwatch_master(self, path: str) -> None:
        self._check(self._library.election_unwatch_master(self._handle, _text(path)))

    def watch_members(self, path: str, on_members: Callable[[Members], None], enough: int = 0) -> None:
        enough = _int(enough)
        self._register(on_members, self._library.election_watch_members, _text(path), enough, _on_members)

    def unwatch_members(self, path: str) -> None:
        self._check(self._library.election_unwatch_members(self._handle, _text(path)))

    def close(self) -> bool:
        """Close; a second time does nothing. Returns whether a server confirmed the end of the session."""
        rc: int = self._library.election_close(self._handle)
        if rc not in (Rc.OK, Rc.CONNECTIONLOSS, Rc.BAD_HANDLE, Rc.FORKED):
            self._check(rc)
        atexit.unregister(self.close)
        return rc in (Rc.OK, Rc.BAD_HANDLE)

    def __enter__(self) -> Election:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def strerror(self, rc: int) -> str:
        return str(self._library.election_strerror(rc).decode())

    def _check(self, rc: int) -> None:
        if rc != Rc.OK:
            raise ElectionError(rc, self.strerror(rc))

    def _ask(self, function: Any, path: str, on_answer: Any, timeout_ms: int) -> list[Any]:
        told: list[Any] = []
        number = next(_numbers)
        _callbacks[number] = told.append
        try:
            self._check(function(self._handle, _text(path), on_answer, number, _int(timeout_ms)))
        finally:
            del _callbacks[number]
        return told

    def _register(self, callback: Callable[[Any], None], function: Any, *arguments: Any) -> None:
        number = next(_numbers)
        _callbacks[number] = callback
        rc = function(self._handle, *arguments, number, _free_ctx)
        if rc != Rc.OK:
            del _callbacks[number]  # nothing happened: it is still ours
            self._check(rc)


T = TypeVar("T")


class Feed(Generic[T]):
    """What one call of AsyncElection hears, until it hears no more."""

    def __init__(self) -> None:
        self._heard: asyncio.Queue[Optional[T]] = asyncio.Queue()

    def __call__(self, event: T) -> None:
        self._heard.put_nowait(event)

    def end(self) -> None:
        self._heard.put_nowait(None)

    def __aiter__(self) -> Feed[T]:
        return self

    async def __anext__(self) -> T:
        event = await self._heard.get()
        if event is None:
            self.end()  # for whoever asks again
            raise StopAsyncIteration
        return event


class AsyncElection(Election):
    """An Election whose callbacks run in the asyncio loop, between `async with` and its end.

    What waits for a server (members, get_master, the fenced writes, wait) belongs on another thread: asyncio.to_thread. So does
    nothing else; close() takes as long as the server needs to confirm it, 2 s at most.
    """

    def __init__(self, hosts: str, session_timeout_ms: int = 10_000, **options: Any) -> None:
        super().__init__(hosts, session_timeout_ms, dispatch=Dispatch.MANUAL, **options)

    def roles(self, path: str, value: bytes = b"") -> Feed[Event]:
        """Stand at `path`, at once. The events end when it resigned or was closed."""
        events: Feed[Event] = Feed()
        self.go_to_election(path, value, events)
        return events

    def masters(self, path: str) -> Feed[Master]:
        """Watch who is master at `path`, at once. The news end with unwatch_master, or when it was closed."""
        news: Feed[Master] = Feed()
        self.watch_master(path, news)
        return news

    def memberships(self, path: str, enough: int = 0) -> Feed[Members]:
        """Watch who is in at `path`, at once. The news end with unwatch_members, or when it was closed."""
        news: Feed[Members] = Feed()
        self.watch_members(path, news, enough)
        return news

    async def __aenter__(self) -> AsyncElection:
        asyncio.get_running_loop().add_reader(self.fileno(), self.dispatch)
        return self

    async def __aexit__(self, *exception: object) -> None:
        asyncio.get_running_loop().remove_reader(self.fileno())
        self.close()


class Verifier:
    """Refuses the tokens of old masters, on the side that is written to."""

    def __init__(self, highest: int = 0, library: Optional[ctypes.CDLL] = None) -> None:
        self._library = library or load()
        self._verifier = self._library.election_verifier_new(highest)

    def admit(self, token: int) -> bool:
        """Whether a write with this token may be taken."""
        rc: int = self._library.election_verifier_admit(self._verifier, token)
        return rc == Rc.OK

    @property
    def highest(self) -> int:
        """The highest token seen, to be stored with what was written."""
        return int(self._library.election_verifier_highest(self._verifier))

    def __del__(self) -> None:
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
