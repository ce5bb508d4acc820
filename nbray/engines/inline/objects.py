"""Values of the inline engine: packed bytes by number, counted by reference.

Owns the table of objects, their counts and the waiting for them. Does not own
what makes them. Rule: nothing is unpickled and no user code runs while the
lock is held; the lock is not reentrant, so a reference that dies inside it
(garbage collection may run anywhere) is counted down later.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from nbray.exceptions import ObjectLostError
from nbray.refs import ObjectRef
from nbray.wire.pickling import Packed, pack_error, unpack, unpack_error

if TYPE_CHECKING:
    from nbray.engine import Engine


class Slot:
    """One object: pending, a value, or an error.

    Attributes:
        count: references in this process, and values that hold a reference inside.
        refs: numbers of the objects referred to inside the value.
        call: what makes the value, while it is pending.
    """

    __slots__ = ("call", "callbacks", "count", "data", "done", "failed", "from_actor", "refs")

    def __init__(self, call: Any = None, from_actor: bool = False) -> None:
        self.count = 0
        self.data = b""
        self.failed = False
        self.done = False
        self.refs: tuple[int, ...] = ()
        self.call = call
        self.from_actor = from_actor
        self.callbacks: list[Callable[[], None]] = []


class Objects:
    """The table. `on_free(seq)` is called, without the lock, when an object's last reference goes.

    Attributes:
        used: bytes of all values.
    """

    def __init__(
        self, engine: Engine, owner: int, on_free: Callable[[int], None]
    ) -> None:
        self.engine = engine
        self._owner = owner
        self._on_free = on_free
        self._slots: dict[int, Slot] = {}
        self._changed = threading.Condition(threading.Lock())
        self._dropped: deque[tuple[int, int]] = deque()
        self._next = 0
        self.used = 0

    def __len__(self) -> int:
        self._drain()
        return len(self._slots)

    def rows(self) -> list[tuple[int, int, int, int, list[tuple[int, int]]]]:
        """(number, state, bytes, count, objects inside) of each (states: `nbray.details`)."""
        self._drain()
        with self._changed:
            return [
                (seq, 3 if slot.failed else int(slot.done), len(slot.data), slot.count,
                 [(self._owner, inside) for inside in slot.refs])
                for seq, slot in self._slots.items()
            ]  # fmt: skip

    # -- references

    def new(self, call: Any = None, from_actor: bool = False) -> ObjectRef[Any]:
        """A reference to a new pending object."""
        with self._changed:
            self._next += 1
            seq = self._next
            slot = self._slots[seq] = Slot(call, from_actor)
            slot.count = 1
        return self._reference(seq)

    def ref(self, owner: int, seq: int) -> ObjectRef[Any]:
        """One more reference to a known object (or to a lost one, whose `get` says so)."""
        if owner != self._owner:
            return ObjectRef(owner, seq, self.engine, None)
        with self._changed:
            slot = self._slots.get(seq)
            if slot is None:
                return ObjectRef(owner, seq, self.engine, None)
            slot.count += 1
        return self._reference(seq)

    def _reference(self, seq: int) -> ObjectRef[Any]:
        return ObjectRef(self._owner, seq, self.engine, self._drop)

    def _drop(self, key: tuple[int, int]) -> None:
        self._dropped.append(key)
        self._drain()

    def _drain(self) -> None:
        """Count down what was dropped, unless the lock is taken: its holder's next turn does."""
        freed: list[int] = []
        while self._dropped and self._changed.acquire(blocking=False):
            try:
                while self._dropped:
                    self._count_down(self._dropped.popleft()[1], freed)
            finally:
                self._changed.release()
        for seq in freed:
            self._on_free(seq)

    def _count_down(self, seq: int, freed: list[int]) -> None:
        todo = [seq]
        while todo:
            seq = todo.pop()
            slot = self._slots.get(seq)
            if slot is None:
                continue
            slot.count -= 1
            if slot.count == 0:
                del self._slots[seq]
                self.used -= len(slot.data)
                todo += slot.refs
                freed.append(seq)

    # -- values

    def store(self, ref: ObjectRef[Any], packed: Packed) -> None:
        """Give a pending object its value."""
        inside = tuple(seq for owner, seq in packed.refs if owner == self._owner)
        self._finish(ref.seq, packed.join(), inside, failed=False)

    def fail(self, refs: Iterable[ObjectRef[Any]], error: bytes) -> None:
        """Give pending objects an error, as `pack_error` made it."""
        for ref in refs:
            self._finish(ref.seq, error, (), failed=True)

    def _finish(self, seq: int, data: bytes, inside: tuple[int, ...], failed: bool) -> None:
        with self._changed:
            slot = self._slots.get(seq)
            if slot is None or slot.done:
                return  # nobody can ask any more, or a cancellation came first
            for inner in inside:
                held = self._slots.get(inner)
                if held is not None:
                    held.count += 1
            slot.data, slot.refs, slot.failed, slot.done = data, inside, failed, True
            slot.call = None
            self.used += len(data)
            callbacks, slot.callbacks = slot.callbacks, []
            self._changed.notify_all()
        for callback in callbacks:
            callback()
        self._drain()

    def find(self, ref: ObjectRef[Any]) -> Slot | None:
        """The object's slot; None if it is lost."""
        return self._slots.get(ref.seq) if ref.owner == self._owner else None

    def is_done(self, ref: ObjectRef[Any]) -> bool:
        """Whether `outcome` would not wait."""
        slot = self.find(ref)
        return slot is None or slot.done

    def outcome(self, ref: ObjectRef[Any], timeout: float | None) -> tuple[bytes, bool] | None:
        """(bytes, failed) once the object is there; None if time runs out."""
        slot = self.find(ref)
        if slot is None:
            lost = ObjectLostError(
                f"{ref!r} is lost: the session or the value it belonged to has ended"
            )
            return pack_error(lost, "", "", 0), True
        if not slot.done:
            with self._changed:
                if not self._changed.wait_for(lambda: slot.done, timeout):
                    return None
        return slot.data, slot.failed

    def gather(
        self, refs: Sequence[ObjectRef[Any]], timeout: float | None
    ) -> ObjectRef[Any] | None:
        """Wait until all are there or one has failed, or time is up; the one that has failed."""

        def failed() -> ObjectRef[Any] | None:
            for ref in refs:
                slot = self.find(ref)
                if slot is None or (slot.done and slot.failed):
                    return ref
            return None

        with self._changed:
            self._changed.wait_for(
                lambda: failed() is not None or all(self.is_done(ref) for ref in refs), timeout
            )
            return failed()

    def value(self, outcome: tuple[bytes, bool]) -> Any:
        """The value of an outcome; raises its error."""
        data, failed = outcome
        if failed:
            raise unpack_error(data)
        return unpack(data, self.ref)

    def wait(
        self, refs: Sequence[ObjectRef[Any]], count: int, timeout: float | None
    ) -> list[ObjectRef[Any]]:
        """The first *count* that are there, in order, once there are so many or time is up."""

        def ready() -> list[ObjectRef[Any]]:
            return [ref for ref in refs if self.is_done(ref)][:count]

        with self._changed:
            self._changed.wait_for(lambda: len(ready()) >= count, timeout)
            return ready()

    def when_done(self, ref: ObjectRef[Any], callback: Callable[[], None]) -> None:
        """Call *callback* once `outcome` does not wait, now or later, on any thread."""
        with self._changed:
            slot = self.find(ref)
            if slot is not None and not slot.done:
                slot.callbacks.append(callback)
                return
        callback()
