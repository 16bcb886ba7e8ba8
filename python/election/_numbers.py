"""The numbers of election.h, as enumerations. election.h says what each number means."""

from __future__ import annotations

import enum
from typing import Any


class Open(enum.IntEnum):
    """Numbers to which a later version of the library may add. An added number is a member named by the number."""

    @classmethod
    def _missing_(cls, value: object) -> Any:
        if not isinstance(value, int):
            return None
        member = int.__new__(cls, value)
        member._name_, member._value_ = str(value), value
        return member


class Role(Open):
    UNKNOWN, SLAVE, MASTER = -1, 0, 1


class Reason(Open):
    ELECTED, FOLLOWING, SUSPENDED, EXPIRED, DELETED, REFUSED, BLOCKED, RESIGNED, CLOSED, FAILED = range(10)
    LEASE_EXPIRED, GRACE, FOREIGN_CONTENDER, DENIED = range(10, 14)


class Rc(Open):
    OK, CONNECTIONLOSS, UNIMPLEMENTED, OPERATIONTIMEOUT, BADARGUMENTS = 0, -4, -6, -7, -8
    NONODE, NOAUTH, BADVERSION, NOCHILDRENFOREPHEMERALS, NODEEXISTS = -101, -102, -103, -108, -110
    NOTEMPTY, SESSIONEXPIRED, INVALIDACL, AUTHFAILED, CLOSING = -111, -112, -114, -115, -116
    QUOTAEXCEEDED, THROTTLEDOP = -125, -127
    BAD_HANDLE, BAD_HOSTS, BAD_OPTIONS, BAD_TIMEOUT, BAD_PATH = range(-1001, -1006, -1)
    BAD_VALUE, BAD_CALLBACK, BAD_RESULT, BAD_RECIPE, ALREADY = range(-1006, -1011, -1)
    NOT_THERE, IN_CALLBACK, NOT_EPHEMERAL, RESIGNED, NO_RESOURCES = range(-1011, -1016, -1)
    INTERNAL, LEASE_EXPIRED, GRACE, FOREIGN_CONTENDER, NOT_MASTER = range(-1016, -1021, -1)
    STALE_TOKEN, BAD_LEASE_MODE, FORKED, NOT_MANUAL, BAD_ROLE, BAD_DISPATCH = range(-1021, -1027, -1)
    BAD_VERIFIER, BAD_COUNT = -1027, -1028
    BAD_SIZE, BAD_FORMAT, BAD_LEVEL = range(-1032, -1035, -1)
    BAD_FRAME_LIMIT, BAD_AUTH, BAD_ACL, BAD_TLS, BAD_SASL = range(-1035, -1040, -1)
    INTERRUPTED, LEADERSHIP_LOST, BAD_LEADERSHIP = -1040, -1041, -1042
    DEADLOCK, IN_HANDLER = -1045, -1046


class Recipe(Open):
    NODE, QUEUE, QUEUE_CURATOR_LOCK, QUEUE_KAZOO, QUEUE_LEADER_ELECTION_SUPPORT, QUEUE_W, QUEUE_WRITE_LOCK = range(7)


class LeaseMode(Open):
    COMMITTED, ANSWERED = range(2)


class Dispatch(Open):
    THREAD, MANUAL, LOOP = range(3)


class Alarm(Open):
    NONE, TOO_FEW, ENOUGH = range(3)


class Acl(Open):
    OPEN, CREATOR, CREATOR_WORLD_READ = range(3)


class Perm(enum.IntFlag):
    READ, WRITE, CREATE, DELETE, ADMIN, ALL = 1, 2, 4, 8, 16, 31


class LogLevel(Open):
    OFF, ERROR, WARN, INFO, DEBUG = range(5)


class ConnectionState(Open):
    CONNECTING, CONNECTED, SUSPENDED, EXPIRED, CLOSED = range(5)


class DumpFormat(Open):
    TEXT, JSON = range(2)
