"""The chunks of a map as whoever asks for results has them, and errors among results.

Owns these records. Does not own which chunks there are (`map_run`), nor how they run (`chunk_run`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Self

from nbray.refs import ObjectRef


class Chunk:
    """Some items that follow each other, from being read to their results."""

    __slots__ = ("alone", "early", "first", "items", "ref", "segments", "skip")

    def __init__(self, first: int, items: Sequence[Any], alone: bool = False) -> None:
        self.first = first
        self.items = items
        self.alone = alone
        """Its items are to run one by one."""
        self.ref: ObjectRef[Any] | None = None
        """Its report, once it has been submitted."""
        self.early: ObjectRef[Any] | None = None
        """An early report, if it takes longer than it should."""
        self.skip = 0
        """How many of its first results came with the early report."""
        self.segments: list[Iterator[Any]] | None = None
        """Its results, once they are there."""


class Raising:
    """An iterator that raises instead of giving a value, once."""

    def __init__(self, error: BaseException) -> None:
        self._error: BaseException | None = error

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        error, self._error = self._error, None
        if error is None:
            raise StopIteration
        raise error

    def __length_hint__(self) -> int:
        return 1 if self._error is not None else 0
