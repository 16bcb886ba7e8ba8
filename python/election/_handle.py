"""Election: one session with ZooKeeper, for a program with threads or with a loop of its own."""

from __future__ import annotations

from typing import Callable, Optional, TypeVar

from election._callbacks import Connection, Event, Master, Mastership, Member, Members, _Listener
from election._numbers import Rc
from election._session import ElectionError, _int, _Session, _text


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
