"""An election in a program on asyncio: one thread, the events come in the loop.

    aio.py HOSTS ROOT SESSION_TIMEOUT
"""

import asyncio
import concurrent.futures
import gc
import os
import sys
import threading
import time
import warnings
import weakref

from common import PATIENCE, check
from election import (
    Alarm,
    AsyncElection,
    Dispatch,
    Election,
    ElectionError,
    Event,
    Member,
    Members,
    Rc,
    Reason,
    Role,
)
from election._waiting import EVENTS, VALUES, leave_out



async def next_of(feed):
    return await asyncio.wait_for(feed.__anext__(), PATIENCE)


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


async def live(hosts, path, session_timeout, **options):
    ticks = []
    ticker = asyncio.create_task(tick(ticks))
    async with AsyncElection(hosts, session_timeout=session_timeout, **options) as first:
        async with AsyncElection(hosts, session_timeout=session_timeout, **options) as second:
            news = second.masters(path)
            a = first.roles(path, b"first")
            event = await next_of(a)
            check(event.role is Role.MASTER and event.value == b"first" and event.token > 0, event)
            check(first.is_master(path) and a.is_master() and not second.is_master(path))
            check(first.lease(path).token == a.lease().token == event.token)
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
            event = await asyncio.wait_for(b.wait(Role.MASTER), PATIENCE)
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
    threaded = Election(hosts)
    try:
        threaded.fileno()
        check(False)
    except ElectionError as error:
        check(error.rc is Rc.NOT_MANUAL, error)
    check(threaded.close())


async def callbacks(hosts, path, session_timeout):
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
    async with AsyncElection(hosts, session_timeout=session_timeout) as election:
        election.go_to_election(path, b"", on_role)
        election.watch_master(path, on_master)
        del on_role, on_master
        check(all(map(is_alive, kept)), "until the last call")
        with election.roles(path + "-other") as other:
            await asyncio.wait_for(other.wait(Role.MASTER), PATIENCE)
        check((await next_of(other)).reason is Reason.RESIGNED)
        while not (roles and masters):
            await asyncio.sleep(0.001)
    check(roles[-1].reason is Reason.CLOSED and masters[-1].rc is Rc.CLOSING)
    check(not any(map(is_alive, kept)), "no longer")
    check(await election.close(), "a second time")


async def cancelled(hosts, path, session_timeout):
    """Whoever waits is cancelled at once, and nothing is lost, left standing or left behind."""
    election = AsyncElection(hosts, session_timeout=session_timeout)

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
    other = AsyncElection(hosts, session_timeout=session_timeout)
    async with AsyncElection(hosts, session_timeout=session_timeout) as witness:

        async def leave():
            async with other:
                await asyncio.wait_for(other.roles(path).wait(Role.MASTER), PATIENCE)
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


class Watcher:
    """Looks for how long, at most, the loop did not go round, and how long the machine kept a thread waiting that does
    nothing."""

    def __init__(self):
        self.longest = self.stalled = 0.0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch_machine)

    async def __aenter__(self):
        self._task = asyncio.create_task(self._watch())
        self._thread.start()
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *exception):
        self._task.cancel()
        self._is_over.set()
        self._thread.join()

    def _watch_machine(self):
        began = time.monotonic()
        while not self._is_over.wait(0.01):
            self.stalled += max(0, time.monotonic() - began - 0.05)
            began = time.monotonic()

    async def _watch(self):
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            self.longest = max(self.longest, time.monotonic() - began)


async def unblocked(hosts, path, session_timeout):
    """Nothing blocks the loop, and nothing waits for the loop's executor, all of whose threads are busy."""
    loop, release = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(2))
    busy = [loop.run_in_executor(None, release.wait) for _ in range(20)]
    try:
        await unblocked_while(busy, hosts, path, session_timeout)
    finally:
        # Also if a check has failed: the executor waits for its threads.
        release.set()
    await asyncio.gather(*busy)


async def unblocked_while(busy, hosts, path, session_timeout):
    async with Watcher() as watcher:
        # Nobody is there: this waits for the whole time.
        began = time.monotonic()
        try:
            async with AsyncElection("127.0.0.1:1", connect_timeout=2):
                check(False)
        except ElectionError as error:
            check(error.rc is Rc.OPERATIONTIMEOUT and isinstance(error, TimeoutError), error)
        check(2 <= time.monotonic() - began < 2 + PATIENCE)

        async with AsyncElection(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE) as election:
            roles = election.roles(path, b"x")
            await election.wait(path, Role.MASTER, PATIENCE)
            check((await next_of(roles)).role is Role.MASTER)
            check((await election.get_master(path)).value == b"x")
            check([member.value for member in await election.members(path)] == [b"x"])
            await election.fenced_create(path, path + "-target", b"x")
            check((await election.dump())["masterships"][0]["path"] == path)
            try:
                await election.wait(path, Role.SLAVE, 0.3)
                check(False)
            except TimeoutError:
                pass
            # Many that wait at the same time.
            waiting = [asyncio.create_task(election.wait(path, Role.SLAVE)) for _ in range(20)]
            await asyncio.sleep(0.1)
            for task in waiting[:10]:
                task.cancel()
            election.resign(path)
            outcomes = await asyncio.gather(*waiting, return_exceptions=True)
            check(all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[:10]), outcomes)
            check(all(outcome.rc is Rc.NOT_THERE for outcome in outcomes[10:]), outcomes)
            closing = time.monotonic()
        check(time.monotonic() - closing < PATIENCE / 10 + watcher.stalled, "close")
        check(not any(future.done() for future in busy), "they were busy all the time")
    # Half of what was waited for.
    check(watcher.longest < 1 + watcher.stalled, (watcher.longest, watcher.stalled))


async def opening_cancelled(hosts, path, session_timeout):
    """To be cancelled while it opens leaves nothing open."""
    descriptors = len(os.listdir("/proc/self/fd"))
    for seconds in (0, 0.001, 0.01, 0.05, 0.1):
        for where in (hosts, "127.0.0.1:1"):
            election = AsyncElection(where, session_timeout=session_timeout, connect_timeout=PATIENCE)
            opening = asyncio.create_task(election.open())
            await asyncio.sleep(seconds)
            opening.cancel()
            try:
                await opening
                await election.close()
            except asyncio.CancelledError:
                pass
            except ElectionError as error:
                check(False, error)
    began = time.monotonic()
    del election, opening
    while len(os.listdir("/proc/self/fd")) > descriptors:
        check(time.monotonic() - began < 2 * PATIENCE, os.listdir("/proc/self/fd"))
        await asyncio.sleep(0.01)


async def looping(hosts, path, session_timeout):
    """The same, and the loop does the work of the sessions."""
    await live(hosts, path, session_timeout, dispatch=Dispatch.LOOP)
    threads = len(os.listdir("/proc/self/task"))
    async with AsyncElection(hosts, session_timeout=session_timeout, dispatch=Dispatch.LOOP) as election:
        roles = election.roles(path)
        check((await next_of(roles)).role is Role.MASTER)
        await asyncio.sleep(session_timeout * 1.5)
        check(election.is_master(path) and len(roles._waiting) == 0)
        check(len(os.listdir("/proc/self/task")) == threads)

        async def work(leadership):
            await asyncio.sleep(session_timeout * 1.2)
            return leadership.token

        check(await election.lead(path + "-lead", b"", work) > 0)
    check((await next_of(roles)).reason is Reason.CLOSED)


async def forgotten(hosts, path, session_timeout):
    """One that nobody has any more is closed, with a warning."""
    await forgotten_with(hosts, path, session_timeout)
    await forgotten_with(hosts, path + "-loop", session_timeout, dispatch=Dispatch.LOOP)


async def forgotten_with(hosts, path, session_timeout, **options):
    witness = AsyncElection(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE)

    async def forget():
        election = AsyncElection(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE, **options)
        await election.open()
        election.go_to_election(path, b"forgotten", lambda event: election.is_master(path))
        await election.wait(path, Role.MASTER, PATIENCE)

    async with witness:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            await forget()
            # The thread that waited may not have let go of it yet.
            began = time.monotonic()
            while not caught:
                check(time.monotonic() - began < PATIENCE)
                gc.collect()
                await asyncio.sleep(0.001)
            check([warning.category for warning in caught] == [ResourceWarning], caught)
        began = time.monotonic()
        while (await witness.get_master(path)).rc is not Rc.NONODE:
            check(time.monotonic() - began < session_timeout / 2, "before the session expires")


def left_out():
    """What is out of date is left out, the oldest first, and nothing that matters."""

    def event(role, token):
        return Event("/p", role, Reason.ELECTED, Rc.OK, b"", token)

    def members(alarm, *values):
        return Members("/p", Rc.OK, [Member("m", value, 0, 0, 0.0) for value in values], alarm)

    def waiting(events, follows_master=False):
        kept = []
        for event in events:
            kept.append(event)
            leave_out(kept, follows_master)
        return kept

    slave = [event(Role.SLAVE, token) for token in range(100)]
    check(waiting(slave[:EVENTS]) == slave[:EVENTS])
    check(waiting(slave) == slave[-EVENTS:])
    check(waiting(slave, follows_master=True) == slave[:1] + slave[1 - EVENTS :], "the end of one that was heard of")
    reigns = [event(role, token) for token in range(100) for role in (Role.MASTER, Role.UNKNOWN)]
    check(waiting(reigns) == reigns[-EVENTS:])
    check(waiting(reigns[:-1]) == reigns[:-1][-EVENTS:])

    few, enough, none = Alarm.TOO_FEW, Alarm.ENOUGH, Alarm.NONE
    kept = waiting([members(few), *(members(none, b"%d" % i) for i in range(100)), members(enough, b"last")])
    check([kept[0].alarm, kept[-1].alarm] == [few, enough] and len(kept) == EVENTS)
    kept = waiting([members(few if i % 2 else enough, b"%d" % i) for i in range(101)])
    check([event.alarm for event in kept if event.alarm is not none][-1] is enough and len(kept) <= EVENTS)
    alarms = [event.alarm for event in kept if event.alarm is not none]
    check(all(a is not b for a, b in zip(alarms, alarms[1:])), alarms)
    large = waiting([members(none, bytes(VALUES // 2 + 1)) for _ in range(4)])
    check(len(large) == 1, "the values are bounded, too")


async def bounded(hosts, path, session_timeout):
    """A loop that is blocked and a task that does not come back cost no memory without end, and see the latest state."""
    left_out()
    prompt, late = [], []
    with Election(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE) as busy:
        busy.go_to_election(path, b"first")
        busy.wait(path, Role.MASTER, PATIENCE)
        busy.watch_master(path, prompt.append)

        def change(last):
            """Makes a hundred events, each of which is heard by who is prompt."""
            began, came = time.monotonic(), len(prompt)
            while len(prompt) < came + 100:
                check(time.monotonic() - began < PATIENCE, len(prompt))
                busy.set_value(path, b"%d" % len(prompt))
                time.sleep(0.001)
            busy.set_value(path, last)

        options = {"session_timeout": session_timeout, "connect_timeout": PATIENCE}
        async with AsyncElection(hosts, **options) as one, AsyncElection(hosts, **options) as other:
            masters = one.masters(path)
            check((await next_of(masters)).value == b"first")
            other.watch_master(path, late.append)
            while not late:
                await asyncio.sleep(0.001)
            # The loop goes round, and the task does not take what comes.
            await asyncio.get_running_loop().run_in_executor(None, change, b"one")
            while late[-1].value != b"one":
                await asyncio.sleep(0.001)
            check(len(masters._waiting) <= EVENTS, len(masters._waiting))
            while (await next_of(masters)).value != b"one":
                pass
            # The loop does not go round.
            late.clear()
            change(b"two")
            while not late or late[-1].value != b"two":
                await asyncio.sleep(0.001)
            check(len(late) <= 3 * EVENTS, len(late))


if __name__ == "__main__":
    hosts, root, session_timeout = sys.argv[1:]

    async def run(test):
        # -X dev tells of what takes long, as it may on a busy machine.
        asyncio.get_running_loop().slow_callback_duration = PATIENCE
        await test(hosts, f"{root}/{test.__name__}", float(session_timeout))

    for test in (live, looping, callbacks, bounded, cancelled, unblocked, opening_cancelled, forgotten):
        asyncio.run(run(test))
