"""Values of simulated programs that are more than plain data.

Owns a value that lies in the store, and a handle to an actor. Does not own what
programs make of them (`programs`).
"""

from __future__ import annotations

import pickle
from typing import Any

import msgspec

from nbray.engine import ActorInfo

STRIDE = 4096
"""Bytes of a large value of which one is looked at."""


class Big:
    """A value with *size* bytes that lie in the store; read from there, a view of its slot."""

    def __init__(self, payload: Any, size: int) -> None:
        self.payload = payload
        self.data: Any = bytes([size % 251]) * size

    def __reduce_ex__(self, protocol: int) -> Any:
        return _restored, (self.payload, pickle.PickleBuffer(self.data))

    def check(self) -> None:
        """Fail if its bytes are not what they were."""
        size = len(self.data)
        if set(self.data[::STRIDE]) != {size % 251} or self.data[-1] != size % 251:
            raise AssertionError(f"a value of {size} bytes has other bytes")


def _restored(payload: Any, data: Any) -> Big:
    found = Big.__new__(Big)
    found.payload, found.data = payload, memoryview(data)
    return found


class Handle(msgspec.Struct):
    """A handle to an actor; holds its life."""

    info: ActorInfo
    life: Any
