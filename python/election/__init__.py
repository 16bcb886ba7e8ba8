"""Master election on Apache ZooKeeper: the C library libelection, by ctypes. Python 3.9 or later, nothing else.

    with Election("127.0.0.1:2181") as election:
        with election.go_to_election("/master", b"10.0.0.1", lambda event: print(event.role.name)) as candidacy:
            candidacy.wait(Role.MASTER)
            while candidacy.is_master():
                do_a_piece_of_work()

In a program on asyncio it is AsyncElection: no thread, the events come in the loop.

    async with AsyncElection("127.0.0.1:2181") as election:
        with election.roles("/master", b"10.0.0.1") as roles:
            async for event in roles:
                print(event.role.name)

Each function of election.h is a method that does what is written there. What Python adds:

- A function that fails raises ElectionError, whose `rc` is a member of Rc.
- An exception in a callback is told to sys.unraisablehook, which prints it; the next callbacks come all the same.
- What is called back, and all that it holds, is kept until the library has made the last call, and no longer.
"""

from election._aio import AsyncElection, Feed, Roles
from election._callbacks import Connection, Event, LogRecord, Master, Mastership, Member, Members
from election._handle import Candidacy, Election, Watch
from election._library import load, version
from election._log import log_to, set_log
from election._numbers import (
    Acl,
    Alarm,
    ConnectionState,
    Dispatch,
    DumpFormat,
    Lease,
    LogLevel,
    Perm,
    Rc,
    Reason,
    Recipe,
    Role,
)
from election._session import ElectionError
from election._verifier import Verifier

__all__ = [
    "Acl",
    "Alarm",
    "AsyncElection",
    "Candidacy",
    "Connection",
    "ConnectionState",
    "Dispatch",
    "DumpFormat",
    "Election",
    "ElectionError",
    "Event",
    "Feed",
    "Lease",
    "LogLevel",
    "LogRecord",
    "Master",
    "Mastership",
    "Member",
    "Members",
    "Perm",
    "Rc",
    "Reason",
    "Recipe",
    "Role",
    "Roles",
    "Verifier",
    "Watch",
    "load",
    "log_to",
    "set_log",
    "version",
]
