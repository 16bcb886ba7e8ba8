"""The module election as a program uses it: its errors, what ends by itself, what callbacks may do and how long they
are kept.

    module.py LIBRARY HOSTS ROOT SESSION_TIMEOUT_MS
"""

import contextlib
import gc
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path


def check(holds, what=""):
    if not holds:
        caller = sys._getframe(1)
        raise SystemExit(f"{caller.f_code.co_filename}:{caller.f_lineno}: does not hold {what}")


def traces():
    """What an import could leave behind in the process; what it reads to import is closed again."""
    return os.listdir("/proc/self/fd"), os.listdir("/proc/self/task"), dict(os.environ), sys.path[:], os.getcwd()


import argparse, asyncio, atexit, ctypes, enum, itertools, select, signal, threading, typing  # noqa: E401, E402, F401

before = traces()
signals = [signal.getsignal(number) for number in range(1, 32)]
import election as module  # noqa: E402
from election import _callbacks  # noqa: E402
from election import Alarm, Dispatch, Election, ElectionError, Rc, Reason, Recipe, Role, Verifier  # noqa: E402

check(traces() == before and signals == [signal.getsignal(number) for number in range(1, 32)], "import does nothing")
check("libelection" not in Path("/proc/self/maps").read_text(), "nor does it load the library")

PATIENCE_S = 30
PATIENCE_MS = PATIENCE_S * 1000


@contextlib.contextmanager
def raises(rc, function):
    try:
        yield
    except ElectionError as error:
        check(error.rc is rc and error.function == function, (error.rc, error.function))
        check(str(error).startswith(f"{function}: ") and len(str(error)) > len(function) + 10, error)
    else:
        check(False, f"{rc.name} is raised")


def errors(library, hosts, path, session_timeout_ms):
    with raises(Rc.BAD_HOSTS, "election_open"):
        Election("", library=library)
    with raises(Rc.BAD_TIMEOUT, "election_options_set_session_timeout_ms"):
        Election(hosts, 2**32 + 5000, library=library)
    with raises(Rc.BAD_RECIPE, "election_options_set_recipe"):
        Election(hosts, recipe=99, library=library)
    with Election(hosts, session_timeout_ms, PATIENCE_MS, library=library) as election:
        with raises(Rc.BAD_PATH, "go_to_election"):
            election.go_to_election("relative")
        with raises(Rc.NOT_THERE, "election_resign"):
            election.resign(path)
        with raises(Rc.NOT_MASTER, "election_fenced_set"):
            election.fenced_set(path, path, b"")
        with raises(Rc.NOT_MANUAL, "election_dispatch"):
            election.dispatch()
        try:
            election.go_to_election("/cut\0short")
            check(False)
        except ValueError:
            pass
    check(election.close(), "twice")
    with raises(Rc.BAD_HANDLE, "election_members"):
        election.members(path)
    check(Rc(-4) is Rc.CONNECTIONLOSS and Rc(-9999).name == "-9999", "numbers of a later library")

    check(module.version(library).count(".") == 2)
    verifier = Verifier(7, library)
    check([verifier.admit(token) for token in (6, 7, 9, 8, 2**64 + 10)] == [False, True, True, False, False])
    check(verifier.highest == 9)
    try:
        Verifier(2**63, library)
        check(False)
    except OverflowError:
        pass


def ends(library, hosts, path, session_timeout_ms):
    """What a `with` began it ends, also when something is raised in it, or it was ended before."""
    events, news = queue.Queue(), queue.Queue()
    with Election(hosts, session_timeout_ms, PATIENCE_MS, recipe=Recipe.QUEUE, library=library) as election:
        try:
            with election.watch_master(path, news.put), election.go_to_election(path, b"x", events.put) as candidacy:
                candidacy.wait(Role.MASTER, PATIENCE_MS)
                check(candidacy.path == path and candidacy.is_master() and candidacy.lease().left_ns > 0)
                check([member.value for member in election.members(path)] == [b"x"])
                raise KeyError
        except KeyError:
            pass
        check(not candidacy.is_master() and candidacy.lease() is None)
        with raises(Rc.NOT_THERE, "election_unwatch_master"):
            election.unwatch_master(path)
        check(events.get(timeout=PATIENCE_S).role is Role.MASTER)
        check(events.get(timeout=PATIENCE_S).reason is Reason.RESIGNED)
        with election.go_to_election(path) as candidacy:
            candidacy.resign()
        with election.go_to_election(path):
            election.close()
    check(events.empty())


def observe(library, hosts, path, session_timeout_ms):
    """Who is in, with an alarm; one's own value; who is master, asked once."""
    news = queue.Queue()
    with Election(hosts, session_timeout_ms, PATIENCE_MS, recipe=Recipe.QUEUE, library=library) as election:
        check(election.get_master(path).rc is Rc.NONODE)
        with election.watch_members(path, news.put, enough=1):
            members = news.get(timeout=PATIENCE_S)
            check((members.path, members.rc, members.members, members.alarm) == (path, Rc.OK, [], Alarm.TOO_FEW))
            with election.go_to_election(path, b"x") as candidacy:
                members = news.get(timeout=PATIENCE_S)
                check([member.value for member in members.members] == [b"x"] and members.alarm is Alarm.ENOUGH)
                candidacy.wait(Role.MASTER, PATIENCE_MS)
                candidacy.set_value(b"y")
                members = news.get(timeout=PATIENCE_S)
                check([member.value for member in members.members] == [b"y"] and members.alarm is Alarm.NONE)
                master = election.get_master(path)
                check((master.rc, master.value, master.token) == (Rc.OK, b"y", candidacy.lease().token))
            check(news.get(timeout=PATIENCE_S).alarm is Alarm.TOO_FEW)
        with raises(Rc.NOT_THERE, "election_unwatch_members"):
            election.unwatch_members(path)
        with raises(Rc.NOT_THERE, "election_set_value"):
            election.set_value(path, b"")
        with raises(Rc.BAD_COUNT, "election_watch_members"):
            election.watch_members(path, print, -1)


def exceptions(library, hosts, path, session_timeout_ms):
    """One in a callback is told to the interpreter's hook, and the next callback comes all the same."""
    told, reasons = queue.Queue(), []
    kept_hook, sys.unraisablehook = sys.unraisablehook, lambda told_of: told.put(told_of.exc_type)

    def on_role(event):
        reasons.append(event.reason)
        raise LookupError("of the program")

    for dispatch in Dispatch:
        with Election(hosts, session_timeout_ms, PATIENCE_MS, dispatch=dispatch, library=library) as election:
            with election.go_to_election(path, b"", on_role) as candidacy:
                candidacy.wait(Role.MASTER, PATIENCE_MS)
                if dispatch is Dispatch.MANUAL:
                    check(election.dispatch(PATIENCE_MS) == 1)
        check(reasons == [Reason.ELECTED, Reason.RESIGNED], reasons)
        check([told.get(timeout=PATIENCE_S) for _ in reasons] == [LookupError, LookupError] and told.empty())
        reasons.clear()
    sys.unraisablehook = kept_hook


def lifetimes(library, hosts, path, session_timeout_ms):
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

    with Election(hosts, session_timeout_ms, PATIENCE_MS, library=library) as election:
        stands = listen(lambda callback: election.go_to_election(path, b"", callback))
        refused = listen(lambda callback: election.go_to_election(path, b"", callback))
        watches = listen(lambda callback: election.watch_master(path, callback))
        election.wait(path, Role.MASTER, PATIENCE_MS)
        check(is_alive(stands) and is_alive(watches) and not is_alive(refused))
        check(len(_callbacks._listeners) == 2)
    check(not is_alive(stands) and not is_alive(watches) and not _callbacks._listeners)

    # In a callback there is all to be had, save to close.
    inside = queue.Queue()

    def on_role(event):
        with raises(Rc.IN_CALLBACK, "election_close"):
            election.close()
        inside.put(election.lease(path))

    with Election(hosts, session_timeout_ms, PATIENCE_MS, library=library) as election:
        election.go_to_election(path, b"", on_role)
        check(inside.get(timeout=PATIENCE_S).token > 0)


def by_name(library_path):
    """Where the library is found."""

    def run(*arguments, **environment):
        python = [sys.executable, "-B", "-W", "error", "-X", "dev"]
        return subprocess.run(
            [*python, *arguments], env={**os.environ, **environment}, capture_output=True, text=True, timeout=PATIENCE_S
        )

    which = """if True:
        import election
        election.load()
        with open("/proc/self/maps") as maps:
            print(*{line.split()[-1] for line in maps if "libelection" in line})
    """
    named = run("-c", which, ELECTION_LIB=library_path)
    check(named.stdout.strip() == str(Path(library_path).resolve()), named)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(Path(module.__file__).parent, f"{folder}/election")
        shutil.copy(library_path, f"{folder}/election/libelection.so.0")
        within = run("-c", which, PYTHONPATH=folder)
        check(within.stdout.strip() == f"{os.path.realpath(folder)}/election/libelection.so.0", within)
    missing = run("-c", which, ELECTION_LIB="/nowhere.so")
    check(missing.returncode != 0 and "OSError: /nowhere.so" in missing.stderr, missing)


if __name__ == "__main__":
    library_path, hosts, root, session_timeout_ms = sys.argv[1:]
    library = module.load(library_path)
    for test in (errors, ends, observe, exceptions, lifetimes):
        test(library, hosts, f"{root}/{test.__name__}", int(session_timeout_ms))
    by_name(library_path)
