"""Threads for calls that wait.

Python runs signal handlers on the main thread alone, and never while that thread is inside a C function. So a thread of
this file makes each call that waits. The caller waits for the answer in Python, and Ctrl-C ends that wait at once. In
an asyncio program the loop continues meanwhile, also if the loop's own executor is busy.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Callable, Generic, Optional, TypeVar

T = TypeVar("T")

MOST_IDLE = 4
# A signal that comes just before the main thread begins to wait does not end that wait. So each wait is short.
NAP = 0.25


class _Thread:
    """A thread that is started for a task, and runs other tasks afterwards."""

    def __init__(self, task: Callable[[], None]) -> None:
        self.task: Optional[Callable[[], None]] = task
        self._wake = threading.Lock()
        self._wake.acquire()

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True, name="election").start()

    def wake(self, task: Callable[[], None]) -> None:
        self.task = task
        self._wake.release()

    def _run(self) -> None:
        # The threads of the program handle the signals.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            if self.task:
                self.task()
            self.task = None
            if len(_idle) >= MOST_IDLE:
                return
            _idle.append(self)
            self._wake.acquire()


_idle: list[_Thread] = []
os.register_at_fork(after_in_child=_idle.clear)  # a child has none of these threads


def start(task: Callable[[], None]) -> None:
    """Let a thread run a task. Raises RuntimeError if no thread can be made, for example if the interpreter exits."""
    try:
        thread = _idle.pop()
    except IndexError:
        _Thread(task).start()
    else:
        thread.wake(task)


class Call(Generic[T]):
    """A function that is called on another thread. It may raise only Exceptions."""

    def __init__(self, function: Callable[[], T], done: Callable[[], None] = lambda: None) -> None:
        self._function, self._done = function, done
        self._result: list[T] = []
        self._error: Optional[BaseException] = None
        self._running = threading.Lock()
        self._running.acquire()

    def start(self) -> Call[T]:
        start(self._run)
        return self

    def wait(self) -> T:
        """Wait for the function. Return its result, or raise its exception."""
        nap = NAP if threading.current_thread() is threading.main_thread() else -1
        while not self._running.acquire(timeout=nap):
            pass
        self._running.release()  # for other callers of wait()
        return self.result()

    def settle(self) -> None:
        """Wait for the function, and ignore its result and its exception."""
        try:
            self.wait()
        except Exception:
            pass

    def is_done(self) -> bool:
        return bool(self._result or self._error)

    def result(self) -> T:
        if self._error:
            raise self._error
        return self._result[0]

    def _run(self) -> None:
        try:
            self._result.append(self._function())
        except BaseException as error:
            self._error = error
        finally:
            self._running.release()
            self._done()


def run(function: Callable[[], T]) -> T:
    """Call a function that waits. A Python signal handler can end this call; the function then continues."""
    try:
        call = Call(function).start()
    except RuntimeError:
        return function()  # no thread can be started when the interpreter exits
    return call.wait()
