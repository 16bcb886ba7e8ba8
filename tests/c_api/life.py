"""The life of two candidates and an observer in Python, by ctypes.

    life.py LIBRARY HOSTS ROOT SESSION_TIMEOUT_MS
"""

import ctypes
import queue
import sys
from ctypes import CFUNCTYPE, POINTER, byref, c_char_p, c_int, c_int64, c_size_t, c_void_p, sizeof

OK, CONNECTIONLOSS, NONODE, NODEEXISTS, CLOSING = 0, -4, -101, -110, -116
BAD_HANDLE, BAD_PATH, BAD_CALLBACK = -1001, -1005, -1007
ALREADY, NOT_THERE, IN_CALLBACK, RESIGNED_RC = -1010, -1011, -1012, -1014
UNKNOWN, SLAVE, MASTER = -1, 0, 1
ELECTED, FOLLOWING, RESIGNED, CLOSED = 0, 1, 7, 8

PATIENCE_S = 30


class Event(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("path", c_char_p),
        ("role", c_int),
        ("reason", c_int),
        ("rc", c_int),
        # Not c_char_p: that would end the value at its first 0 byte.
        ("value", c_void_p),
        ("value_len", c_size_t),
        ("token", c_int64),
    ]


class Master(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("path", c_char_p),
        ("rc", c_int),
        ("value", c_void_p),
        ("value_len", c_size_t),
        ("token", c_int64),
        ("session_id", c_int64),
        ("since_ms", c_int64),
    ]


RoleFn = CFUNCTYPE(None, POINTER(Event), c_void_p)
MasterFn = CFUNCTYPE(None, POINTER(Master), c_void_p)
FreeFn = CFUNCTYPE(None, c_void_p)


def load(path):
    lib = ctypes.CDLL(path)
    for name, result, *arguments in [
        ("election_version", c_char_p),
        ("election_strerror", c_char_p, c_int),
        ("election_options_new", c_void_p),
        ("election_options_free", None, c_void_p),
        ("election_options_set_session_timeout_ms", c_int, c_void_p, c_int),
        ("election_options_set_connect_timeout_ms", c_int, c_void_p, c_int),
        ("election_open", c_int, c_char_p, c_void_p, POINTER(c_void_p)),
        ("election_close", c_int, c_void_p),
        ("go_to_election", c_int, c_void_p, c_char_p, c_char_p, c_size_t, RoleFn, c_void_p, FreeFn),
        ("election_resign", c_int, c_void_p, c_char_p),
        ("election_is_master", c_int, c_void_p, c_char_p),
        ("watch_master", c_int, c_void_p, c_char_p, MasterFn, c_void_p, FreeFn),
        ("election_unwatch_master", c_int, c_void_p, c_char_p),
    ]:
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def check(holds, what=""):
    if not holds:
        caller = sys._getframe(1)
        raise SystemExit(f"{caller.f_code.co_filename}:{caller.f_lineno}: does not hold {what}")


def check_rc(lib, expected, got):
    if got != expected:
        caller = sys._getframe(1)
        text = lib.election_strerror(got).decode()
        raise SystemExit(f"{caller.f_code.co_filename}:{caller.f_lineno}: {got} ({text}), not {expected}")


def value_of(said):
    check(said.value is not None)
    check(ctypes.string_at(said.value, said.value_len + 1)[-1] == 0, "a 0 byte after the value")
    return ctypes.string_at(said.value, said.value_len)


class Listener:
    """What one call of go_to_election or watch_master hears. It must outlive the callbacks, as ctypes demands."""

    def __init__(self, lib, handle):
        self.heard = queue.Queue()
        self.freed = queue.Queue()
        self.ctx = id(self) & 0x7FFFFFFF

        def on_role(event, ctx):
            said = event.contents
            inside = lib.election_close(handle)
            self.heard.put(
                (said.size, said.path, said.role, said.reason, said.rc, value_of(said), said.token, ctx, inside)
            )

        def on_master(master, ctx):
            said = master.contents
            self.heard.put((said.size, said.path, said.rc, value_of(said), said.token, said.session_id, ctx))

        self.on_role = RoleFn(on_role)
        self.on_master = MasterFn(on_master)
        self.free = FreeFn(self.freed.put)

    def next_role(self, path, role, reason, rc):
        size, *said, value, token, ctx, inside = self.heard.get(timeout=PATIENCE_S)
        check(said == [path, role, reason, rc], said)
        check(size == sizeof(Event), size)
        check(ctx == self.ctx, ctx)
        check(inside == IN_CALLBACK, inside)
        return value, token

    def next_master(self, path):
        while True:
            size, said_path, rc, value, token, session_id, ctx = self.heard.get(timeout=PATIENCE_S)
            check(size == sizeof(Master) and said_path == path and ctx == self.ctx)
            if rc != NONODE:
                return rc, value, token, session_id
            check((value, token, session_id) == (b"", 0, 0))

    def check_over(self):
        check(self.freed.get(timeout=PATIENCE_S) == self.ctx)
        check(self.freed.empty() and self.heard.empty())


def open_handle(lib, hosts, session_timeout_ms):
    options = lib.election_options_new()
    check(options)
    check_rc(lib, OK, lib.election_options_set_session_timeout_ms(options, session_timeout_ms))
    check_rc(lib, OK, lib.election_options_set_connect_timeout_ms(options, PATIENCE_S * 1000))
    handle = c_void_p()
    check_rc(lib, OK, lib.election_open(hosts, options, byref(handle)))
    lib.election_options_free(options)
    return handle


def live(lib, hosts, path, session_timeout_ms):
    first = open_handle(lib, hosts, session_timeout_ms)
    second = open_handle(lib, hosts, session_timeout_ms)
    a, b, c = Listener(lib, first), Listener(lib, second), Listener(lib, second)

    def stand(handle, listener, value):
        return lib.go_to_election(handle, path, value, len(value), listener.on_role, listener.ctx, listener.free)

    check_rc(lib, BAD_HANDLE, stand(None, a, b""))
    check_rc(lib, BAD_PATH, lib.election_resign(first, b"relative"))
    check_rc(lib, BAD_CALLBACK, lib.watch_master(first, path, MasterFn(), None, FreeFn()))

    check_rc(lib, OK, stand(first, a, b"10.0.0.7"))
    check_rc(lib, ALREADY, stand(first, a, b""))
    value, first_token = a.next_role(path, MASTER, ELECTED, OK)
    check(value == b"10.0.0.7" and first_token > 0)
    check(lib.election_is_master(first, path) == 1)

    check_rc(lib, OK, stand(second, b, b"\0binary\0"))
    check(b.next_role(path, SLAVE, FOLLOWING, NODEEXISTS) == (b"10.0.0.7", first_token))
    check(lib.election_is_master(second, path) == 0)
    check_rc(lib, OK, lib.watch_master(second, path, c.on_master, c.ctx, c.free))
    rc, value, token, first_session = c.next_master(path)
    check((rc, value, token) == (OK, b"10.0.0.7", first_token))

    check_rc(lib, OK, lib.election_resign(first, path))
    check(lib.election_is_master(first, path) == 0)
    check(a.next_role(path, UNKNOWN, RESIGNED, RESIGNED_RC) == (b"", 0))
    a.check_over()
    value, token = b.next_role(path, MASTER, ELECTED, OK)
    check(value == b"\0binary\0" and token > first_token)
    rc, *said, session = c.next_master(path)
    check(rc == OK and said == [b"\0binary\0", token] and session != first_session)

    check_rc(lib, OK, lib.election_close(second))
    check(b.next_role(path, UNKNOWN, CLOSED, CLOSING) == (b"", 0))
    b.check_over()
    check(c.next_master(path) == (CLOSING, b"", 0, 0))
    c.check_over()
    check_rc(lib, BAD_HANDLE, lib.election_close(second))
    check_rc(lib, NOT_THERE, lib.election_resign(first, path))
    check_rc(lib, OK, lib.election_close(first))


if __name__ == "__main__":
    library, hosts, root, session_timeout_ms = sys.argv[1:]
    live(load(library), hosts.encode(), root.encode() + b"/python", int(session_timeout_ms))
