"""Verifier: for the side that is written to."""

from __future__ import annotations

from ctypes import c_int64
from typing import Any

from election._library import library
from election._numbers import Rc


class Verifier:
    """Refuses the tokens of old masters, on the side that is written to."""

    _verifier: Any = None

    def __init__(self, highest: int = 0) -> None:
        if c_int64(highest).value != highest:
            raise OverflowError("tokens have 64 bits")
        self._library = library()
        self._verifier = self._library.election_verifier_new(highest)
        if not self._verifier:
            raise MemoryError

    def admit(self, token: int) -> bool:
        """Whether a write with this token may be taken."""
        is_token = c_int64(token).value == token  # ctypes would cut it
        return is_token and bool(self._library.election_verifier_admit(self._verifier, token) == Rc.OK)

    @property
    def highest(self) -> int:
        """The highest token seen, to be stored with what was written."""
        return int(self._library.election_verifier_highest(self._verifier))

    def __del__(self) -> None:
        if self._verifier:
            self._library.election_verifier_free(self._verifier)
