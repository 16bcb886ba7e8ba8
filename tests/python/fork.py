"""After a fork, as Python's multiprocessing makes it: the parent's handle is inert in the child, and undisturbed in the
parent. The child may open one of its own.

    fork.py HOSTS ROOT SESSION_TIMEOUT
"""

import faulthandler
import multiprocessing
import os
import signal
import sys
import time

from common import PATIENCE, check
from election import Dispatch, Election, ElectionError, Rc, Role



def give_up_after(seconds):
    """Ends this process, and says where each of its threads was, when it is not over by then."""
    faulthandler.register(signal.SIGALRM, chain=True)
    signal.alarm(seconds)


def check_forked(call, *arguments):
    try:
        call(*arguments)
    except ElectionError as error:
        check(error.rc is Rc.FORKED, error.rc)
    else:
        check(False, call)


def child(election, hosts, path):
    """Tries everything; ends by sys.exit or by falling off the end, as it comes."""
    give_up_after(60)
    check(not election.is_master(path))
    check(election.lease(path) is None)
    check_forked(election.go_to_election, path, b"child", print)
    check_forked(election.resign, path)
    check_forked(election.watch_master, path, print)
    check_forked(election.unwatch_master, path)
    check_forked(election.wait, path, Role.MASTER, PATIENCE)
    check_forked(election.lead, path, b"child", print)
    check_forked(election.interrupt)
    check_forked(election.members, path)
    check_forked(election.fenced_create, path, path + "-target")
    check_forked(election.fenced_set, path, path, b"child")
    check_forked(election.fenced_delete, path, path)
    check_forked(election.fileno)
    check_forked(election.dispatch)
    check_forked(election.watch_connection, print)
    check_forked(election.unwatch_connection)
    check_forked(election.counters)
    check_forked(election.dump)
    own = f"{path}-of-{os.getpid()}"
    for dispatch in Dispatch:
        with Election(hosts, dispatch=dispatch) as opened:
            opened.go_to_election(own, b"child")
            opened.wait(own, Role.MASTER, PATIENCE)
            check(opened.is_master(own) and not election.is_master(path))
            check_forked(election.resign, path)
    check(not election.close())


def later(hosts, path, session_timeout, connection, parents_end):
    """A child that was forked before anything was opened."""
    give_up_after(120)
    parents_end.close()
    with connection, Election(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE) as election:
        election.go_to_election(path, b"child")
        election.wait(path, Role.MASTER, PATIENCE)
        connection.send(election.lease(path).token)
        connection.recv()
        check(election.is_master(path))


def live(hosts, path, session_timeout):
    fork = multiprocessing.get_context("fork")

    # Fork first, open later: each has its own. Each end of the pipe is open in one process only, so that whoever waits
    # for the other one hears when that has failed.
    here, there = fork.Pipe()
    first = fork.Process(target=later, args=(hosts, path + "-later", session_timeout, there, here))
    first.start()
    there.close()
    with here, Election(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE) as election:
        token = here.recv()
        election.go_to_election(path + "-later", b"parent")
        election.wait(path + "-later", Role.SLAVE, PATIENCE)
        here.send("go on")
        election.wait(path + "-later", Role.MASTER, PATIENCE)
        check(election.lease(path + "-later").token > token)
        first.join()
        check(first.exitcode == 0, first.exitcode)

    # Open first: the children have nothing of it.
    events = []
    with Election(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE) as election:
        election.go_to_election(path, b"parent", events.append)
        election.wait(path, Role.MASTER, PATIENCE)
        token = election.lease(path).token
        children = [fork.Process(target=child, args=(election, hosts, path)) for _ in range(3)]
        for process in children:
            process.start()
        for process in children:
            process.join()
            check(process.exitcode == 0, process.exitcode)
        # One that leaves as a program does: `with` and atexit run in the child, too.
        pid = os.fork()
        if pid == 0:
            sys.exit(0)
        check(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0)
        until = time.monotonic() + session_timeout * 1.5 / 1000
        while time.monotonic() < until:
            check(election.lease(path).token == token)
            time.sleep(0.01)
        check([event.role for event in events] == [Role.MASTER], events)
        check([member.value for member in election.members(path)] == [b"parent"])
    check(len(events) == 2, events)


if __name__ == "__main__":
    give_up_after(240)
    hosts, root, session_timeout = sys.argv[1:]
    live(hosts, root + "/fork-python", float(session_timeout))
