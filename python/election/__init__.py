"""Master election on Apache ZooKeeper: the C library libelection, by ctypes. Python 3.9 or later, nothing else.

    with Election("127.0.0.1:2181") as election:
        with election.go_to_election("/master", b"10.0.0.1", lambda event: print(event.role.name)) as candidacy:
            candidacy.wait(Role.MASTER)
            while candidacy.is_master():
                do_a_piece_of_work()

A daemon has a function run while it is master; it resigns when the function has returned:

    election.lead("/master", b"10.0.0.1", work)

In a program on asyncio it is AsyncElection: no thread, the events come in the loop.

    async with AsyncElection("127.0.0.1:2181") as election:
        with election.roles("/master", b"10.0.0.1") as roles:
            async for event in roles:
                print(event.role.name)

Each function of election.h is a method that does what is written there. What Python adds:

- A function that fails raises ElectionError, whose `rc` is a member of Rc. It is a TimeoutError, a ConnectionError, a
  PermissionError or a ValueError as well where it is that.
- Times are in seconds.
- Ctrl-C, and whatever else a signal handler raises, ends each call that waits, and leaves everything whole.
- An exception in a callback goes to sys.unraisablehook, which prints it; in Election.dispatch to the caller; in a loop of
  asyncio to the loop's exception handler. The next callbacks come all the same.
- What is called back, and all that it holds, is kept until the library has made the last call, and no longer.
"""

from election._aio import AsyncElection, Feed, Roles
from election._callbacks import Connection, Event, Lease, LogRecord, Master, Member, Members
from election._errors import (
    ElectionConnectionError,
    ElectionError,
    ElectionInterruptedError,
    ElectionPermissionError,
    ElectionTimeoutError,
    ElectionValueError,
    NotMasterError,
    strerror,
)
from election._handle import Candidacy, Election, Watch
from election._lead import Leadership
from election._library import load, version
from election._log import log_to, set_log
from election._numbers import (
    Acl,
    Alarm,
    ConnectionState,
    Dispatch,
    DumpFormat,
    LeaseMode,
    LogLevel,
    Perm,
    Rc,
    Reason,
    Recipe,
    Role,
)
from election._session import AclEntry, Counters
from election._verifier import Verifier

__all__ = [
    "Acl",
    "AclEntry",
    "Alarm",
    "AsyncElection",
    "Candidacy",
    "Connection",
    "ConnectionState",
    "Counters",
    "Dispatch",
    "DumpFormat",
    "Election",
    "ElectionConnectionError",
    "ElectionError",
    "ElectionInterruptedError",
    "ElectionPermissionError",
    "ElectionTimeoutError",
    "ElectionValueError",
    "Event",
    "Feed",
    "Leadership",
    "Lease",
    "LeaseMode",
    "LogLevel",
    "LogRecord",
    "Master",
    "Member",
    "Members",
    "NotMasterError",
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
    "strerror",
    "version",
]
