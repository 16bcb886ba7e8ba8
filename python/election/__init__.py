"""Master election on Apache ZooKeeper: the C library libelection, by ctypes. It needs only Python 3.9 or later.

    with Election("127.0.0.1:2181") as election:
        with election.go_to_election("/master", b"10.0.0.1", lambda event: print(event.role.name)) as candidacy:
            candidacy.wait(Role.MASTER)
            while candidacy.is_master():
                do_a_piece_of_work()

In a daemon, lead() runs a function while the daemon is master, and resigns when the function has returned:

    election.lead("/master", b"10.0.0.1", work)

A program on asyncio uses AsyncElection: it needs no thread, and the events come in the loop.

    async with AsyncElection("127.0.0.1:2181") as election:
        with election.roles("/master", b"10.0.0.1") as roles:
            async for event in roles:
                print(event.role.name)

Each function of election.h is a method, and election.h documents it. Python adds:

- A function that fails raises ElectionError, whose `rc` is a member of Rc. If the error is a timeout, a lost
  connection, a refused permission or a wrong argument, the exception is also a TimeoutError, a ConnectionError, a
  PermissionError or a ValueError.
- Times are in seconds.
- Ctrl-C, and any other exception of a signal handler, ends each call that waits. Every object stays usable.
- An exception in a callback goes to sys.unraisablehook, which prints it. In Election.dispatch it goes to the caller. In
  a loop of asyncio it goes to the loop's exception handler. The next callbacks still run.
- The module keeps a callback, and every object that the callback holds, until the library has made the last call, and
  no longer.
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
