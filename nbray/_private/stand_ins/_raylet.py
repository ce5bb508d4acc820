"""`ray._raylet`: what there is C code in Ray.

Owns the classes of ids, for programs that make them of what nbray says: nbray itself gives ids as
hexadecimal digits that have `hex()` and `binary()` (`nbray.ids.HexId`).
"""

from __future__ import annotations

import os
from typing import ClassVar, Self

from nbray.generators import DynamicObjectRefGenerator, ObjectRefGenerator
from nbray.refs import ObjectRef
from nbray.refs import ObjectRef as ObjectID

__all__ = [
    "OPTIMIZED", "ActorClassID", "ActorID", "BaseID", "ClusterID", "DynamicObjectRefGenerator",
    "FunctionID", "JobID", "NodeID", "ObjectID", "ObjectRef", "ObjectRefGenerator",
    "PlacementGroupID", "TaskID", "UniqueID", "WorkerID",
]  # fmt: skip

OPTIMIZED = True
"""There is no other build."""


class BaseID:
    """Bytes that name something. Two are equal if they are of one kind and have the same bytes."""

    __slots__ = ("_id",)
    _SIZE: ClassVar[int] = 28

    def __init__(self, id: bytes) -> None:  # noqa: A002 - Ray's name
        if not isinstance(id, bytes):
            raise TypeError(f"Unsupported type: {type(id)}")
        if not id:
            raise ValueError("an id has at least one byte")
        self._id = id

    @classmethod
    def from_hex(cls, hex_id: str) -> Self:
        """The id that has these hexadecimal digits, as nbray says it anywhere."""
        return cls(bytes.fromhex(hex_id))

    @classmethod
    def from_random(cls) -> Self:
        """One that nothing has."""
        return cls(os.urandom(cls._SIZE))

    @classmethod
    def nil(cls) -> Self:
        """The id of nothing."""
        return cls(b"\xff" * cls._SIZE)

    @classmethod
    def size(cls) -> int:
        """Bytes that Ray's ids of this kind have; nbray's may have fewer."""
        return cls._SIZE

    def binary(self) -> bytes:
        """The bytes."""
        return self._id

    def hex(self) -> str:
        """The hexadecimal digits."""
        return self._id.hex()

    def is_nil(self) -> bool:
        """Whether it names nothing."""
        return not self._id.strip(b"\xff")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._id == getattr(other, "_id", None)

    def __hash__(self) -> int:
        return hash(self._id)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.hex()})"

    def __reduce__(self) -> tuple[type[Self], tuple[bytes]]:
        return type(self), (self._id,)


class UniqueID(BaseID):
    """One that is drawn."""


class NodeID(UniqueID):
    """Of a node."""


class WorkerID(UniqueID):
    """Of a process."""


class ClusterID(UniqueID):
    """Of a cluster."""


class FunctionID(UniqueID):
    """Of a function."""


class ActorClassID(UniqueID):
    """Of a class of actors."""


class ActorID(BaseID):
    """Of an actor."""

    _SIZE = 16


class JobID(BaseID):
    """Of a job: a driver and all its work."""

    _SIZE = 4

    @classmethod
    def from_int(cls, value: int) -> Self:
        """That of a number."""
        return cls(value.to_bytes(cls._SIZE, "big"))


class TaskID(BaseID):
    """Of a task."""

    _SIZE = 24


class PlacementGroupID(BaseID):
    """Of a placement group."""

    _SIZE = 18
