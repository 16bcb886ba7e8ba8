"""AsyncElection: an Election in the loop of asyncio. Nothing blocks the loop.

With Dispatch.LOOP the loop also does the work of the session, when the descriptor of the library is readable."""

from __future__ import annotations

import asyncio
import os
import weakref
from types import MappingProxyType
from typing import Any, Callable, Coroutine, Generic, Iterable, Mapping, Optional, TypeVar

from election import _workers
from election._callbacks import Connection, Event, Lease, Listener, Master, Member, Members
from election._errors import check, error
from election._handle import Watch
from election._lead import Leading, Leadership
from election._numbers import Acl, Dispatch, LeaseMode, Rc, Recipe, Role
from election._session import AclEntry, Options, Session, Value
from election._waiting import InLoop, Waiting, call_in

T = TypeVar("T")

# The longest time that a wait continues in its thread after it was cancelled.
LINGERING = 0.5


class Feed(Watch, Generic[T]):
    """The events of one call, for `async for`, from the call that made it until the last event. A `with` of the feed
    ends what that call began. A task that is cancelled while it waits for the next event loses no event.

    If more than 16 events wait for the task, or 4 MiB of values, those that a later one makes out of date are left out: see
    election.h. A task that comes back late sees the latest state, and the end of each mastership that it has seen."""

    def __init__(self, end: Callable[[], None]) -> None:
        super().__init__(end)
        self._waiting = waiting = Waiting[T]()
        self._listener = Listener(waiting.put, waiting.end)

    def __aiter__(self) -> Feed[T]:
        return self

    async def __anext__(self) -> T:
        return await self._waiting.next()


class Roles(Feed[Event]):
    """The roles of a candidate, and the methods of AsyncElection for its path."""

    def __init__(self, election: AsyncElection, path: str) -> None:
        super().__init__(lambda: election.resign(path))
        self.election, self.path = election, path

    async def wait(self, role: Role) -> Event:
        """Receive roles until this one comes. Raises an error with Rc.NOT_THERE if no more roles come."""
        async for event in self:
            if event.role == role:
                return event
        raise error("wait", Rc.NOT_THERE)

    def resign(self) -> None:
        self.election.resign(self.path)

    def set_value(self, value: Value) -> None:
        self.election.set_value(self.path, value)

    def is_master(self) -> bool:
        return self.election.is_master(self.path)

    def lease(self) -> Optional[Lease]:
        return self.election.lease(self.path)


class AsyncElection(Session):
    """An Election in the asyncio loop. It is open inside `async with`, or between open() and close(). Callbacks run in
    the loop.

    A call that waits does so on a thread of this module, also if the loop's executor is busy. A task that is cancelled
    while it waits does not receive the answer, so it does not know whether a fenced write was done.
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
        auth: Iterable[tuple[str, Value]] = (),
        acl: Acl = Acl.OPEN,
        acl_entries: Iterable[AclEntry] = (),
        tls: Optional[str] = None,
        tls_verify_host: bool = True,
        frame_limit_bytes: int = 4_194_304,
        sasl: Mapping[str, str] = MappingProxyType({}),
        dispatch: Dispatch = Dispatch.THREAD,
    ) -> None:
        """This opens nothing yet. The options are those of Election. With Dispatch.LOOP the loop does the work of the
        session, and the library has no thread. A loop that is blocked for long loses the lease."""
        if dispatch not in (Dispatch.THREAD, Dispatch.LOOP):
            raise error("election_options_set_dispatch", Rc.BAD_DISPATCH)
        times = session_timeout, connect_timeout, recipe, grace, lease_mode, lease_margin, tick
        super().__init__(hosts, Options(*times, auth, acl, acl_entries, tls, tls_verify_host, frame_limit_bytes, sasl, dispatch))
        self._leaders: list[asyncio.Task[Any]] = []
        self._reader: Optional[tuple[asyncio.AbstractEventLoop, int]] = None

    async def open(self) -> None:
        """Open the session. With a connect timeout, wait for the connection. If this is cancelled, it closes the
        session again."""
        if self.handle:
            raise error("election_open", Rc.ALREADY)
        if not self._open_here():
            opening, opened = _start(self._opening())
            try:
                await opened
            except asyncio.CancelledError:
                self._abandon(opening)
                raise
        if self._options.dispatch == Dispatch.LOOP:
            loop, fd = asyncio.get_running_loop(), check("election_fd", self._library.election_fd(self._handle))
            # Not a reference to this: if the program drops this, it is closed.
            loop.add_reader(fd, _turn, weakref.ref(self))
            self._reader = loop, fd

    def _stop_reading(self) -> None:
        """Before the library closes the descriptor."""
        reader, self._reader = self._reader, None
        if reader and not reader[0].is_closed():
            reader[0].remove_reader(reader[1])

    def __del__(self) -> None:
        if getattr(self, "_reader", None) and self._pid == os.getpid():
            self._stop_reading()
        super().__del__()

    def roles(self, path: str, value: Value = b"") -> Roles:
        """Stand at `path`, at once. The events end when the candidate has resigned or the handle is closed."""
        roles = Roles(self, path)
        self._stand(path, value, _in_loop(roles._listener))
        return roles

    def masters(self, path: str) -> Feed[Master]:
        """Watch the master at `path`, at once. The events end after unwatch_master, or when the handle is closed."""
        masters: Feed[Master] = Feed(lambda: self.unwatch_master(path))
        self._watch_master(path, _in_loop(masters._listener))
        return masters

    def memberships(self, path: str, enough: int = 0) -> Feed[Members]:
        """Watch the members at `path`, at once. The events end after unwatch_members, or when the handle is closed."""
        memberships: Feed[Members] = Feed(lambda: self.unwatch_members(path))
        self._watch_members(path, enough, _in_loop(memberships._listener))
        return memberships

    def connections(self) -> Feed[Connection]:
        """Watch the connection, at once. The events end after unwatch_connection, or when the handle is closed."""
        connections: Feed[Connection] = Feed(self.unwatch_connection)
        self._watch_connection(_in_loop(connections._listener))
        return connections

    def go_to_election(
        self, path: str, value: Value = b"", on_role: Callable[[Event], object] = lambda _: None
    ) -> None:
        """Stand at `path`, with a callback."""
        self._stand(path, value, _in_loop(Listener(on_role)))

    def watch_master(self, path: str, on_master: Callable[[Master], object]) -> None:
        """Watch the master at `path`, with a callback."""
        self._watch_master(path, _in_loop(Listener(on_master)))

    def watch_members(self, path: str, on_members: Callable[[Members], object], enough: int = 0) -> None:
        """Watch the members at `path`, with a callback."""
        self._watch_members(path, enough, _in_loop(Listener(on_members)))

    def watch_connection(self, on_connection: Callable[[Connection], object]) -> None:
        """Watch the connection, with a callback."""
        self._watch_connection(_in_loop(Listener(on_connection)))

    async def wait(self, path: str, role: Role, timeout: Optional[float] = None) -> None:
        """Wait for a role, as Election.wait does."""
        wait_a_while, is_over = self._waiting(path, role, timeout, LINGERING), False

        def wait() -> None:
            while not is_over and not wait_a_while():
                pass

        try:
            await _start(wait)[1]
        finally:
            is_over = True

    async def lead(
        self,
        path: str,
        value: Value,
        function: Callable[[Leadership], Coroutine[Any, Any, T]],
        timeout: Optional[float] = None,
    ) -> Optional[T]:
        """Stand at `path`, wait for mastership, run the coroutine `function` while master, and resign when it has
        ended.

        The coroutine is cancelled when it should stop: if the lease is about to end or has ended, if interrupt(),
        resign() or close() was called, or if this call is cancelled. The candidate resigns only after the coroutine has
        ended.

        Returns the result of the coroutine. Returns None if the coroutine was cancelled and the mastership lasted until
        the coroutine had ended. Raises NotMasterError with Rc.LEADERSHIP_LOST if the mastership had ended before.
        Raises ElectionTimeoutError if the mastership does not begin within `timeout` seconds.
        """
        loop = asyncio.get_running_loop()
        begun: asyncio.Future[Leadership] = loop.create_future()
        task: Optional[asyncio.Task[T]] = None
        is_told = False

        def begin(leadership: Leadership) -> None:
            if not begun.done():
                begun.set_result(leadership)

        def stop() -> None:
            nonlocal is_told
            if task and not task.done():
                is_told = True
                task.cancel()

        def begins(leadership: Leadership) -> None:
            call_in(loop, begin, leadership)

        leading = Leading(self, path, value, timeout, begins, lambda: call_in(loop, stop))
        call, ended = _start(leading.run)
        try:
            either: set[asyncio.Future[Any]] = {begun, ended}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            leading.abandon(call.is_done)
            await _outlast(ended)
            raise
        if not begun.done():
            begun.cancel()
            ended.result()  # it raises
        task = loop.create_task(function(begun.result()))
        self._leaders.append(task)
        if begun.result().should_stop():
            stop()
        is_cancelled = False
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            is_cancelled = True
            task.cancel()
        is_cancelled |= await _outlast(task)
        self._leaders.remove(task)
        leading.end()
        leading.resign()
        is_cancelled |= await _outlast(ended)
        if is_cancelled:
            raise asyncio.CancelledError
        if not task.cancelled() and task.exception():
            return task.result()  # it raises
        ended.result()
        return None if task.cancelled() and is_told else task.result()

    async def fenced_create(self, path: str, target: str, value: Value = b"", timeout: float = 10.0) -> None:
        await _start(self._fenced_create(path, target, value, timeout))[1]

    async def fenced_set(
        self, path: str, target: str, value: Value, version: int = -1, timeout: float = 10.0
    ) -> None:
        await _start(self._fenced_set(path, target, value, version, timeout))[1]

    async def fenced_delete(self, path: str, target: str, version: int = -1, timeout: float = 10.0) -> None:
        await _start(self._fenced_delete(path, target, version, timeout))[1]

    async def wait_finished(self, timeout: float) -> None:
        """Wait until the loop has received the last callback of every resigned candidate and every ended watch."""
        await _start(self._finishing(timeout))[1]

    async def members(self, path: str, timeout: float = 10.0) -> list[Member]:
        """The candidates that stand at `path`, the master first."""
        return await _start(self._members(path, timeout))[1]

    async def get_master(self, path: str, timeout: float = 10.0) -> Master:
        """Ask once for the master at `path`. `rc` is Rc.NONODE if there is no master."""
        return await _start(self._get_master(path, timeout))[1]

    async def dump(self) -> dict[str, Any]:
        """The state, the beliefs and the last actions of this handle."""
        return await _start(self._dump)[1]

    async def dump_text(self) -> str:
        """The same as text for people."""
        return await _start(self._dump_text)[1]

    async def close(self) -> bool:
        """Close; a second call does nothing. Returns whether a server confirmed the end of the session.

        The last callbacks have run in the loop when this returns, after 2 s at most. If this is cancelled, it still
        closes the handle first.
        """
        if asyncio.current_task() in self._leaders:
            raise error("election_close", Rc.IN_CALLBACK)
        self._stop_reading()
        closed = _start(self._closing())[1]
        try:
            return await asyncio.shield(closed)
        except asyncio.CancelledError:
            await asyncio.wait([closed])
            raise

    async def __aenter__(self) -> AsyncElection:
        await self.open()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()


def _turn(reference: weakref.ref[AsyncElection]) -> None:
    election = reference()
    if election:
        election._turn()


def _start(function: Callable[[], T]) -> tuple[_workers.Call[T], asyncio.Future[T]]:
    """Call a function that waits, on a thread. A future in the loop receives its result or exception."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def hear() -> None:
        if future.cancelled():
            return
        try:
            future.set_result(call.result())
        except BaseException as raised:
            future.set_exception(raised)

    call = _workers.Call(function, lambda: call_in(loop, hear))
    return call.start(), future


async def _outlast(future: asyncio.Future[Any]) -> bool:
    """Wait for a future, also if this is cancelled. Returns whether this was cancelled. Retrieves the exception of the
    future, if it has one."""
    is_cancelled = False
    while not future.done():
        try:
            await asyncio.wait({future})
        except asyncio.CancelledError:
            is_cancelled = True
    if not future.cancelled():
        future.exception()
    return is_cancelled


def _in_loop(listener: Listener) -> Listener:
    """A listener whose callbacks run in the loop."""
    in_loop = InLoop(asyncio.get_running_loop(), listener)
    return Listener(in_loop.put, in_loop.end)
