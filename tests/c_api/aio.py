"""An election in a program on asyncio: one thread, the events come in the loop.

    aio.py LIBRARY HOSTS ROOT SESSION_TIMEOUT_MS
"""

import asyncio
import gc
import os
import sys
import threading
import weakref
from pathlib import Path

from election import Alarm, AsyncElection, Dispatch, Election, ElectionError, Rc, Reason, Role, load

PATIENCE_S = 30


def check(holds, what=""):
    if not holds:
        caller = sys._getframe(1)
        raise SystemExit(f"{caller.f_code.co_filename}:{caller.f_lineno}: does not hold {what}")


def threads_named(name):
    names = []
    for task in Path("/proc/self/task").iterdir():
        try:
            names.append((task / "comm").read_text().strip())
        except OSError:  # a thread may end after it was listed
            pass
    return names.count(name)


async def next_of(feed):
    return await asyncio.wait_for(feed.__anext__(), PATIENCE_S)


async def is_over(feed):
    """What was on its way, and then the end."""
    while True:
        try:
            await next_of(feed)
        except StopAsyncIteration:
            return True


async def tick(ticks):
    """The loop goes on meanwhile: nothing that it is told blocks it."""
    while True:
        ticks.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.01)


def is_alive(reference):
    gc.collect()
    return reference() is not None


async def live(library, hosts, path, session_timeout_ms):
    ticks = []
    ticker = asyncio.create_task(tick(ticks))
    async with AsyncElection(hosts, session_timeout_ms, library=library) as first:
        async with AsyncElection(hosts, session_timeout_ms, library=library) as second:
            news = second.masters(path)
            a = first.roles(path, b"first")
            event = await next_of(a)
            check(event.role is Role.MASTER and event.value == b"first" and event.token > 0, event)
            check(first.is_master(path) and a.is_master() and not second.is_master(path))
            check(first.lease(path).token == a.lease().token == event.token)
            check(threads_named("election-cb") == 0, "a thread for callbacks")
            check(threading.active_count() == 1)
            while (master := await next_of(news)).rc != Rc.OK:
                check(master.rc == Rc.NONODE, master)
            check(master.value == b"first" and master.token == event.token, master)

            b = second.roles(path, b"second")
            event = await next_of(b)
            check((event.role, event.value) == (Role.SLAVE, b"first"), event)

            # Who is in, and values that change.
            rolls = second.memberships(path, enough=2)
            roll = await next_of(rolls)
            check(roll.rc is Rc.OK and roll.alarm is Alarm.TOO_FEW and roll.path == path, roll)
            check([member.value for member in roll.members] == [b"first"], roll)
            a.set_value(b"first\0again")
            roll = await next_of(rolls)
            check(roll.alarm is Alarm.NONE and [member.value for member in roll.members] == [b"first\0again"], roll)
            event = await next_of(b)
            check((event.role, event.value) == (Role.SLAVE, b"first\0again"), event)
            check((await next_of(news)).value == b"first\0again")
            master = await second.get_master(path)
            check((master.rc, master.value, master.token) == (Rc.OK, b"first\0again", event.token), master)
            nobody = await second.get_master(path + "-nobody")
            check((nobody.rc, nobody.value, nobody.token) == (Rc.NONODE, b"", 0), nobody)
            second.unwatch_members(path)
            check(await is_over(rolls))
            for refused, arguments, rc in [
                (second.watch_members, (path, check, -1), Rc.BAD_COUNT),
                (second.unwatch_members, (path,), Rc.NOT_THERE),
                (second.set_value, (path + "-nobody", b""), Rc.NOT_THERE),
            ]:
                try:
                    refused(*arguments)
                    check(False)
                except ElectionError as error:
                    check(error.rc is rc, error)
            first.resign(path)
            event = await next_of(a)
            check(event.reason is Reason.RESIGNED, event)
            check(await is_over(a) and await is_over(a))
            event = await asyncio.wait_for(b.wait(Role.MASTER), PATIENCE_S)
            check(event.value == b"second", event)
            second.unwatch_master(path)
            check(await is_over(news))

            members = await second.members(path)
            check([member.value for member in members] == [b"second"], members)
            await second.fenced_create(path, path + "-target", b"x")
            await second.fenced_set(path, path + "-target", b"y", 0)
            await second.fenced_delete(path, path + "-target")
            try:
                first.roles("no path")
                check(False)
            except ElectionError as error:
                check(error.rc is Rc.BAD_PATH, error)
        # The end of `async with` has closed it; the last events were told in the loop.
        event = await next_of(b)
        check(event.reason is Reason.CLOSED, event)
        check(await is_over(b))
        try:
            await b.wait(Role.MASTER)
            check(False)
        except ElectionError as error:
            check(error.rc is Rc.NOT_THERE, error)

        # In a loop that has nothing else to do there is nothing to do.
        cpu = os.times()
        await asyncio.sleep(0.5)
        used = os.times()
        check(used.user + used.system - cpu.user - cpu.system < 0.4, "a loop that spins")
    ticker.cancel()
    check(len(ticks) >= 25, len(ticks))
    threaded = Election(hosts, library=library)
    try:
        threaded.fileno()
        check(False)
    except ElectionError as error:
        check(error.rc is Rc.NOT_MANUAL, error)
    check(threaded.close())


async def callbacks(library, hosts, path, session_timeout_ms):
    """Each is called in the loop, the last ones, too."""
    roles, masters = [], []

    def hear(heard):
        def callback(news):
            check(asyncio.get_running_loop() and threading.get_ident() == here, "the loop's thread")
            heard.append(news)

        return callback

    here = threading.get_ident()
    on_role, on_master = hear(roles), hear(masters)
    kept = [weakref.ref(on_role), weakref.ref(on_master)]
    async with AsyncElection(hosts, session_timeout_ms, library=library) as election:
        election.go_to_election(path, b"", on_role)
        election.watch_master(path, on_master)
        del on_role, on_master
        check(all(map(is_alive, kept)), "until the last call")
        with election.roles(path + "-other") as other:
            await asyncio.wait_for(other.wait(Role.MASTER), PATIENCE_S)
        check((await next_of(other)).reason is Reason.RESIGNED)
        while not (roles and masters):
            await asyncio.sleep(0.001)
    check(roles[-1].reason is Reason.CLOSED and masters[-1].rc is Rc.CLOSING)
    check(not any(map(is_alive, kept)), "no longer")
    check(await election.close(), "a second time")


async def cancelled(library, hosts, path, session_timeout_ms):
    """Whoever waits is cancelled at once, and nothing is lost, left standing or left behind."""
    election = AsyncElection(hosts, session_timeout_ms, library=library)

    async def stand():
        async with election:
            with election.roles(path) as roles:
                try:
                    await asyncio.wait_for(roles.wait(Role.SLAVE), 0.5)
                    check(False)
                except asyncio.TimeoutError:
                    check(roles.is_master())
                standing.set_result(roles)
                async for _ in roles:
                    pass

    standing = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(stand())
    roles = await standing
    task.cancel()
    try:
        await task
        check(False)
    except asyncio.CancelledError:
        pass
    check(not roles.is_master() and (await next_of(roles)).reason is Reason.RESIGNED and await is_over(roles))

    # To be cancelled while it closes does not leave it open.
    other = AsyncElection(hosts, session_timeout_ms, library=library)
    async with AsyncElection(hosts, session_timeout_ms, library=library) as witness:

        async def leave():
            async with other:
                await asyncio.wait_for(other.roles(path).wait(Role.MASTER), PATIENCE_S)
                leaving.set_result(None)

        leaving = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(leave())
        await leaving
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass
        check(asyncio.all_tasks() == {asyncio.current_task()}, asyncio.all_tasks())
        check(await witness.members(path) == [])


def by_select(library, hosts, path, session_timeout_ms):
    """The same descriptor in the program's own loop."""
    import select

    events = []
    with Election(hosts, session_timeout_ms, dispatch=Dispatch.MANUAL, library=library) as election:
        election.go_to_election(path, b"", events.append)
        while not events:
            ready, _, _ = select.select([election], [], [], PATIENCE_S)
            check(ready == [election])
            check(not events)
            election.dispatch()
        check(events[0].role is Role.MASTER, events)
    check(events[-1].reason is Reason.CLOSED and len(events) == 2, events)


if __name__ == "__main__":
    path, hosts, root, session_timeout_ms = sys.argv[1:]
    library = load(path)

    async def run(test):
        # -X dev tells of what takes long, as it may on a busy machine.
        asyncio.get_running_loop().slow_callback_duration = PATIENCE_S
        await test(library, hosts, f"{root}/{test.__name__}", int(session_timeout_ms))

    for test in (live, callbacks, cancelled):
        asyncio.run(run(test))
    by_select(library, hosts, root + "/select", int(session_timeout_ms))
