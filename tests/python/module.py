"""The module election as a program uses it: its errors, what ends by itself, what callbacks may do and how long they
are kept.

    module.py HOSTS ROOT SESSION_TIMEOUT
"""

import contextlib
import copy
import gc
import os
import pickle
import queue
import sys
import time
import warnings
import weakref
from pathlib import Path


def traces():
    """What an import could leave behind in the process; what it reads to import is closed again."""
    return os.listdir("/proc/self/fd"), os.listdir("/proc/self/task"), dict(os.environ), sys.path[:], os.getcwd()


import argparse, asyncio, atexit, ctypes, enum, itertools, select, signal, threading, typing  # noqa: E401, E402, F401

before = traces()
signals = [signal.getsignal(number) for number in range(1, 32)]
import election as module  # noqa: E402
from common import PATIENCE, check, raises  # noqa: E402
from election import _callbacks, _errors, _library  # noqa: E402
from election import Alarm, Dispatch, Election, ElectionError, Rc, Reason, Recipe, Role, Verifier  # noqa: E402

check(traces() == before and signals == [signal.getsignal(number) for number in range(1, 32)], "import does nothing")
check("libelection" not in Path("/proc/self/maps").read_text(), "nor does it load the library")



def errors(hosts, path, session_timeout):
    with raises(Rc.BAD_HOSTS, "election_open", ValueError):
        Election("")
    with raises(Rc.BAD_TIMEOUT, "election_options_set_session_timeout_ms"):
        Election(hosts, session_timeout=2**32 / 1000 + 5)
    for seconds in (float("nan"), float("inf"), -1.0):
        with raises(Rc.BAD_TIMEOUT, "election_options_set_session_timeout_ms", ValueError):
            Election(hosts, session_timeout=seconds)
    with raises(Rc.BAD_RECIPE, "election_options_set_recipe", ValueError):
        Election(hosts, recipe=99)
    with raises(Rc.BAD_DISPATCH, "election_options_set_dispatch", ValueError):
        Election(hosts, dispatch=99)
    with raises(Rc.OPERATIONTIMEOUT, "election_open", TimeoutError):
        Election("127.0.0.1:1", connect_timeout=0.05)
    with Election(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE) as election:
        with raises(Rc.BAD_PATH, "go_to_election"):
            election.go_to_election("relative")
        with raises(Rc.NOT_THERE, "election_resign"):
            election.resign(path)
        with raises(Rc.NOT_THERE, "election_wait"):
            election.wait(path, Role.MASTER)
        with raises(Rc.BAD_TIMEOUT, "election_wait", ValueError):
            election.wait(path, Role.MASTER, timeout=-1)
        with raises(Rc.NOT_MASTER, "election_fenced_set", module.NotMasterError):
            election.fenced_set(path, path, b"")
        with raises(Rc.NOT_MANUAL, "election_dispatch"):
            election.dispatch()
        for kind, call, *arguments in [
            (ValueError, election.go_to_election, "/cut\0short"),
            (TypeError, election.go_to_election, b"/bytes"),
            (TypeError, election.go_to_election, path, "text"),
            (TypeError, election.go_to_election, path, 5),
        ]:
            try:
                call(*arguments)
                check(False, arguments)
            except ElectionError as error:
                check(False, error)
            except kind:
                pass
    check(election.close(), "twice")
    with Election("127.0.0.1:1") as election:
        with raises(Rc.CONNECTIONLOSS, "election_members", ConnectionError):
            election.members(path, timeout=5)
    with raises(Rc.BAD_HANDLE, "election_members", ValueError):
        election.members(path)
    check(Rc(-4) is Rc.CONNECTIONLOSS and Rc(-9999).name == "-9999", "numbers of a later library")

    check(module.version().count(".") == 2)
    verifier = Verifier(7)
    check([verifier.admit(token) for token in (6, 7, 9, 8, 2**64 + 10)] == [False, True, True, False, False])
    check(verifier.highest == 9)
    try:
        Verifier(2**63)
        check(False)
    except OverflowError:
        pass


def error_classes(hosts, path, session_timeout):
    """Each is a class of Python's where it is that, and the same after a journey."""
    kinds = [
        (Rc.OPERATIONTIMEOUT, TimeoutError),
        (Rc.CONNECTIONLOSS, ConnectionError),
        (Rc.SESSIONEXPIRED, ConnectionError),
        (Rc.NOAUTH, PermissionError),
        (Rc.AUTHFAILED, PermissionError),
        (Rc.BAD_PATH, ValueError),
        (Rc.NOT_MASTER, module.NotMasterError),
        (Rc.ALREADY, ElectionError),
        (Rc(-9999), ElectionError),
    ]
    for rc, kind in kinds:
        error = _errors.error("election_function", rc)
        check(isinstance(error, kind) and isinstance(error, ElectionError), (rc, type(error)))
        check(isinstance(error, OSError) == (kind in (TimeoutError, ConnectionError, PermissionError)))
        error.note = "of the program"
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            for same in (copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error, protocol))):
                check(type(same) is type(error) and str(same) == str(error) and same.args == error.args, same)
                check((same.function, same.rc, same.note) == ("election_function", rc, "of the program"), vars(same))


def values(hosts, path, session_timeout):
    """A value is whatever holds bytes."""
    import array

    with Election(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE) as election:
        with election.go_to_election(path, bytearray(b"a\0b")) as candidacy:
            candidacy.wait(Role.MASTER, PATIENCE)
            for value in (b"bytes", bytearray(b"array"), memoryview(b"a view")[::2], array.array("H", [1, 2])):
                candidacy.set_value(value)
                while (master := election.get_master(path)).value != memoryview(value).tobytes():
                    check(master.rc is Rc.OK, master)
            election.fenced_create(path, path + "-target", memoryview(b"x"))
            election.fenced_set(path, path + "-target", bytearray(b"y"), 0)
            election.fenced_delete(path, path + "-target")


def times(hosts, path, session_timeout):
    """They are in seconds."""
    from election._session import milliseconds

    for seconds, expected in [(0, 0), (1, 1000), (0.1, 100), (16.1, 16100), (1.001, 1001), (0.0001, 1), (2.3, 2300)]:
        check(milliseconds(seconds) == expected, (seconds, milliseconds(seconds)))
    connections = queue.Queue()
    with Election(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE) as election:
        election.watch_connection(connections.put)
        check(connections.get(timeout=PATIENCE).session_timeout == session_timeout)
        with election.go_to_election(path) as candidacy:
            candidacy.wait(Role.MASTER, PATIENCE)
            check(0 < candidacy.lease().left < session_timeout)
            check(abs(election.get_master(path).since - time.time()) < PATIENCE)
            check(abs(election.members(path)[0].since - time.time()) < PATIENCE)
            began = time.monotonic()
            with raises(Rc.OPERATIONTIMEOUT, "election_wait", TimeoutError):
                candidacy.wait(Role.SLAVE, 0.3)
            check(0.3 <= time.monotonic() - began < PATIENCE)
            with raises(Rc.OPERATIONTIMEOUT, "election_wait", TimeoutError):
                candidacy.wait(Role.SLAVE, 0)
        check(0 < election.counters().callback_longest < PATIENCE)


def ends(hosts, path, session_timeout):
    """What a `with` began it ends, also when something is raised in it, or it was ended before."""
    events, news = queue.Queue(), queue.Queue()
    with Election(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE, recipe=Recipe.QUEUE) as election:
        try:
            with election.watch_master(path, news.put), election.go_to_election(path, b"x", events.put) as candidacy:
                candidacy.wait(Role.MASTER, PATIENCE)
                check(candidacy.path == path and candidacy.is_master() and candidacy.lease().left > 0)
                check([member.value for member in election.members(path)] == [b"x"])
                raise KeyError
        except KeyError:
            pass
        check(not candidacy.is_master() and candidacy.lease() is None)
        with raises(Rc.NOT_THERE, "election_unwatch_master"):
            election.unwatch_master(path)
        check(events.get(timeout=PATIENCE).role is Role.MASTER)
        check(events.get(timeout=PATIENCE).reason is Reason.RESIGNED)
        with election.go_to_election(path) as candidacy:
            candidacy.resign()
        with election.go_to_election(path):
            election.close()
    check(events.empty())


def observe(hosts, path, session_timeout):
    """Who is in, with an alarm; one's own value; who is master, asked once."""
    news = queue.Queue()
    with Election(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE, recipe=Recipe.QUEUE) as election:
        check(election.get_master(path).rc is Rc.NONODE)
        with election.watch_members(path, news.put, enough=1):
            members = news.get(timeout=PATIENCE)
            check((members.path, members.rc, members.members, members.alarm) == (path, Rc.OK, [], Alarm.TOO_FEW))
            with election.go_to_election(path, b"x") as candidacy:
                members = news.get(timeout=PATIENCE)
                check([member.value for member in members.members] == [b"x"] and members.alarm is Alarm.ENOUGH)
                candidacy.wait(Role.MASTER, PATIENCE)
                candidacy.set_value(b"y")
                members = news.get(timeout=PATIENCE)
                check([member.value for member in members.members] == [b"y"] and members.alarm is Alarm.NONE)
                master = election.get_master(path)
                check((master.rc, master.value, master.token) == (Rc.OK, b"y", candidacy.lease().token))
            check(news.get(timeout=PATIENCE).alarm is Alarm.TOO_FEW)
        with raises(Rc.NOT_THERE, "election_unwatch_members"):
            election.unwatch_members(path)
        with raises(Rc.NOT_THERE, "election_set_value"):
            election.set_value(path, b"")
        with raises(Rc.BAD_COUNT, "election_watch_members"):
            election.watch_members(path, print, -1)


def exceptions(hosts, path, session_timeout):
    """One in a callback is told to the interpreter's hook, and the next callback comes all the same."""
    told, reasons = queue.Queue(), []
    kept_hook, sys.unraisablehook = sys.unraisablehook, lambda told_of: told.put(told_of.exc_type)

    def on_role(event):
        reasons.append(event.reason)
        raise LookupError("of the program")

    with Election(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE) as election:
        with election.go_to_election(path, b"", on_role) as candidacy:
            candidacy.wait(Role.MASTER, PATIENCE)
    check(reasons == [Reason.ELECTED, Reason.RESIGNED], reasons)
    check([told.get(timeout=PATIENCE) for _ in reasons] == [LookupError, LookupError] and told.empty())
    sys.unraisablehook = kept_hook


def dispatching(hosts, path, session_timeout):
    """Callbacks run where the program dispatches; what they raise is raised there, and the others come next time."""
    import select
    import threading

    events, masters = [], []

    def on_role(event):
        check(threading.current_thread() is threading.main_thread())
        events.append(event)
        with raises(Rc.IN_CALLBACK, "election_close"):
            election.close()
        with raises(Rc.IN_CALLBACK, "election_dispatch"):
            election.dispatch()
        raise LookupError("of the program")

    def dispatch():
        try:
            election.dispatch(PATIENCE)
        except LookupError:
            return True
        return False

    with Election(hosts, session_timeout=session_timeout, dispatch=Dispatch.MANUAL) as election:
        check(election.dispatch() == 0 and select.select([election], [], [], 0)[0] == [])
        election.go_to_election(path, b"", on_role)
        election.wait(path, Role.MASTER, PATIENCE)
        check(not events, "before it is dispatched")
        check(select.select([election], [], [], PATIENCE)[0] == [election])
        check(dispatch() and events[0].role is Role.MASTER)
        election.watch_master(path, masters.append)
        election.resign(path)
        while len(events) == 1:
            dispatch()
        while not masters or masters[-1].rc is not Rc.NONODE:
            check(not dispatch())
        # Two that wait, of which the first raises: the second waits on, and the descriptor says so.
        election.go_to_election(path, b"", on_role)
        election.wait(path, Role.MASTER, PATIENCE)
        while len(masters) < 2 and election._queue._news:
            with contextlib.suppress(LookupError):
                election.dispatch()
        while len(election._queue._news) < 1:
            time.sleep(0.001)
        check(select.select([election], [], [], PATIENCE)[0] == [election])
        election.unwatch_master(path)
        with contextlib.suppress(LookupError):
            election.dispatch()
        for bad in (-1, float("nan"), 3601):
            with raises(Rc.BAD_TIMEOUT, "election_dispatch"):
                election.dispatch(bad)
        election.resign(path)
        while events[-1].reason is not Reason.RESIGNED or len(events) < 4:
            dispatch()
        # What has resigned is over when this returns.
        others = []
        election.go_to_election(path + "-other", b"", others.append)
        election.resign(path + "-other")
        election.wait_finished(PATIENCE)
        check(others[-1].reason is Reason.RESIGNED and not election._listeners, others)
    check([event.reason for event in events] == [Reason.ELECTED, Reason.RESIGNED] * 2, events)
    with raises(Rc.BAD_HANDLE, "election_fd", ValueError):
        election.fileno()


def looping(hosts, path, session_timeout):
    """The program's loop does the work of the session, and the library has no thread."""
    import select

    events, masters = [], []

    def on_role(event):
        events.append(event)
        if event.reason is not Reason.CLOSED:
            raise LookupError("of the program")

    def turn_until(has_come):
        began = time.monotonic()
        while not has_come():
            check(time.monotonic() - began < PATIENCE)
            if select.select([election], [], [], 1)[0]:
                with contextlib.suppress(LookupError):
                    election.dispatch()

    def threads():
        return len(os.listdir("/proc/self/task"))

    before = threads()
    with Election(hosts, session_timeout=session_timeout, dispatch=Dispatch.LOOP) as election:
        election.go_to_election(path, b"", on_role)
        turn_until(lambda: events)
        check(events[0].role is Role.MASTER and election.is_master(path))
        election.watch_master(path, masters.append)
        turn_until(lambda: masters and masters[-1].rc is Rc.OK)
        # It stays master for as long as the loop goes on.
        until = time.monotonic() + session_timeout * 1.5
        turn_until(lambda: time.monotonic() > until)
        check(election.is_master(path) and len(events) == 1, events)
        check(threads() == before, threads())
        # A call that waits does the work as well; callbacks wait for dispatch().
        check([member.value for member in election.members(path)] == [b""])
        election.resign(path)
        while election.get_master(path).rc is not Rc.NONODE:
            pass
        check(len(events) == 1, events)
        turn_until(lambda: len(events) == 2)
        # Two that wait, of which the first raises: the second waits on, and the descriptor says so.
        others = []
        election.go_to_election(path, b"", on_role)
        election.go_to_election(path + "-other", b"", others.append)
        election.wait(path + "-other", Role.MASTER, PATIENCE)
        election.wait(path, Role.MASTER, PATIENCE)
        turn_until(lambda: len(events) == 3)
        turn_until(lambda: others)
        election.resign(path + "-other")
        election.wait_finished(PATIENCE)
        check(others[-1].reason is Reason.RESIGNED, others)
        check(election.lead(path + "-lead", b"", lambda leadership: leadership.token) > 0)
    check([event.reason for event in events][-1] is Reason.CLOSED, events)
    with raises(Rc.BAD_HANDLE, "election_fd", ValueError):
        election.fileno()


def lifetimes(hosts, path, session_timeout):
    """A callback is kept until the last call, and no longer; one that was refused is not kept at all."""

    class Callback:
        def __init__(self):
            self.calls = 0

        def __call__(self, news):
            self.calls += 1

    def listen(call):
        callback = Callback()
        with contextlib.suppress(ElectionError):
            call(callback)
        return weakref.ref(callback)

    def is_alive(reference):
        gc.collect()
        return reference() is not None

    with Election(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE) as election:
        stands = listen(lambda callback: election.go_to_election(path, b"", callback))
        refused = listen(lambda callback: election.go_to_election(path, b"", callback))
        watches = listen(lambda callback: election.watch_master(path, callback))
        election.wait(path, Role.MASTER, PATIENCE)
        check(is_alive(stands) and is_alive(watches) and not is_alive(refused))
        check(len(_callbacks._listeners) == 2, _callbacks._listeners)
    check(not is_alive(stands) and not is_alive(watches) and not _callbacks._listeners)

    # In a callback there is all to be had, save to close.
    inside = queue.Queue()

    def on_role(event):
        with raises(Rc.IN_CALLBACK, "election_close"):
            election.close()
        inside.put(election.lease(path))

    with Election(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE) as election:
        election.go_to_election(path, b"", on_role)
        check(inside.get(timeout=PATIENCE).token > 0)


def children(hosts, path, session_timeout):
    """A program that a callback starts is ended by the signals that end programs."""
    import signal
    import subprocess

    for options in ({}, {"connect_timeout": PATIENCE}):
        started = queue.Queue()

        def on_role(event):
            if event.role is Role.MASTER:
                started.put((subprocess.Popen(["sleep", "60"]), signal.pthread_sigmask(signal.SIG_BLOCK, ())))

        with Election(hosts, session_timeout=session_timeout, **options) as election:
            with election.go_to_election(path, b"", on_role):
                child, mask = started.get(timeout=PATIENCE)
                child.terminate()
                check(child.wait(PATIENCE) == -signal.SIGTERM and mask == set(), mask)


def quick(hosts, path, session_timeout):
    """What only looks does not give up the interpreter, which busy threads take tens of milliseconds to give back; what may
    wait does."""
    import ctypes

    keeps = ctypes.PyDLL(None)._FuncPtr._flags_ & ~ctypes.CDLL(None)._FuncPtr._flags_
    functions = _library.library()
    for function in (functions.election_is_master, functions.election_lease, functions.election_should_stop):
        check(function._flags_ & keeps)
    for function in (functions.election_wait, functions.election_close, functions.election_dump):
        check(not function._flags_ & keeps)


def forgotten(hosts, path, session_timeout):
    """A handle that nobody has any more is closed, with a warning; also when its callbacks know it."""
    witness = Election(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE)

    def forget(**options):
        election = Election(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE, **options)
        election.go_to_election(path, b"forgotten", lambda event: election.is_master(path))
        election.watch_master(path, lambda master: election.lease(path))
        election.wait(path, Role.MASTER, PATIENCE)

    for options in ({}, {"dispatch": Dispatch.MANUAL}, {"dispatch": Dispatch.LOOP}):
        descriptors = len(os.listdir("/proc/self/fd"))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            forget(**options)
            began = time.monotonic()
            while not caught:
                check(time.monotonic() - began < PATIENCE)
                gc.collect()
            check([warning.category for warning in caught] == [ResourceWarning], caught)
            check(f"unclosed Election for {hosts}" in str(caught[0].message), caught[0].message)
        began = time.monotonic()
        while witness.get_master(path).rc is not Rc.NONODE:
            check(time.monotonic() - began < session_timeout / 2, "before the session expires")
        while _callbacks._listeners or len(os.listdir("/proc/self/fd")) > descriptors:
            check(time.monotonic() - began < PATIENCE, _callbacks._listeners)
    check(witness.close())


if __name__ == "__main__":
    hosts, root, session_timeout = sys.argv[1:]
    for test in (errors, error_classes, values, times, ends, observe, exceptions, dispatching, looping, lifetimes, children, quick, forgotten):
        test(hosts, f"{root}/{test.__name__}", float(session_timeout))
