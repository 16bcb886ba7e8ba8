"""Ctrl-C at any instant: each call that waits ends at once, and the module is as whole as before.

    interrupts.py HOSTS ROOT SESSION_TIMEOUT [SEED [COUNT]]
"""

import queue
import random
import signal
import sys
import threading
import time

from common import PATIENCE, check
from election import Dispatch, Election, ElectionError, Rc, Role, _callbacks, _workers

# What a test gives a call to hear a signal. A slow machine takes a while; what is wrong takes as long as the call does.
AT_ONCE = PATIENCE / 6


def each_wait(hosts, path, session_timeout):
    """Each call that waits for long hears Ctrl-C at once; a handler that raises nothing does not end it."""
    hears = []

    def end_by_signal(call):
        main = threading.get_ident()
        began = []

        def send():
            signal.pthread_kill(main, signal.SIGUSR1)
            time.sleep(0.1)
            began.append(time.monotonic())
            signal.pthread_kill(main, signal.SIGINT)

        timer = threading.Timer(0.2, send)
        timer.start()
        heard = len(hears)
        try:
            call()
            check(False, "it waits")
        except KeyboardInterrupt:
            took = time.monotonic() - began[0]
        timer.join()
        check(len(hears) == heard + 1, "the other handler ran")
        check(took < AT_ONCE, took)

    signal.signal(signal.SIGUSR1, lambda *_: hears.append(True))
    end_by_signal(lambda: Election("127.0.0.1:1", connect_timeout=PATIENCE))
    with Election(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE) as master:
        master.go_to_election(path, b"master")
        master.wait(path, Role.MASTER, PATIENCE)
        for dispatch in (Dispatch.MANUAL, Dispatch.LOOP):
            with Election(hosts, session_timeout=session_timeout, dispatch=dispatch) as election:
                candidacy = election.go_to_election(path, b"slave")
                candidacy.wait(Role.SLAVE, PATIENCE)
                while election.dispatch(0.5):
                    pass
                end_by_signal(lambda: candidacy.wait(Role.MASTER))
                end_by_signal(lambda: candidacy.wait(Role.MASTER, 3 * 3600.0))
                end_by_signal(lambda: election.dispatch(PATIENCE))
                # As one that was not interrupted.
                master.resign(path)
                candidacy.wait(Role.MASTER, PATIENCE)
            master.go_to_election(path, b"master")
            master.wait(path, Role.MASTER, PATIENCE)
    with Election("127.0.0.1:1") as nobody:
        nobody.go_to_election(path)
        end_by_signal(lambda: nobody.wait(path, Role.MASTER))
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)


def at_any_instant(hosts, path, session_timeout, seed, count):
    """Whatever was interrupted wherever: what stands is heard of, what does not stand is not kept."""
    drawn = random.Random(seed)
    unraisable = []
    sys.unraisablehook = lambda told: unraisable.append((told.exc_type, told.err_msg, told.object))
    main, armed, stop = threading.get_ident(), queue.SimpleQueue(), threading.Event()
    interrupted = []

    def interrupter():
        while (seconds := armed.get()) is not None:
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                pass
            signal.pthread_kill(main, signal.SIGINT)

    def handler(*_):
        if stop.is_set():
            return
        interrupted.append(True)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, handler)
    thread = threading.Thread(target=interrupter, daemon=True)
    thread.start()
    for dispatch in Dispatch:
        election = Election(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE, dispatch=dispatch)
        for round_ in range(count):
            where = f"{path}/{dispatch.name}-{round_}"
            events = []
            armed.put(drawn.uniform(0, drawn.choice([0.0002, 0.001, 0.005])))
            sent = len(interrupted)
            try:
                try:
                    with election.go_to_election(where, b"x", events.append) as candidacy:
                        candidacy.is_master(), candidacy.lease()
                        candidacy.wait(Role.MASTER, PATIENCE)
                        election.members(where)
                        if dispatch is not Dispatch.THREAD:
                            election.dispatch(PATIENCE)
                        election.dump()
                        while True:
                            candidacy.wait(Role.SLAVE, 0.01)
                except ElectionError as error:
                    check(error.rc is Rc.OPERATIONTIMEOUT, error)
                while len(interrupted) == sent:
                    time.sleep(0.0001)
            except KeyboardInterrupt:
                pass
            # Whether it stands: then it is heard of.
            try:
                election.resign(where)
                is_standing = True
            except ElectionError as error:
                check(error.rc is Rc.NOT_THERE, error)
                is_standing = bool(events)
            began = time.monotonic()
            while is_standing and not (events and events[-1].rc is Rc.RESIGNED):
                check(time.monotonic() - began < PATIENCE, (round_, events))
                if dispatch is not Dispatch.THREAD:
                    election.dispatch(0.01)
                else:
                    time.sleep(0.001)
            while election._listeners:
                check(time.monotonic() - began < PATIENCE, election._listeners)
                if dispatch is Dispatch.LOOP:
                    election.dispatch(0.01)
        check(len(_callbacks._listeners) == 0, _callbacks._listeners)
        check(election.close())
    # To lead: the place is given up whenever that was.
    with Election(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE) as election:
        for round_ in range(count):
            where = f"{path}/lead-{round_}"
            armed.put(drawn.uniform(0, drawn.choice([0.0002, 0.001, 0.005, 0.03])))
            sent = len(interrupted)
            try:
                try:
                    election.lead(where, b"", lambda leadership: leadership.wait_stop(0.01))
                finally:
                    while len(interrupted) == sent:
                        time.sleep(0.0001)
            except KeyboardInterrupt:
                pass
            began = time.monotonic()
            while True:
                check(time.monotonic() - began < PATIENCE, "it still stands")
                try:
                    election.resign(where)
                except ElectionError as error:
                    check(error.rc is Rc.NOT_THERE, error)
                    break
                time.sleep(0.1)  # longer than it takes to give up
        check(election._leaders == [], election._leaders)
    # To open and to close.
    for round_ in range(count):
        armed.put(drawn.uniform(0, drawn.choice([0.001, 0.01, 0.05])))
        sent = len(interrupted)
        try:
            try:
                with Election(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE) as election:
                    election.go_to_election(f"{path}/open-{round_}")
            finally:
                while len(interrupted) == sent:
                    time.sleep(0.0001)
        except KeyboardInterrupt:
            election = None
    stop.set()
    armed.put(None)
    thread.join()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    check(len(interrupted) == count * (len(Dispatch) + 2), len(interrupted))
    check([told for told in unraisable if told[0] is not ResourceWarning] == [], unraisable)


if __name__ == "__main__":
    hosts, root, session_timeout, *drawn = sys.argv[1:]
    seed, count = [*map(int, drawn), *[1865, 60][len(drawn) :]]
    each_wait(hosts, root + "/waits", float(session_timeout))
    at_any_instant(hosts, root, float(session_timeout), seed, count)
