"""What running tasks have yielded and their callers have not been told; who may yield on.

Owns the messages in which returns leave before their task has ended, and what callers say of
them: how many were taken, and that nobody reads any more. Does not own the running (the
shell's `streaming`). Rule: what has gathered leaves before the answer of its task.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter

import msgspec

from nbray.runtime.core.client.objects.objects import Objects
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.wire.messages import Ref, Taken, Value, Yielded

Key = tuple[int, int]
"""(caller, number of the task there)."""
MOST_BYTES = 1 << 20
"""Bytes of values after which the rest goes in a further message."""
REMEMBERED = 1000
"""Tasks of which it is remembered that nobody reads them: some have ended before that came."""


class Yield(msgspec.Struct, frozen=True, gc=False):
    """One return: its bytes, or a value."""

    key: Key
    index: int
    data: bytes
    value: Value | None = None
    refs: tuple[Ref, ...] = ()
    """References inside it, held until the caller has borrowed them."""


_of = attrgetter("key")


class Unread:
    """What one task has yielded into the store and nobody has taken; it may be *most* bytes."""

    __slots__ = ("_sizes", "bytes", "most")

    def __init__(self, most: float) -> None:
        self.most = most
        self.bytes = 0
        self._sizes: deque[tuple[int, int]] = deque()
        """(number of the return, counted from 1; bytes)."""

    def add(self, count: int, size: int) -> None:
        """Return number *count* takes *size* bytes."""
        self._sizes.append((count, size))
        self.bytes += size

    def taken(self, count: int) -> int:
        """So many returns were taken; the bytes of the others."""
        sizes = self._sizes
        while sizes and sizes[0][0] <= count:
            self.bytes -= sizes.popleft()[1]
        return self.bytes


class Yields:
    """Those of one worker."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self.waiting: deque[Yield] = deque()
        """What has not been sent; appended by whatever thread runs the task."""
        self.unread: dict[Key, None] = {}
        """Tasks whose returns nobody reads: they end where they yield next."""
        self.taken: dict[Key, int] = {}
        """How many returns were taken, as far as their readers have told, of running tasks."""

    def closed(self, keys: Iterable[Key]) -> None:
        """Nobody reads the returns of these any more."""
        for key in keys:
            self.unread[key] = None
        while len(self.unread) > REMEMBERED:
            del self.unread[next(iter(self.unread))]

    def went_on(self, message: Taken) -> None:
        """A caller tells how many returns were taken."""
        key = (message.sender, message.seq)
        if key in self.taken:
            self.taken[key] = max(self.taken[key], message.count)

    def flush(self, me: int) -> list[ClientEffect]:
        """Send what has gathered: a message a task, in the order in which it was yielded."""
        effects: list[ClientEffect] = []
        waiting, objects = self.waiting, self._objects
        gathered = [waiting.popleft() for _ in range(len(waiting))]
        for key, some in groupby(gathered, _of):
            caller, seq = key
            values: list[bytes] = []
            others: dict[int, Value] = {}
            first = size = 0
            for one in some:
                if size > MOST_BYTES:
                    effects.append(Send(caller, Yielded(me, seq, first, values, others)))
                    values, others, size = [], {}, 0
                if not values:
                    first = one.index
                if one.value is not None:
                    others[len(values)] = one.value
                    size += len(one.value.data)
                    if one.refs:
                        objects.lend(caller, -(seq + 1 + one.index), one.refs)
                        effects += objects.settle_added()
                values.append(one.data)
                size += len(one.data)
            effects.append(Send(caller, Yielded(me, seq, first, values, others)))
        return effects
