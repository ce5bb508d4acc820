"""`ObjectRef`: a name for a value that exists, or will.

Owns the reference's identity and nothing else: the engine that made a
reference counts it. A reference tells its engine of its own end by one
`deque.append`, which is safe in any thread and inside garbage collection.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

import msgspec

from nbray.exceptions import RaySystemError, reference_ended
from nbray.ids import ObjectKey, object_hex, object_numbers

if TYPE_CHECKING:
    from concurrent.futures import Future  # with it comes `logging`
    from contextlib import AbstractContextManager

    from nbray.engine import Engine

T = TypeVar("T")
_NIL = (1 << 64) - 1
"""Both numbers of the reference to no object."""


def _watched(
    waiting: Generator[Any, None, T], watcher: Callable[[], AbstractContextManager[Any]]
) -> Generator[Any, None, T]:
    """*waiting*, as bars see every wait."""
    with watcher():
        return (yield from waiting)


class ObjectRef(msgspec.Struct, Generic[T], weakref=True, eq=False):
    """A reference to a task's result, an actor call's result or a put value.

    Resolve it with `nbray.get(ref)`, `await ref` or `ref.future()`; pass it to
    other tasks. It is made by the runtime only.

    A struct, because C code then makes it: a program makes thousands.

    Attributes:
        owner, seq: its engine's own (natively the client id of the process that owns the
            object, and its number there); everybody else compares `key`.
    """

    owner: int
    seq: int
    _engine: Engine
    _drop: Callable[[tuple[int, int]], None] | None
    in_use: ClassVar[Callable[[], Engine | None]] = staticmethod(lambda: None)
    """What says which engine is in use: the package sets it, for ids that become references."""
    watcher: ClassVar[Callable[[], Any]] = staticmethod(lambda: None)
    """What says who watches waits (see `session.Watcher`; None: nobody): the package sets it."""

    def __del__(self) -> None:
        drop = self._drop
        if drop is not None:
            drop((self.owner, self.seq))

    @property
    def key(self) -> ObjectKey:
        """What names the object, as records of `nbray.details` say it too."""
        return self.owner, self.seq

    def ended(self) -> RaySystemError:
        """What its use raises where the cluster that it belongs to has ended."""
        return reference_ended(repr(self), getattr(self._engine, "ended", ""))

    def hex(self) -> str:
        """56 hexadecimal digits, unique in the cluster."""
        return "f" * 56 if self.is_nil() else object_hex(self.owner, self.seq)

    def binary(self) -> bytes:
        """The 28 bytes of `hex`."""
        return bytes.fromhex(self.hex())

    def is_nil(self) -> bool:
        """Whether it is `ObjectRef.nil()`, which is to no object."""
        return self.owner == self.seq == _NIL

    @staticmethod
    def size() -> int:
        """Bytes of an id."""
        return 28

    @classmethod
    def from_binary(cls, binary: bytes) -> ObjectRef[Any]:
        """The reference to the object of these 28 bytes, counted as any other.

        The object itself must still be there: bytes keep nothing alive.

        Raises:
            ValueError, TypeError: they are too few or too many, or none.
        """
        if not isinstance(binary, bytes):
            raise TypeError(f"Unsupported type: {type(binary)}, expected bytes")
        if len(binary) != cls.size():
            raise ValueError(f"ID string needs to have length {cls.size()}, got {len(binary)}")
        owner, seq = object_numbers(binary)
        engine = cls.in_use()
        if engine is None or max(owner, seq) >> 63:  # no process and no object has such a number
            return ObjectRef(owner, seq, cast("Engine", engine), None)
        return engine.context.reference(owner, seq)

    @classmethod
    def from_hex(cls, hex_id: str) -> ObjectRef[Any]:
        """The same of 56 hexadecimal digits; raises as `from_binary` does."""
        return cls.from_binary(bytes.fromhex(hex_id))

    @classmethod
    def nil(cls) -> ObjectRef[Any]:
        """The reference to no object."""
        return cls.from_binary(b"\xff" * cls.size())

    @classmethod
    def from_random(cls) -> ObjectRef[Any]:
        """A reference to nothing that there is: `get` waits for ever."""
        return cls.from_binary(b"\xfe" + os.urandom(cls.size() - 1))

    def call_site(self) -> str:
        """The cell that made the object, as people call it ('' in a script)."""
        engine = ObjectRef.in_use()
        held = engine.insight.holdings() if engine is not None else []
        return next((one.object.cell for one in held if one.object.key == self.key), "")

    def owner_address(self) -> bytes:
        """What names the process that owns the object; b"" of `nil`."""
        return b"" if self.is_nil() else self.owner.to_bytes(8, "big")

    def redis_shard_hash(self) -> int:
        """A number of 64 bits, of its id alone: to spread objects evenly over places."""
        return hash(self) & _NIL

    def tensor_transport(self) -> str | None:
        """None: values travel through the object store."""
        return None

    def task_id(self) -> Any:
        """The `TaskID` of the task of which this is the first return."""
        from nbray.unique_ids import TaskID  # few programs ask

        return TaskID(self.binary()[: TaskID.SIZE])

    def job_id(self) -> Any:
        """The `JobID` of the job to which the calling code belongs."""
        from nbray.unique_ids import JobID

        return JobID(bytes.fromhex(self._engine.context.runtime().job_id))

    def as_future(self) -> Any:
        """An `asyncio.Future` of the running loop that completes with the value or its error."""
        import asyncio

        return asyncio.wrap_future(self.future())

    def future(self) -> Future[T]:
        """A `concurrent.futures.Future` that completes with the value or its error."""
        return self._engine.future(self)

    def _on_completed(self, callback: Callable[[Any], None]) -> None:
        """Have *callback* called with the value, or its error, once there is one, as Ray does."""

        def done(future: Future[T]) -> None:
            error = future.exception()
            callback(future.result() if error is None else error)

        self.future().add_done_callback(done)

    def __await__(self) -> Generator[Any, None, T]:
        import asyncio

        waiting = asyncio.wrap_future(self.future()).__await__()
        watcher = ObjectRef.watcher()
        return waiting if watcher is None else _watched(waiting, watcher)

    def __hash__(self) -> int:
        return hash((self.owner, self.seq))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ObjectRef) and other.seq == self.seq and other.owner == self.owner
        )

    def __repr__(self) -> str:
        return f"ObjectRef({self.hex()})"

    def __rich_repr__(self) -> Any:
        yield self.hex()

    def __copy__(self) -> ObjectRef[T]:
        return self  # nothing in it changes, and each one is counted

    def __deepcopy__(self, _memo: Any) -> ObjectRef[T]:
        return self

    def __reduce__(self) -> Any:
        raise TypeError(
            "an ObjectRef can only be pickled by nbray itself: pass it to a task or put it; "
            "to save a value, pickle nbray.get(ref)"
        )

    def __iter__(self) -> Any:
        raise TypeError(
            "an ObjectRef is not iterable: call nbray.get(ref) first, "
            "or give the task num_returns=N"
        )


_SEQ = operator.attrgetter("seq")


def distinct(refs: Sequence[ObjectRef[Any]]) -> bool:
    """Whether no two of *refs* are to the same object."""
    # Numbers differ within one owner; only where they do not are references compared.
    return len(set(map(_SEQ, refs))) == len(refs) or len(set(refs)) == len(refs)
