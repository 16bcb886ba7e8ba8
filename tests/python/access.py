"""Credentials and access control lists, by the Python module.

    access.py HOSTS ROOT SESSION_TIMEOUT
"""

import queue
import sys

from common import PATIENCE, check
from election import Acl, AclEntry, Election, ElectionError, Perm, Rc, Reason, Role



def refuses(rc, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except ElectionError as error:
        return error.rc is rc
    return False


def live(hosts, path, session_timeout):
    def open_with(**options):
        return Election(hosts, session_timeout=session_timeout, connect_timeout=PATIENCE, **options)

    alice = [("digest", bytearray(b"alice:wonder"))]
    with open_with(auth=alice, acl=Acl.CREATOR) as first, open_with(auth=alice, acl=Acl.CREATOR) as second:
        first.go_to_election(path, b"first")
        first.wait(path, Role.MASTER, PATIENCE)
        second.go_to_election(path, b"second")
        second.wait(path, Role.SLAVE, PATIENCE)
        with open_with() as stranger:
            heard = queue.Queue()
            stranger.go_to_election(path, b"stranger", heard.put)
            event = heard.get(timeout=PATIENCE)
            check((event.role, event.reason, event.rc) == (Role.UNKNOWN, Reason.DENIED, Rc.NOAUTH), event)
            check(refuses(Rc.NOAUTH, stranger.wait, path, Role.MASTER))
            check(refuses(Rc.NOAUTH, stranger.members, path))
        check(heard.empty())
        first.resign(path)
        second.wait(path, Role.MASTER, PATIENCE)

    entries = [AclEntry(Perm.ALL, "auth", ""), AclEntry(Perm.READ | Perm.WRITE, "world", "anyone")]
    with open_with(auth=alice, acl_entries=entries) as master, open_with() as reader:
        master.go_to_election(path + "-read", b"master")
        master.wait(path + "-read", Role.MASTER, PATIENCE)
        check([member.value for member in reader.members(path + "-read")] == [b"master"])

    check(refuses(Rc.AUTHFAILED, open_with, auth=[("no-such-scheme", b"\0secret")]))
    check(refuses(Rc.BAD_AUTH, open_with, auth=[("", b"")]))
    check(refuses(Rc.BAD_ACL, open_with, acl=7))
    check(refuses(Rc.BAD_TLS, open_with, tls="/no-such-folder/ca.pem"))
    check(refuses(Rc.BAD_TLS, open_with, tls=",,key", tls_verify_host=False))
    check(refuses(Rc.BAD_FRAME_LIMIT, open_with, frame_limit_bytes=1 << 31))
    check(refuses(Rc.BAD_SASL, open_with, sasl={"mechanism": "PLAIN"}))
    check(refuses(Rc.BAD_SASL, open_with, sasl={"mechanism": "DIGEST-MD5", "user": "app"}))
    check(refuses(Rc.BAD_ACL, open_with, acl_entries=[(0, "world", "anyone")]))


if __name__ == "__main__":
    hosts, root, session_timeout = sys.argv[1:]
    live(hosts, root + "/python/master", float(session_timeout))
