"""Answers for which threads of a client wait, by token.

Owns who waits and what has come for it. Does not own the asking (the shell's) or what
an answer means. Rule: what nobody waits for is not kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Replies:
    """Those of one client."""

    def __init__(self) -> None:
        self._waiting: dict[int, Callable[[], None]] = {}
        self._come: dict[int, Any] = {}

    def expect(self, token: int, wake: Callable[[], None]) -> None:
        """An answer under *token* is waited for; *wake* is called when it has come."""
        self._waiting[token] = wake

    def expected(self, token: int) -> bool:
        """Whether somebody waits for it."""
        return token in self._waiting

    def came(self, token: int, message: Any) -> None:
        """The answer has come."""
        wake = self._waiting.get(token)
        if wake is not None:
            self._come[token] = message
            wake()

    def has(self, token: int) -> bool:
        """Whether the answer is there."""
        return token in self._come

    def take(self, token: int) -> Any:
        """The answer, for which nobody waits any more; None if it has not come."""
        self._waiting.pop(token, None)
        return self._come.pop(token, None)
