"""Verifier: for the program that receives the writes."""

from __future__ import annotations

from ctypes import c_int64
from typing import Any

from election._library import library
from election._numbers import Rc


class Verifier:
    """Refuses the tokens of old masters, in the program that receives the writes."""

    _verifier: Any = None

    def __init__(self, highest: int = 0) -> None:
        if c_int64(highest).value != highest:
            raise OverflowError("tokens have 64 bits")
        self._library = library()
        self._verifier = self._library.election_verifier_new(highest)
        if not self._verifier:
            raise MemoryError

    def admit(self, token: int) -> bool:
        """Whether to accept a write with this token."""
        is_token = c_int64(token).value == token  # ctypes would cut a larger number
        return is_token and bool(self._library.election_verifier_admit(self._verifier, token) == Rc.OK)

    @property
    def highest(self) -> int:
        """The highest token seen, to store with the written data."""
        return int(self._library.election_verifier_highest(self._verifier))

    def __del__(self) -> None:
        if self._verifier:
            self._library.election_verifier_free(self._verifier)
