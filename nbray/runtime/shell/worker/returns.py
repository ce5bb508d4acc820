"""What tasks return, as values: in a message or, if large, in the store.

Owns the packing of one return or of several. Does not own what follows (`executor`). Rule: what was
stored is freed again if the answer cannot be given.
"""

from __future__ import annotations

from typing import Any

from nbray.config import INLINE_LIMIT, MOST_RETURNED
from nbray.exceptions import on_behalf
from nbray.runtime.core.worker.brain import Item, WorkerBrain
from nbray.runtime.shell.client.loop import Loop
from nbray.runtime.shell.client.memory import Memory
from nbray.wire.messages import Value
from nbray.wire.pickling import pack

TINY = 1024
"""Bytes of a return that rides in a message even behind many others."""


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

    def several(self, item: Item, result: Any, name: str) -> list[Value]:
        """All parts of *result* packed; if one cannot be, what was stored of others is freed."""
        parts = _parts(result, item.spec.num_returns, name)
        values: list[Value] = []
        room = MOST_RETURNED
        try:
            for index, part in enumerate(parts):
                most = INLINE_LIMIT if room > 0 else TINY
                value, data = self.one(item, part, f"result {index + 1} of {name}", most)
                values.append(value if value is not None else Value(data))
                room -= len(values[-1].data)
        except BaseException:
            slots = [slot for value in values for slot in value.slots]  # nobody hears of them
            self._loop.locked(lambda: self._brain.client.objects.free_slots(slots))
            raise
        return values


def _parts(result: Any, wanted: int, name: str) -> list[Any]:
    """The values of a task with several returns."""
    try:
        values = iter(result)
    except TypeError:
        kind = type(result).__name__
        text = f"{name} has num_returns={wanted} but returned one {kind}, not {wanted} values"
        raise on_behalf(ValueError(text)) from None
    parts = list(values)
    if len(parts) != wanted:
        text = f"{name} has num_returns={wanted} but returned {len(parts)} values"
        raise on_behalf(ValueError(text))
    return parts
