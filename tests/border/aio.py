"""An election in a program on asyncio: one thread, the events come in the loop.

    aio.py LIBRARY HOSTS ROOT SESSION_TIMEOUT_MS
"""

import asyncio
import os
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "c_examples"))

from election import Alarm, AsyncElection, Dispatch, Election, ElectionError, Rc, Reason, Role, load  # noqa: E402

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


class InLoop:
    """Hears for a feed, and that it is told in the loop's own thread while the loop runs."""

    def __init__(self, feed, loop):
        self.feed, self.loop, self.thread = feed, loop, threading.get_ident()
        feed_call = type(feed).__call__

        class Checked(type(feed)):
            def __call__(inner, event):
                check(threading.get_ident() == self.thread, "the loop's thread")
                feed_call(inner, event)

        feed.__class__ = Checked

    async def next(self):
        return await asyncio.wait_for(self.feed.__anext__(), PATIENCE_S)

    async def over(self):
        try:
            event = await self.next()
        except StopAsyncIteration:
            return True
        raise SystemExit(f"not over, but {event}")


async def tick(ticks):
    """The loop goes on meanwhile: nothing that it is told blocks it."""
    while True:
        ticks.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.01)


async def live(library, hosts, path, session_timeout_ms):
    loop = asyncio.get_running_loop()
    loop.slow_callback_duration = PATIENCE_S  # -X dev tells of what takes long, as it may on a busy machine
    ticks = []
    ticker = asyncio.create_task(tick(ticks))
    async with AsyncElection(hosts, session_timeout_ms, library=library) as first:
        async with AsyncElection(hosts, session_timeout_ms, library=library) as second:
            news = InLoop(second.masters(path), loop)
            a = InLoop(first.roles(path, b"first"), loop)
            event = await a.next()
            check(event.role is Role.MASTER and event.value == b"first" and event.token > 0, event)
            check(first.is_master(path) and not second.is_master(path))
            check(first.lease(path).token == event.token)
            check(threads_named("election-cb") == 0, "a thread for callbacks")
            check(threading.active_count() == 1)
            while (master := await news.next()).rc != Rc.OK:
                check(master.rc == Rc.NONODE, master)
            check(master.value == b"first" and master.token == event.token, master)

            b = InLoop(second.roles(path, b"second"), loop)
            event = await b.next()
            check((event.role, event.value) == (Role.SLAVE, b"first"), event)

            # Who is in, and values that change.
            rolls = InLoop(second.memberships(path, enough=2), loop)
            roll = await rolls.next()
            check(roll.rc is Rc.OK and roll.alarm is Alarm.TOO_FEW and roll.path == path, roll)
            check([member.value for member in roll.members] == [b"first"], roll)
            first.set_value(path, b"first\0again")
            roll = await rolls.next()
            check(roll.alarm is Alarm.NONE and [member.value for member in roll.members] == [b"first\0again"], roll)
            event = await b.next()
            check((event.role, event.value) == (Role.SLAVE, b"first\0again"), event)
            check((await news.next()).value == b"first\0again")
            master = await asyncio.to_thread(second.get_master, path)
            check((master.rc, master.value, master.token) == (Rc.OK, b"first\0again", event.token), master)
            nobody = await asyncio.to_thread(second.get_master, path + "-nobody")
            check((nobody.rc, nobody.value, nobody.token) == (Rc.NONODE, b"", 0), nobody)
            second.unwatch_members(path)
            await rolls.over()
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
            event = await a.next()
            check(event.reason is Reason.RESIGNED, event)
            await a.over()
            event = await b.next()
            check((event.role, event.value) == (Role.MASTER, b"second"), event)
            second.unwatch_master(path)
            while True:  # what was on its way, and then the end
                try:
                    await news.next()
                except StopAsyncIteration:
                    break

            # What waits for a server belongs on another thread; the loop goes on.
            members = await asyncio.to_thread(second.members, path)
            check([member.value for member in members] == [b"second"], members)
            await asyncio.to_thread(second.fenced_create, path, path + "-target", b"x")
            await asyncio.to_thread(second.fenced_delete, path, path + "-target")
            try:
                first.go_to_election("no path")
                check(False)
            except ElectionError as error:
                check(error.rc is Rc.BAD_PATH, error)
        event = await b.next()
        check(event.reason is Reason.CLOSED, event)
        await b.over()
        check(await b.over(), "over again")

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
    asyncio.run(live(library, hosts, root + "/aio", int(session_timeout_ms)))
    by_select(library, hosts, root + "/select", int(session_timeout_ms))
