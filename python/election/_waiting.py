"""Events that wait for the loop of asyncio, or for a task. Like the library's own queue, this one is bounded: if more than 16
events of one call wait, or 4 MiB of values, it leaves out those that a later one makes out of date, the oldest first."""

from __future__ import annotations

import asyncio
from typing import Any, Callable, Generic, Optional, TypeVar

from election._callbacks import Event, Listener, Master, Members
from election._numbers import Alarm, Role

T = TypeVar("T")

# The maximum number of events that wait, and of bytes in their values if more than one waits.
EVENTS = 16
VALUES = 4 << 20


def is_master(event: Any) -> bool:
    return isinstance(event, Event) and event.role is Role.MASTER


def leave_out(events: list[Any], follows_master: bool) -> None:
    """Remove the events that are out of date, if too many wait. `follows_master`: whether the event before the first of them
    was MASTER. What stays: the latest event; the event after each MASTER that stays, which is its end; an alarm, unless the
    opposite one is left out, too."""
    while len(events) > 1 and (len(events) > EVENTS or sum(map(_size, events)) > VALUES):
        at = _out_of_date(events, follows_master)
        if at is None:
            return
        following = _next_alarm(events, at)
        if isinstance(events[at], Members) and events[at].alarm is not Alarm.NONE and following is not None:
            events[following] = events[following]._replace(alarm=Alarm.NONE)
        del events[at]


def _out_of_date(events: list[Any], follows_master: bool) -> Optional[int]:
    first_master = first_alarm = None
    for at, event in enumerate(events[:-1]):
        if is_master(event):
            first_master = at if first_master is None else first_master
        elif isinstance(event, Members) and event.alarm is not Alarm.NONE:
            first_alarm = at if first_alarm is None else first_alarm
        elif not follows_master:
            return at
        follows_master = is_master(event)
    if first_master is not None:
        return first_master
    return first_alarm if first_alarm is not None and _next_alarm(events, first_alarm) is not None else None


def _next_alarm(events: list[Any], after: int) -> Optional[int]:
    """The next alarm after this event. It is the opposite one."""
    for at in range(after + 1, len(events)):
        if isinstance(events[at], Members) and events[at].alarm is not Alarm.NONE:
            return at
    return None


def _size(event: Any) -> int:
    if isinstance(event, (Event, Master)):
        return len(event.value)
    if isinstance(event, Members):
        return sum(len(member.name) + len(member.value) for member in event.members)
    return 0


class Waiting(Generic[T]):
    """The events that wait for a task. All of this runs in the loop."""

    def __init__(self) -> None:
        self._events: list[T] = []
        self._follows_master = self._is_over = False
        self._came = asyncio.Event()

    def put(self, event: T) -> None:
        self._events.append(event)
        leave_out(self._events, self._follows_master)
        self._came.set()

    def end(self) -> None:
        self._is_over = True
        self._came.set()

    def __len__(self) -> int:
        return len(self._events)

    async def next(self) -> T:
        """Wait for the next event. Raises StopAsyncIteration after the last one."""
        while not self._events:
            if self._is_over:
                raise StopAsyncIteration
            self._came.clear()
            await self._came.wait()
        event = self._events.pop(0)
        self._follows_master = is_master(event)
        return event


class InLoop:
    """Calls a listener in the loop. The library calls `put` and `end`, one at a time, on any thread.

    There is no lock, which a finalizer on the loop's thread could wait for: whoever takes the list out of the box has it
    alone, and that is one operation of the interpreter.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, listener: Listener) -> None:
        self._loop, self._listener = loop, listener
        self._box: list[list[Any]] = []
        # Taken out of the box, and not told yet.
        self._taken: list[Any] = []
        self._is_scheduled = self._is_over = False
        # Of the last event that came, and of the one before the first that waits.
        self._is_master = self._follows_master = False

    def put(self, event: Any) -> None:
        try:
            events = self._box.pop()
        except IndexError:
            events, self._follows_master = [], self._is_master
        events.append(event)
        self._is_master = is_master(event)
        leave_out(events, self._follows_master)
        self._box.append(events)
        self._schedule()

    def end(self) -> None:
        self._is_over = True
        self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            call_in(self._loop, self._deliver)

    def _deliver(self) -> None:
        # First: what is put from now on schedules this again.
        self._is_scheduled = False
        is_over = self._is_over
        try:
            self._taken += self._box.pop()
        except IndexError:
            pass
        # All at once, before anything that the loop is told after them.
        while self._taken:
            try:
                self._listener.hear(self._taken.pop(0))
            except BaseException:
                # The loop handles it. The other events come all the same.
                self._loop.call_soon(self._deliver)
                raise
        if is_over and self._is_over:
            self._is_over = False
            self._listener.end()


def call_in(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *news: Any) -> None:
    try:
        loop.call_soon_threadsafe(function, *news)
    except RuntimeError:
        pass  # the loop is closed: nothing can run the function
