"""What tasks return, as values: in a message or, if large, in the store.

Owns the packing of one return or of several. Does not own what follows (`executor`). Rule: what was
stored is freed again if the answer cannot be given.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from typing import Any

from nbray.config import INLINE_LIMIT, MOST_RETURNED
from nbray.hosting.returned import split
from nbray.runtime.core.worker.brain import Item, WorkerBrain
from nbray.runtime.shell.client.loop import Loop
from nbray.runtime.shell.client.memory import Memory
from nbray.wire.messages import Value
from nbray.wire.pickling import pack

NONE = pack(None).join()
NUMBERS = frozenset({type(None), bool, int, float, complex})
TEXTS = frozenset({str, bytes})
SHORT = 1000
"""Characters up to which texts, like numbers, are pickled at once, without a closer look."""
TINY = 1024
"""Bytes of a return that rides in a message even behind many others."""


class Yielded:
    """The returns of a generator that was told how many it has, packed."""

    __slots__ = ("values",)

    def __init__(self, values: list[Value]) -> None:
        self.values = values


class Returns:
    """Those of one worker's tasks."""

    def __init__(self, brain: WorkerBrain, loop: Loop, memory: Memory) -> None:
        self._brain = brain
        self._loop = loop
        self._memory = memory

    def one(
        self, item: Item, result: Any, what: str, most: int = INLINE_LIMIT
    ) -> tuple[Value | None, bytes]:
        """*result* packed: as a value of its own, or, if it needs none, as bytes."""
        packed = pack(result, what)
        if packed.size > most:
            slot = self._memory.store(packed, item.caller, what)
            return Value(b"", [slot], list(packed.refs)), b""
        if packed.refs:
            return Value(packed.join(), [], list(packed.refs)), b""
        return None, packed.join()

    def yielded(self, item: Item, value: Any, what: str) -> tuple[bytes, Value | None]:
        """*value*, one of many: its bytes, or a value of its own if it needs one."""
        kind = type(value)
        if kind in NUMBERS or (kind in TEXTS and len(value) <= SHORT):
            return (NONE if value is None else pickle.dumps(value, 5)), None
        whole, data = self.one(item, value, what)
        return data, whole

    def several(self, item: Item, result: Any, name: str) -> list[Value]:
        """All parts of *result* packed; if one cannot be, what was stored of others is freed."""
        return self.pieces(item, split(name, result, item.spec.num_returns), name)

    def pieces(self, item: Item, parts: Iterable[Any], name: str) -> list[Value]:
        """The same of *parts*, of which there are as many as are wanted."""
        values: list[Value] = []
        room = MOST_RETURNED
        try:
            for index, part in enumerate(parts):
                if type(part) is Value:  # an error that stands for it
                    values.append(part)
                    continue
                most = INLINE_LIMIT if room > 0 else TINY
                value, data = self.one(item, part, f"result {index + 1} of {name}", most)
                values.append(value if value is not None else Value(data))
                room -= len(values[-1].data)
        except BaseException:
            slots = [slot for value in values for slot in value.slots]  # nobody hears of them
            self._loop.locked(lambda: self._brain.client.objects.free_slots(slots))
            raise
        return values
