"""Election: one session with ZooKeeper, for a program with threads or with a loop of its own."""

from __future__ import annotations

import collections
import contextlib
import functools
import os
import queue
import select
import threading
import time
from types import MappingProxyType
from typing import Any, Callable, Iterable, Mapping, Optional, TypeVar

from election import _workers
from election._callbacks import Connection, Event, Lease, Listener, Master, Member, Members
from election._errors import ElectionError, check, error
from election._lead import Leading, Leadership
from election._numbers import Acl, Dispatch, LeaseMode, Rc, Recipe, Role
from election._session import AclEntry, Options, Session, Value

Self = TypeVar("Self", bound="Watch")
T = TypeVar("T")


class Election(Session):
    """One session with ZooKeeper, and the elections on it. election.h has the rules for each method.

    Callbacks run on a thread of the library, or with Dispatch.MANUAL in dispatch(). With Dispatch.LOOP, dispatch() does
    the work of the session as well, and the library has no thread. A call that waits does so on a thread of this module in
    each case. A signal handler that raises, such as that of Ctrl-C, ends each call that waits.

    Close it, or use it in a `with`. If the program drops an open Election, Python's garbage collector closes it, with a
    ResourceWarning. If an Election is still open when the interpreter exits, it is closed then. In a child of os.fork()
    the Election of the parent does nothing: is_master() is False, the other methods raise Rc.FORKED, and close() does
    nothing. The child may open an Election of its own.
    """

    def __init__(
        self,
        hosts: str,
        *,
        session_timeout: float = 10.0,
        connect_timeout: Optional[float] = None,
        recipe: Recipe = Recipe.NODE,
        grace: float = 0.0,
        lease_mode: LeaseMode = LeaseMode.COMMITTED,
        lease_margin: float = 0.0,
        tick: float = 0.0,
        dispatch: Dispatch = Dispatch.THREAD,
        auth: Iterable[tuple[str, Value]] = (),
        acl: Acl = Acl.OPEN,
        acl_entries: Iterable[AclEntry] = (),
        tls: Optional[str] = None,
        tls_verify_host: bool = True,
        frame_limit_bytes: int = 4_194_304,
        sasl: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Open a session, in the background unless `connect_timeout` is given. Times are in seconds."""
        if dispatch not in (Dispatch.THREAD, Dispatch.MANUAL, Dispatch.LOOP):
            raise error("election_options_set_dispatch", Rc.BAD_DISPATCH)
        of_library = Dispatch.LOOP if dispatch == Dispatch.LOOP else Dispatch.THREAD
        times = session_timeout, connect_timeout, recipe, grace, lease_mode, lease_margin, tick
        super().__init__(hosts, Options(*times, auth, acl, acl_entries, tls, tls_verify_host, frame_limit_bytes, sasl, of_library))
        self._queue = None if dispatch == Dispatch.THREAD else Queue()
        self._leaders: list[int] = []
        if self._open_here():
            self._fill_queue()
            return
        opening = _workers.Call(self._opening())
        try:
            opening.start().wait()
        except Exception:
            raise
        except BaseException:
            self._abandon(opening)
            raise
        self._fill_queue()

    def _fill_queue(self) -> None:
        if self._queue and self._options.dispatch == Dispatch.LOOP:
            fd = check("election_fd", self._library.election_fd(self._handle))
            self._queue.filled_by(self._turn, fd)

    def go_to_election(
        self, path: str, value: Value = b"", on_role: Callable[[Event], object] = lambda _: None
    ) -> Candidacy:
        """Stand at `path`. A `with` of the result resigns at its end. Without a `with` this stands until resign()."""
        self._stand(path, value, self._listener(on_role))
        return Candidacy(self, path)

    def wait(self, path: str, role: Role, timeout: Optional[float] = None) -> None:
        """Wait for a role. Raises ElectionTimeoutError if it does not come in `timeout` seconds. None: no timeout."""
        wait_a_while = self._waiting(path, role, timeout, _workers.NAP)
        while not wait_a_while():
            pass

    def lead(
        self, path: str, value: Value, function: Callable[[Leadership], T], timeout: Optional[float] = None
    ) -> T:
        """Stand at `path`, wait for mastership, call `function` while master, and resign when it has returned.

        `function` calls Leadership.should_stop often, or waits by wait_stop, and returns when it should stop. An
        exception ends `function` as well. Returns the result of `function`. Raises NotMasterError with
        Rc.LEADERSHIP_LOST if the mastership ended before `function` did. Raises ElectionTimeoutError if the mastership
        does not begin within `timeout` seconds.
        """
        begun = queue.SimpleQueue[Optional[Leadership]]()
        leading = Leading(self, path, value, timeout, begun.put)
        call, end = _workers.Call(leading.run, lambda: begun.put(None)), leading.end
        try:
            call.start()
            leadership = _get(begun)
        except BaseException:
            leading.abandon(call.is_done)
            call.settle()
            raise
        try:
            self._leaders.append(threading.get_ident())
            if leadership:
                returned = function(leadership)
        finally:
            end()
            with contextlib.suppress(ValueError):
                self._leaders.remove(threading.get_ident())
            # When the caller receives the exception, this candidate has resigned, and the next candidate may lead.
            call.settle()
        call.wait()
        return returned

    def interrupt(self) -> None:
        """End every call that waits, in any thread, by ElectionInterruptedError. Tell the function that lead() runs to
        stop. This lasts until clear_interrupt(). A signal handler may call it."""
        super().interrupt()
        if self._queue:
            self._queue.ring()

    def fenced_create(self, path: str, target: str, value: Value = b"", timeout: float = 10.0) -> None:
        _workers.run(self._fenced_create(path, target, value, timeout))

    def fenced_set(self, path: str, target: str, value: Value, version: int = -1, timeout: float = 10.0) -> None:
        _workers.run(self._fenced_set(path, target, value, version, timeout))

    def fenced_delete(self, path: str, target: str, version: int = -1, timeout: float = 10.0) -> None:
        _workers.run(self._fenced_delete(path, target, version, timeout))

    def members(self, path: str, timeout: float = 10.0) -> list[Member]:
        """The candidates that stand at `path`, the master first."""
        return _workers.run(self._members(path, timeout))

    def get_master(self, path: str, timeout: float = 10.0) -> Master:
        """Ask once for the master at `path`. `rc` is Rc.NONODE if there is no master."""
        return _workers.run(self._get_master(path, timeout))

    def watch_master(self, path: str, on_master: Callable[[Master], object]) -> Watch:
        """Watch the master. A `with` of the result ends the watch. Without a `with` it lasts until unwatch_master()."""
        self._watch_master(path, self._listener(on_master))
        return Watch(lambda: self.unwatch_master(path))

    def watch_members(self, path: str, on_members: Callable[[Members], object], enough: int = 0) -> Watch:
        """Watch the members, with an alarm if fewer than `enough` stand. As watch_master, until unwatch_members()."""
        self._watch_members(path, enough, self._listener(on_members))
        return Watch(lambda: self.unwatch_members(path))

    def watch_connection(self, on_connection: Callable[[Connection], object]) -> Watch:
        """Watch the connection. As watch_master, until unwatch_connection()."""
        self._watch_connection(self._listener(on_connection))
        return Watch(self.unwatch_connection)

    def dump(self) -> dict[str, Any]:
        """The state, the beliefs and the last actions of this handle."""
        return _workers.run(self._dump)

    def dump_text(self) -> str:
        """The same as text for people."""
        return _workers.run(self._dump_text)

    def fileno(self) -> int:
        """The descriptor that is readable while dispatch() has something to do: for select and selectors."""
        return self._of_program("election_fd").fileno()

    def dispatch(self, timeout: float = 0.0) -> int:
        """Run the callbacks that wait, on this thread. If none waits, wait for one. Returns how many ran. With
        Dispatch.LOOP, do the work of the session first.

        An exception of a callback is raised here. The callbacks after it run in the next dispatch.
        """
        return self._of_program("election_dispatch").dispatch(timeout, lambda: self._is_interrupted)

    def wait_finished(self, timeout: float) -> None:
        """Wait until the last callback of every resigned candidate and every ended watch has returned.

        With Dispatch.MANUAL and Dispatch.LOOP, this runs the callbacks that wait to be dispatched.
        """
        if self._queue and self._queue.is_dispatching_here():
            raise error("election_wait_finished", Rc.IN_CALLBACK)
        finishing = self._finishing(timeout)
        # Ctrl-C comes only to the main thread. On another thread this may be a callback, which cannot wait for itself.
        is_main = threading.current_thread() is threading.main_thread()
        _workers.run(finishing) if is_main else finishing()
        if self._queue:
            self._queue.dispatch(0.0, lambda: False)

    def close(self) -> bool:
        """Close; a second call does nothing. Returns whether a server confirmed the end of the session."""
        is_dispatching = self._queue and self._queue.is_dispatching_here()
        if is_dispatching or threading.get_ident() in self._leaders:
            raise error("election_close", Rc.IN_CALLBACK)
        closing = self._closing()
        # Ctrl-C comes only to the main thread. On another thread this may be a callback, which cannot close its handle.
        is_main = threading.current_thread() is threading.main_thread()
        is_confirmed = _workers.run(closing) if is_main else closing()
        if self._queue:
            self._queue.close()
        return is_confirmed

    def __enter__(self) -> Election:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _listener(self, hear: Callable[[Any], object]) -> Listener:
        return Listener(hear) if self._queue is None else Listener(functools.partial(self._queue.put, hear))

    def _of_program(self, function: str) -> Queue:
        if self._pid != os.getpid():
            raise error(function, Rc.FORKED)
        if not self._queue:
            raise error(function, Rc.NOT_MANUAL)
        return self._queue


def _get(begun: queue.SimpleQueue[Optional[Leadership]]) -> Optional[Leadership]:
    while True:
        try:
            return begun.get(timeout=_workers.NAP)
        except queue.Empty:
            pass


class Queue:
    """The callbacks that wait for dispatch(), and a descriptor that is readable while one waits.

    The library has such a queue as well. Its callbacks would run inside a C function on the caller's thread. If a
    signal handler raised there, its exception would be lost, and the event with it.
    """

    _readable = -1
    _either: Optional[select.epoll] = None

    def __init__(self) -> None:
        self._fill: Callable[[], None] = lambda: None
        self._news: collections.deque[tuple[Callable[[Any], object], Any]] = collections.deque()
        self._readable, self._ringer = os.pipe()
        os.set_blocking(self._readable, False)
        os.set_blocking(self._ringer, False)
        self._one_at_a_time = threading.RLock()
        self._inside: Optional[int] = None

    def filled_by(self, fill: Callable[[], None], fd: int) -> None:
        """Call `fill` before each look at the queue; it has something to do when `fd` is readable."""
        self._fill, self._either = fill, select.epoll()
        for readable in (fd, self._readable):
            self._either.register(readable, select.EPOLLIN)

    def fileno(self) -> int:
        if self._readable < 0:
            raise error("election_fd", Rc.BAD_HANDLE)
        return self._readable if self._either is None else self._either.fileno()

    def put(self, hear: Callable[[Any], object], news: Any) -> None:
        self._news.append((hear, news))
        self.ring()

    def ring(self) -> None:
        try:
            os.write(self._ringer, b"!")
        except BlockingIOError:
            pass  # it is readable

    def is_dispatching_here(self) -> bool:
        return self._inside == threading.get_ident()

    def dispatch(self, timeout: float, is_interrupted: Callable[[], bool]) -> int:
        if self.is_dispatching_here():
            raise error("election_dispatch", Rc.IN_CALLBACK)
        if not 0 <= timeout <= 3600:
            raise error("election_dispatch", Rc.BAD_TIMEOUT)
        until = time.monotonic() + timeout
        while True:
            readable = self.fileno()
            count = self._run()
            left = until - time.monotonic()
            if count or left <= 0:
                return count
            if is_interrupted():
                raise error("election_dispatch", Rc.INTERRUPTED)
            poll = select.poll()
            poll.register(readable, select.POLLIN)
            poll.poll(min(left, _workers.NAP) * 1000)

    def _run(self) -> int:
        count = 0
        with self._one_at_a_time:
            try:
                # Before the queue is read: an event that comes later makes the descriptor readable again.
                os.read(self._readable, 4096)
            except BlockingIOError:
                pass
            try:
                self._inside = threading.get_ident()
                self._fill()
                while self._news:
                    hear, news = self._news.popleft()
                    count += 1
                    hear(news)
            finally:
                self._inside = None
                if self._news:
                    self.ring()
        return count

    def close(self) -> None:
        """Run the last callbacks. No callback is added after this."""
        if self._readable >= 0:
            self._fill = lambda: None
            self._run()
            self.__del__()

    def __del__(self) -> None:
        readable, self._readable = self._readable, -1
        if readable >= 0:
            os.close(readable)
            os.close(self._ringer)
        if self._either is not None:
            self._either.close()


class Watch:
    """A watch or a candidacy that a `with` ends. If it has ended already, or the handle is closed, the `with` does
    nothing."""

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


class Candidacy(Watch):
    """A candidate that stands at a path: the methods of Election, for that path."""

    def __init__(self, election: Election, path: str) -> None:
        super().__init__(lambda: election.resign(path))
        self.election, self.path = election, path

    def resign(self) -> None:
        self.election.resign(self.path)

    def set_value(self, value: Value) -> None:
        self.election.set_value(self.path, value)

    def is_master(self) -> bool:
        return self.election.is_master(self.path)

    def lease(self) -> Optional[Lease]:
        return self.election.lease(self.path)

    def wait(self, role: Role, timeout: Optional[float] = None) -> None:
        self.election.wait(self.path, role, timeout)
