"""What a running task has yielded, over Ray's own generator.

Owns the reader's side. Rule: whatever is taken is one of Ray's references, counted by Ray.
"""

from __future__ import annotations

import contextlib
from typing import Any

import ray

from nbray.engines.ray import private
from nbray.engines.ray.references import table
from nbray.refs import ObjectRef


class RayStream:
    """The returns of one call. See `nbray.generators.Stream` for the methods."""

    def __init__(self, theirs: Any) -> None:
        self._theirs = theirs
        self._completed = table.hold(theirs.completed())
        self._over = False

    @property
    def completed(self) -> ObjectRef[Any]:
        return self._completed

    @property
    def finished(self) -> bool:
        return self._over or bool(self._theirs.is_finished())

    def take(self) -> ObjectRef[Any] | None:
        if self._over:
            raise StopIteration
        try:
            found = self._theirs._next_sync(0)
        except StopIteration:
            self._over = True
            raise
        return None if found.is_nil() else table.hold(found)

    def peek(self) -> ObjectRef[Any]:
        return table.hold(private.peek(self._theirs))

    def run_out(self) -> None:
        """It runs by itself."""

    def close(self) -> None:
        if not self._over and ray.is_initialized():
            with contextlib.suppress(Exception):  # it may have ended, and its cluster too
                ray.cancel(self._theirs)
