"""Descriptors, which bound how many workers and drivers a node takes on: how its brain asks.

Owns the question and how much each kind of guest takes. Does not own
counting (`shell.machine.descriptors`).
"""

from __future__ import annotations

from typing import Protocol

WORKER = 2
"""Descriptors that a worker takes of its node: what comes from it and what goes to it."""
DRIVER = 3
"""A driver's: the same, and one by which its end is seen."""


class Room(Protocol):
    """The descriptors of a node."""

    def left(self) -> int:
        """How many may still be given to somebody."""
        ...

    def take(self, count: int) -> bool:
        """Promise some to somebody who will use them at once; whether they are there."""
        ...

    def told(self) -> str:
        """What is lacking and what to do, as the end of a sentence."""
        ...


class Plenty:
    """Room without end, where nothing is counted."""

    def left(self) -> int:
        """Very many."""
        return 1 << 20

    def take(self, count: int) -> bool:
        """They are there."""
        return True

    def told(self) -> str:
        """Nobody hears this."""
        return ""
