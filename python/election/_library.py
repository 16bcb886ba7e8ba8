"""The C library: its structs and functions, as in election.h, and the place that it is loaded from."""

from __future__ import annotations

import ctypes
import os
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_int64, c_size_t, c_uint64, c_void_p
from pathlib import Path
from typing import Any, Optional, Union

SONAME = "libelection.so.0"


class election_t(ctypes.Structure):
    """Opaque."""


class election_options_t(ctypes.Structure):
    """Opaque."""


class election_leadership_t(ctypes.Structure):
    """Opaque."""


class election_verifier_t(ctypes.Structure):
    """Opaque."""


class election_event_t(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("path", c_char_p), ("role", c_int), ("reason", c_int), ("rc", c_int),
                ("value", c_void_p), ("value_len", c_size_t), ("token", c_int64)]  # fmt: skip


class election_master_t(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("path", c_char_p), ("rc", c_int), ("value", c_void_p), ("value_len", c_size_t),
                ("token", c_int64), ("session_id", c_int64), ("since_ms", c_int64)]  # fmt: skip


class election_member_t(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("name", c_char_p), ("value", c_void_p), ("value_len", c_size_t),
                ("token", c_int64), ("session_id", c_int64), ("since_ms", c_int64)]  # fmt: skip


class election_members_t(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("path", c_char_p), ("rc", c_int), ("members", POINTER(POINTER(election_member_t))),
                ("count", c_size_t), ("alarm", c_int)]  # fmt: skip


class election_log_t(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("level", c_int), ("message", c_char_p), ("path", c_char_p),
                ("handle", c_void_p), ("session_id", c_int64), ("at_ms", c_int64)]  # fmt: skip


class election_connection_t(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("state", c_int), ("rc", c_int), ("session_id", c_int64),
                ("session_timeout_ms", c_int64), ("cause", c_char_p)]  # fmt: skip


_COUNTERS = (
    "connections connect_failures suspensions sessions_opened sessions_expired sessions_renewed "
    "requests_sent requests_answered requests_unknown creates deletes sets reads touches proofs_sent "
    "proofs_committed proof_last_us proof_longest_us fenced_writes watches_fired masterships_begun "
    "masterships_ended leases_expired callbacks_run callback_longest_us"
).split()


class election_counters_t(ctypes.Structure):
    _fields_ = [("size", c_size_t)] + [(name, c_uint64) for name in _COUNTERS]


election_role_fn = CFUNCTYPE(None, POINTER(election_event_t), c_void_p)
election_master_fn = CFUNCTYPE(None, POINTER(election_master_t), c_void_p)
election_member_fn = CFUNCTYPE(None, POINTER(election_member_t), c_void_p)
election_members_fn = CFUNCTYPE(None, POINTER(election_members_t), c_void_p)
election_log_fn = CFUNCTYPE(None, POINTER(election_log_t), c_void_p)
election_connection_fn = CFUNCTYPE(None, POINTER(election_connection_t), c_void_p)
election_free_fn = CFUNCTYPE(None, c_void_p)
election_lead_fn = CFUNCTYPE(c_int, c_void_p, c_void_p)

_handle_p, _options_p, _verifier_p = POINTER(election_t), POINTER(election_options_t), POINTER(election_verifier_t)
_int64_p = POINTER(c_int64)
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "election_version": (c_char_p, []),
    "election_strerror": (c_char_p, [c_int]),
    "election_explain": (c_char_p, [c_int]),
    "election_options_new": (_options_p, []),
    "election_options_free": (None, [_options_p]),
    "election_options_set_session_timeout_ms": (c_int, [_options_p, c_int]),
    "election_options_set_connect_timeout_ms": (c_int, [_options_p, c_int]),
    "election_options_set_recipe": (c_int, [_options_p, c_int]),
    "election_options_set_dispatch": (c_int, [_options_p, c_int]),
    "election_options_set_grace_ms": (c_int, [_options_p, c_int]),
    "election_options_set_lease_mode": (c_int, [_options_p, c_int]),
    "election_options_set_lease_margin_ms": (c_int, [_options_p, c_int]),
    "election_options_set_tick_ms": (c_int, [_options_p, c_int]),
    "election_options_add_auth": (c_int, [_options_p, c_char_p, c_char_p, c_size_t]),
    "election_options_set_frame_limit_bytes": (c_int, [_options_p, c_int]),
    "election_options_set_tls": (c_int, [_options_p, c_char_p]),
    "election_options_set_tls_verify_host": (c_int, [_options_p, c_int]),
    "election_options_set_sasl": (c_int, [_options_p, c_char_p, c_char_p]),
    "election_options_set_acl": (c_int, [_options_p, c_int]),
    "election_options_add_acl": (c_int, [_options_p, c_int, c_char_p, c_char_p]),
    "election_open": (c_int, [c_char_p, _options_p, POINTER(_handle_p)]),
    "election_close": (c_int, [_handle_p]),
    "go_to_election": (c_int, [_handle_p, c_char_p, c_char_p, c_size_t, election_role_fn, c_void_p, election_free_fn]),
    "election_resign": (c_int, [_handle_p, c_char_p]),
    "election_set_value": (c_int, [_handle_p, c_char_p, c_char_p, c_size_t]),
    "election_is_master": (c_int, [_handle_p, c_char_p]),
    "election_lease": (c_int, [_handle_p, c_char_p, _int64_p, _int64_p]),
    "election_wait": (c_int, [_handle_p, c_char_p, c_int, c_int]),
    "election_lead": (
        c_int,
        [_handle_p, c_char_p, c_char_p, c_size_t, election_lead_fn, c_void_p, c_int, POINTER(c_int)],
    ),
    "election_should_stop": (c_int, [c_void_p]),
    "election_wait_stop": (c_int, [c_void_p, c_int]),
    "election_leadership_token": (c_int64, [c_void_p]),
    "election_interrupt": (c_int, [_handle_p]),
    "election_clear_interrupt": (c_int, [_handle_p]),
    "election_fd": (c_int, [_handle_p]),
    "election_dispatch": (c_int, [_handle_p, c_int]),
    "election_fenced_create": (c_int, [_handle_p, c_char_p, c_char_p, c_char_p, c_size_t, c_int]),
    "election_fenced_set": (c_int, [_handle_p, c_char_p, c_char_p, c_char_p, c_size_t, c_int, c_int]),
    "election_fenced_delete": (c_int, [_handle_p, c_char_p, c_char_p, c_int, c_int]),
    "election_members": (c_int, [_handle_p, c_char_p, election_member_fn, c_void_p, c_int]),
    "election_get_master": (c_int, [_handle_p, c_char_p, election_master_fn, c_void_p, c_int]),
    "election_verifier_new": (_verifier_p, [c_int64]),
    "election_verifier_free": (None, [_verifier_p]),
    "election_verifier_admit": (c_int, [_verifier_p, c_int64]),
    "election_verifier_highest": (c_int64, [_verifier_p]),
    "watch_master": (c_int, [_handle_p, c_char_p, election_master_fn, c_void_p, election_free_fn]),
    "election_unwatch_master": (c_int, [_handle_p, c_char_p]),
    "election_watch_members": (c_int, [_handle_p, c_char_p, c_int, election_members_fn, c_void_p, election_free_fn]),
    "election_unwatch_members": (c_int, [_handle_p, c_char_p]),
    "election_set_log": (c_int, [c_int, election_log_fn, c_void_p, election_free_fn]),
    "election_watch_connection": (c_int, [_handle_p, election_connection_fn, c_void_p, election_free_fn]),
    "election_unwatch_connection": (c_int, [_handle_p]),
    "election_wait_finished": (c_int, [_handle_p, c_int]),
    "election_counters": (c_int, [_handle_p, POINTER(election_counters_t)]),
    "election_connect_failure": (c_int, [_handle_p, c_char_p, c_size_t]),
    "election_dump": (c_int, [_handle_p, c_int, POINTER(c_void_p)]),
    "election_dump_free": (None, [c_void_p]),
}


# These functions answer from memory and take no lock. A call by CDLL releases the lock of the interpreter. If other
# threads are busy, the call then takes tens of milliseconds to get the lock back.
_QUICK = {"election_is_master", "election_lease", "election_should_stop", "election_strerror", "election_version"}

_loaded: Optional[Library] = None


class Library:
    """The functions of the library, by name."""

    def __init__(self, path: str) -> None:
        self.path = path
        # CDLL releases the lock of the interpreter during each call, PyDLL does not.
        libraries = {False: ctypes.CDLL(path), True: ctypes.PyDLL(path)}
        for name, (restype, argtypes) in _FUNCTIONS.items():
            try:
                function = libraries[name in _QUICK][name]
            except AttributeError:
                raise OSError(f"{path}: there is no {name}: this library is older than the module") from None
            function.restype, function.argtypes = restype, argtypes
            setattr(self, name, function)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


def load(path: Union[str, os.PathLike[str], None] = None) -> None:
    """Load the library now: from `path`, else $ELECTION_LIB, else the one in this package, else the system's.

    A program that does not call this loads the library when it first needs it. No other place is searched. Raises
    OSError if the library cannot be loaded, and RuntimeError if another one is loaded already.
    """
    global _loaded
    wanted = os.fspath(path) if path else os.environ.get("ELECTION_LIB") or _default()
    if _loaded is None:
        _loaded = Library(wanted)
    elif path and _loaded.path != wanted:
        raise RuntimeError(f"{_loaded.path} is loaded already")


def _default() -> str:
    within = Path(__file__).resolve().parent / SONAME
    return str(within) if within.exists() else SONAME


def library() -> Library:
    """The library. The first call loads it if it is not loaded."""
    if _loaded is None:
        load()
    assert _loaded is not None
    return _loaded


def version() -> str:
    """The version of the library that is loaded."""
    return str(library().election_version().decode())
