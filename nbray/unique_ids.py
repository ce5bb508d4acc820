"""Ray's classes of ids: bytes with a class, a length and a hexadecimal form.

Owns these classes, for programs that make or compare such ids. Does not own identities
(`nbray.ids`). Rule: two are equal where class and bytes are.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar, Self

__all__ = [
    "ActorClassID", "ActorID", "BaseID", "FunctionID", "JobID", "Language", "NodeID",
    "PlacementGroupID", "TaskID", "UniqueID", "WorkerID",
]  # fmt: skip


def _digest(text: bytes) -> bytes:
    import hashlib  # few programs make ids of ids

    return hashlib.sha256(text).digest()


class BaseID:
    """Bytes that name something."""

    __slots__ = ("_bytes",)
    SIZE: ClassVar[int] = 28

    def __init__(self, id: bytes) -> None:  # noqa: A002 - Ray's name
        if not isinstance(id, bytes):
            raise TypeError(f"Unsupported type: {type(id)}, expected bytes")
        if len(id) != self.SIZE:
            raise ValueError(f"ID string needs to have length {self.SIZE}, got {len(id)}")
        self._bytes = id

    @classmethod
    def size(cls) -> int:
        """Bytes of one, on Ray."""
        return cls.SIZE

    @classmethod
    def nil(cls) -> Self:
        """The one that names nothing."""
        return cls(b"\xff" * cls.SIZE)

    @classmethod
    def from_hex(cls, hex_id: str) -> Self:
        """Of its hexadecimal digits.

        Raises:
            ValueError: they are none, or too few or many.
        """
        return cls(bytes.fromhex(hex_id))

    @classmethod
    def from_binary(cls, id_bytes: bytes) -> Self:
        """Of its bytes; raises as the class itself does."""
        return cls(id_bytes)

    def binary(self) -> bytes:
        """Its bytes."""
        return self._bytes

    def hex(self) -> str:
        """Its hexadecimal digits."""
        return self._bytes.hex()

    def is_nil(self) -> bool:
        """Whether it names nothing."""
        return self._bytes == b"\xff" * len(self._bytes)

    def __hash__(self) -> int:
        return hash((type(self).__name__, self._bytes))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.binary() == self._bytes

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.hex()})"

    def __reduce__(self) -> Any:
        return type(self), (self._bytes,)


class UniqueID(BaseID):
    """An id of 28 bytes that may be drawn."""

    __slots__ = ()

    @classmethod
    def from_random(cls) -> Self:
        """One that nothing else has."""
        return cls(os.urandom(cls.SIZE))


class NodeID(UniqueID):
    """Of a node."""

    __slots__ = ()


class WorkerID(UniqueID):
    """Of a process."""

    __slots__ = ()


class FunctionID(UniqueID):
    """Of a remote function."""

    __slots__ = ()


class ActorClassID(UniqueID):
    """Of an actor class."""

    __slots__ = ()


class JobID(BaseID):
    """Of a job: a driver and all its work."""

    __slots__ = ()
    SIZE = 4

    @classmethod
    def from_int(cls, value: int) -> Self:
        """Of a number."""
        return cls(value.to_bytes(cls.SIZE, "little"))

    def int(self) -> int:
        """Its number."""
        return int.from_bytes(self._bytes, "little")


class ActorID(BaseID):
    """Of an actor; its last bytes are those of its job, on Ray."""

    __slots__ = ()
    SIZE = 16

    @classmethod
    def from_random(cls) -> Self:
        """One that nothing else has."""
        return cls(os.urandom(cls.SIZE))

    @classmethod
    def of(cls, job_id: JobID, parent_task_id: TaskID, parent_task_counter: int) -> Self:
        """The one that a task's n-th actor has."""
        text = b"%s %s %d" % (job_id.binary(), parent_task_id.binary(), parent_task_counter)
        return cls(_digest(text)[: cls.SIZE - JobID.SIZE] + job_id.binary())

    @property
    def job_id(self) -> JobID:
        """Its job."""
        return JobID(self._bytes[-JobID.SIZE :])


class TaskID(BaseID):
    """Of a task; its last bytes are those of its actor, on Ray."""

    __slots__ = ()
    SIZE = 24

    @classmethod
    def for_fake_task(cls, job_id: JobID) -> Self:
        """One that no task has."""
        return cls(os.urandom(cls.SIZE - JobID.SIZE) + job_id.binary())

    @classmethod
    def for_driver_task(cls, job_id: JobID) -> Self:
        """That of a driver."""
        return cls(b"\xff" * (cls.SIZE - JobID.SIZE) + job_id.binary())

    @classmethod
    def for_actor_creation_task(cls, actor_id: ActorID) -> Self:
        """That of an actor's constructor."""
        return cls(b"\xff" * (cls.SIZE - ActorID.SIZE) + actor_id.binary())

    def actor_id(self) -> ActorID:
        """Its actor."""
        return ActorID(self._bytes[-ActorID.SIZE :])

    def job_id(self) -> JobID:
        """Its job."""
        return JobID(self._bytes[-JobID.SIZE :])


class PlacementGroupID(BaseID):
    """Of a placement group."""

    __slots__ = ()
    SIZE = 18

    @classmethod
    def of(cls, job_id: JobID) -> Self:
        """One that nothing else has, of a job."""
        return cls(os.urandom(cls.SIZE - JobID.SIZE) + job_id.binary())

    @classmethod
    def from_random(cls) -> Self:
        """One that nothing else has."""
        return cls(os.urandom(cls.SIZE))


class Language:
    """In what a function or an actor is written: PYTHON, CPP or JAVA, by Ray's numbers."""

    __slots__ = ("value",)
    PYTHON: ClassVar[Language]
    CPP: ClassVar[Language]
    JAVA: ClassVar[Language]

    def __init__(self, lang: int) -> None:
        self.value = lang

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Language) and other.value == self.value

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return _LANGUAGES.get(self.value, "")

    def __reduce__(self) -> Any:
        return Language, (self.value,)


_LANGUAGES = {0: "PYTHON", 1: "JAVA", 2: "CPP"}
Language.PYTHON, Language.JAVA, Language.CPP = map(Language, _LANGUAGES)
