"""AsyncElection: an Election in the loop of asyncio."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Callable, Generic, Optional, TypeVar

from election._callbacks import Connection, Event, Master, Mastership, Member, Members, _Listener
from election._handle import Watch
from election._numbers import Dispatch, Rc
from election._session import ElectionError, _Session


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
