"""Stand for master in a program on asyncio. The library has no thread here: the loop of asyncio does its work.

    PYTHONPATH=python ELECTION_LIB=target/release/libelection.so \\
        python3 c_examples/loop_asyncio.py 127.0.0.1:2181 /master 10.0.0.1
"""

from __future__ import annotations

import asyncio
import signal
import sys

from election import AsyncElection, Dispatch


async def stand(hosts: str, path: str, value: str) -> None:
    async with AsyncElection(hosts, dispatch=Dispatch.LOOP) as election:
        task = asyncio.current_task()
        assert task
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        async for event in election.roles(path, value.encode()):
            print(f"role={event.role.name} reason={event.reason.name} value={event.value.decode()}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: loop_asyncio.py HOSTS PATH VALUE")
    try:
        asyncio.run(stand(*sys.argv[1:]))
    except (KeyboardInterrupt, asyncio.CancelledError):
        pass
