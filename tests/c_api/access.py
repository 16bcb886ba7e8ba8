"""Credentials and access control lists, by the Python module.

    access.py LIBRARY HOSTS ROOT SESSION_TIMEOUT_MS
"""

import queue
import sys

from election import Acl, Election, ElectionError, Perm, Rc, Reason, Role, load

PATIENCE_S = 30


def check(holds, what=""):
    if not holds:
        caller = sys._getframe(1)
        raise SystemExit(f"{caller.f_code.co_filename}:{caller.f_lineno}: does not hold {what}")


def refuses(rc, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except ElectionError as error:
        return error.rc is rc
    return False


def live(library, hosts, path, session_timeout_ms):
    def open_with(**options):
        return Election(hosts, session_timeout_ms, PATIENCE_S * 1000, library=library, **options)

    alice = [("digest", b"alice:wonder")]
    with open_with(auth=alice, acl=Acl.CREATOR) as first, open_with(auth=alice, acl=Acl.CREATOR) as second:
        first.go_to_election(path, b"first")
        first.wait(path, Role.MASTER, PATIENCE_S * 1000)
        second.go_to_election(path, b"second")
        second.wait(path, Role.SLAVE, PATIENCE_S * 1000)
        with open_with() as stranger:
            heard = queue.Queue()
            stranger.go_to_election(path, b"stranger", heard.put)
            event = heard.get(timeout=PATIENCE_S)
            check((event.role, event.reason, event.rc) == (Role.UNKNOWN, Reason.DENIED, Rc.NOAUTH), event)
            check(refuses(Rc.NOAUTH, stranger.wait, path, Role.MASTER))
            check(refuses(Rc.NOAUTH, stranger.members, path))
        check(heard.empty())
        first.resign(path)
        second.wait(path, Role.MASTER, PATIENCE_S * 1000)

    entries = [(Perm.ALL, "auth", ""), (Perm.READ | Perm.WRITE, "world", "anyone")]
    with open_with(auth=alice, more_acl=entries) as master, open_with() as reader:
        master.go_to_election(path + "-read", b"master")
        master.wait(path + "-read", Role.MASTER, PATIENCE_S * 1000)
        check([member.value for member in reader.members(path + "-read")] == [b"master"])

    check(refuses(Rc.AUTHFAILED, open_with, auth=[("no-such-scheme", b"\0secret")]))
    check(refuses(Rc.BAD_AUTH, open_with, auth=[("", b"")]))
    check(refuses(Rc.BAD_ACL, open_with, acl=7))
    check(refuses(Rc.BAD_ACL, open_with, more_acl=[(0, "world", "anyone")]))


if __name__ == "__main__":
    path, hosts, root, session_timeout_ms = sys.argv[1:]
    live(load(path), hosts, root + "/python/master", int(session_timeout_ms))
