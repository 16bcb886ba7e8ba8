"""To lead: a function or a coroutine runs while this handle is master, and the place is given up when it has ended.

    leading.py HOSTS ROOT SESSION_TIMEOUT
"""

import asyncio
import queue
import signal
import sys
import threading
import time

from common import PATIENCE, check, raises
from election import (
    AsyncElection,
    Election,
    ElectionError,
    ElectionInterruptedError,
    NotMasterError,
    Rc,
    Role,
)


def one_after_the_other(hosts, path, session_timeout):
    """The next one leads when the function has returned, and not before; what it returns or raises comes out."""
    order = []
    with Election(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE) as first, Election(
        hosts, session_timeout=session_timeout, connect_timeout=PATIENCE
    ) as second:

        def work(leadership):
            check(threading.current_thread() is threading.main_thread())
            check(leadership.token == first.lease(path).token > 0)
            check(not leadership.should_stop() and not leadership.wait_stop(0.01))
            next_one = threading.Thread(target=second.lead, args=(path, b"second", lambda _: order.append("second")))
            next_one.start()
            check(not leadership.wait_stop(0.3))
            with raises(Rc.IN_CALLBACK, "election_close"):
                first.close()
            order.append("first")
            return next_one

        next_one = first.lead(path, bytearray(b"first"), work)
        next_one.join(PATIENCE)
        check(order == ["first", "second"], order)

        for kind in (LookupError, KeyboardInterrupt, SystemExit):

            def fail(leadership):
                raise kind("of the program")

            try:
                first.lead(path, b"", fail)
                check(False)
            except kind as error:
                check(str(error) == "of the program")
            with raises(Rc.NOT_THERE, "election_resign"):
                first.resign(path)
        check(first.lead(path, b"", lambda leadership: 7) == 7)

        with raises(Rc.BAD_PATH, "election_lead", ValueError):
            first.lead("relative", b"", print)
        with first.go_to_election(path) as candidacy:
            candidacy.wait(Role.MASTER, PATIENCE)
            with raises(Rc.ALREADY, "election_lead"):
                first.lead(path, b"", print)
            check(candidacy.is_master())
            with raises(Rc.OPERATIONTIMEOUT, "election_lead", TimeoutError):
                second.lead(path, b"", print, timeout=0.2)
        inside = queue.Queue()

        def on_role(event):
            with raises(Rc.IN_CALLBACK, "election_lead"):
                first.lead(path + "-other", b"", print)
            inside.put(event)

        with first.go_to_election(path, b"", on_role):
            inside.get(timeout=PATIENCE)


def told_to_stop(hosts, path, session_timeout):
    """By another thread that resigns, interrupts or closes, by an operator who deletes the znode."""
    operator = Election(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE)
    operator.go_to_election(path + "-operator")
    operator.wait(path + "-operator", Role.MASTER, PATIENCE)
    election = Election(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE)

    def lead(how):
        def work(leadership):
            threading.Thread(target=how).start()
            began = time.monotonic()
            check(leadership.wait_stop())
            check(time.monotonic() - began < PATIENCE and leadership.should_stop() and leadership.wait_stop(0))
            return "done"

        return election.lead(path, b"", work)

    check(lead(lambda: election.resign(path)) == "done")
    check(lead(election.interrupt) == "done")
    for call in (lambda: lead(None), lambda: election.wait(path, Role.MASTER)):
        try:
            operator.go_to_election(path)
            call()
            check(False)
        except ElectionInterruptedError as error:
            check(isinstance(error, InterruptedError) and error.rc is Rc.INTERRUPTED)
        except ElectionError as error:
            check(error.rc is Rc.NOT_THERE, error)  # the second one stands nowhere
        operator.resign(path)
    election.clear_interrupt()
    with raises(Rc.LEADERSHIP_LOST, "election_lead", NotMasterError):
        lead(lambda: operator.fenced_delete(path + "-operator", path))
    closed = queue.Queue()
    check(lead(lambda: closed.put(election.close())) == "done")
    check(closed.get(timeout=PATIENCE))
    operator.close()


def by_signals(hosts, path, session_timeout):
    """Ctrl-C ends the waiting for mastership and the function; SIGTERM tells it to stop."""
    main = threading.get_ident()

    def soon(number):
        threading.Timer(0.2, signal.pthread_kill, (main, number)).start()

    with Election(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE) as other, Election(
        hosts, session_timeout=session_timeout, connect_timeout=PATIENCE
    ) as election:
        with other.go_to_election(path) as candidacy:
            candidacy.wait(Role.MASTER, PATIENCE)
            soon(signal.SIGINT)
            try:
                election.lead(path, b"", print)
                check(False)
            except KeyboardInterrupt:
                pass
        with raises(Rc.NOT_THERE, "election_resign"):
            election.resign(path)
        for wait in (lambda leadership: leadership.wait_stop(), lambda leadership: time.sleep(PATIENCE)):

            def work(leadership):
                soon(signal.SIGINT)
                wait(leadership)

            try:
                election.lead(path, b"", work)
                check(False)
            except KeyboardInterrupt:
                pass
            with raises(Rc.NOT_THERE, "election_resign"):
                election.resign(path)

        def stop(leadership):
            soon(signal.SIGTERM)
            check(leadership.wait_stop(PATIENCE))
            return "stopped"

        signal.signal(signal.SIGTERM, lambda *_: election.interrupt())
        check(election.lead(path, b"", stop) == "stopped")
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


async def coroutines(hosts, path, session_timeout):
    def opened():
        return AsyncElection(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE)

    async with opened() as first, opened() as second:
        order = []

        async def work(leadership):
            check(leadership.token == first.lease(path).token > 0)
            with raises(Rc.IN_CALLBACK, "election_close"):
                await first.close()
            next_one = asyncio.create_task(second.lead(path, b"second", note))
            await asyncio.sleep(0.3)
            order.append("first")
            return next_one

        async def note(leadership):
            order.append("second")

        next_one = await first.lead(path, b"first", work)
        check(await next_one is None and order == ["first", "second"], order)

        async def fail(leadership):
            raise LookupError("of the program")

        try:
            await first.lead(path, b"", fail)
            check(False)
        except LookupError:
            pass

        async def work_on(leadership):
            begun.set()
            try:
                await asyncio.sleep(PATIENCE)
                check(False)
            finally:
                # The place is kept until it has ended.
                check(first.is_master(path) == is_kept, is_kept)
                await asyncio.sleep(0.2)
                check(first.is_master(path) == is_kept, is_kept)
                order.append("stopped")

        async def start():
            begun.clear()
            order.clear()
            task = asyncio.create_task(first.lead(path, b"", work_on))
            await asyncio.wait_for(begun.wait(), PATIENCE)
            return task

        begun = asyncio.Event()
        is_kept = True
        # Cancelled from outside.
        task = await start()
        task.cancel()
        try:
            await task
            check(False)
        except asyncio.CancelledError:
            check(order == ["stopped"] and not first.is_master(path))
        # Told to stop.
        task = await start()
        first.interrupt()
        check(await asyncio.wait_for(task, PATIENCE) is None and order == ["stopped"])
        try:
            await first.lead(path, b"", work_on)
            check(False)
        except ElectionInterruptedError:
            first.clear_interrupt()
        # Lost.
        second.go_to_election(path + "-operator")
        await second.wait(path + "-operator", Role.MASTER, PATIENCE)
        is_kept = False
        task = await start()
        await second.fenced_delete(path + "-operator", path)
        with raises(Rc.LEADERSHIP_LOST, "election_lead", NotMasterError):
            await asyncio.wait_for(task, PATIENCE)
        check(order == ["stopped"])
        # Cancelled while it waits for mastership.
        with second.roles(path):
            await second.wait(path, Role.MASTER, PATIENCE)
            task = asyncio.create_task(first.lead(path, b"", work_on))
            await asyncio.sleep(0.2)
            task.cancel()
            try:
                await task
                check(False)
            except asyncio.CancelledError:
                pass
            with raises(Rc.OPERATIONTIMEOUT, "election_lead", TimeoutError):
                await first.lead(path, b"", work_on, timeout=0.2)
        await asyncio.sleep(0.3)
        check(await second.members(path) == [])
        # Closed.
        is_kept = True
        task = await start()
        check(await first.close())
        check(await asyncio.wait_for(task, PATIENCE) is None and order == ["stopped"])
        check(asyncio.all_tasks() == {asyncio.current_task()}, asyncio.all_tasks())


if __name__ == "__main__":
    hosts, root, session_timeout = sys.argv[1:]
    for test in (one_after_the_other, told_to_stop, by_signals):
        test(hosts, f"{root}/{test.__name__}", float(session_timeout))

    async def run():
        asyncio.get_running_loop().slow_callback_duration = PATIENCE
        await coroutines(hosts, root + "/coroutines", float(session_timeout))

    asyncio.run(run())
