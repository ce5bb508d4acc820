"""Values in and out of a client: reading entries, filling and viewing slots, asking the node.

Owns requests that wait for an answer, and views over the store. Does not own
entries or counts (`objects`), the waiting for them (`waiting`), nor the mapping of
segments (`store.mappings`).

Rule: a view is a borrow. While an array over a slot lives, the entry is held;
when the last one goes, the hold is dropped like any reference.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from nbray.config import INLINE_LIMIT, REPLY_SECONDS
from nbray.exceptions import (
    ObjectLostError,
    ObjectStoreFullError,
    RayError,
    RaySystemError,
    RayTaskError,
    cluster_ended,
    told_of,
)
from nbray.ids import node_client
from nbray.postmortem import counted
from nbray.refs import ObjectRef
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.client.objects.objects import FAILED, PENDING, READY, STORED, Entry
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.runtime.core.worker.brain import Item
from nbray.runtime.shell.client.flag import Flag
from nbray.runtime.shell.client.loop import Loop
from nbray.runtime.shell.client.moved import Moved
from nbray.runtime.shell.client.sites import Sites
from nbray.runtime.shell.client.waiting import Waiting
from nbray.runtime.shell.machine.descriptors import limit
from nbray.runtime.store.mappings import Mappings
from nbray.runtime.store.segments import SegmentGone
from nbray.wire import messages as m
from nbray.wire.failures import alike
from nbray.wire.pickling import Packed, pack, unpack, unpack_error, unpack_many

if TYPE_CHECKING:
    from nbray.engine import Engine

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
MANY = 64
"""References from which on a value is unpickled with a pickler made for them."""
BACKLOG = 4096
"""Counts to settle from which on whoever makes more of them settles them itself: the loop thread
would take the interpreter from it to do so, later and for more of them."""


class Vanished(Exception):
    """The last copy of an object that was there is gone: it is to be waited for once more.

    `copies`: what was not found of which object, if it was looked for.
    """

    def __init__(self, *copies: tuple[m.Ref, Sequence[m.Slot]]) -> None:
        self.copies = copies


class Memory:
    """Values of one client."""

    def __init__(self, loop: Loop, brain: ClientBrain, engine: Engine, mappings: Mappings) -> None:
        self._loop = loop
        self._brain = brain
        self.engine = engine
        self._mappings = mappings
        self.waiting = Waiting(loop, brain)
        self._tokens = itertools.count(1)
        self._viewed: Counter[m.Slot] = Counter()
        self.moved = Moved(self, mappings)
        self.sites = Sites(brain.objects.owned)
        self.wait: Callable[[list[Entry]], object] = lambda pending: self.waiting.wait_for(
            pending, len(pending), None
        )
        """Waits for entries, as the task that runs here does."""
        self._drop = brain.objects.dropped.append
        self._added = brain.objects.added.append
        self.node = node_client(brain.node)
        self.me = brain.me
        drop, added = self._drop, self._added

        def restore(owner: int, seq: int) -> ObjectRef[Any]:
            added((owner, seq))
            return ObjectRef(owner, seq, engine, drop)

        self.restore = restore
        """Makes a reference met while unpickling: (owner, seq). There may be thousands."""

    def held_views(self) -> set[m.Slot]:
        """Slots over which views live."""
        return set(self._viewed)

    def is_viewed(self, slot: m.Slot) -> bool:
        """Whether a view over *slot* lives."""
        return slot in self._viewed

    # -- references --------------------------------------------------------------

    def own(self, seq: int) -> ObjectRef[Any]:
        """The first reference to an object of ours (its entry counts it already)."""
        return ObjectRef(self._brain.me, seq, self.engine, self._drop)

    # -- asking ---------------------------------------------------------------------

    def request(self, to: int, make: Callable[[int], m.Message]) -> Any:
        """Send a request and wait for its answer; raises as `ask` does."""
        return self.ask(lambda token: [Send(to, make(token))])

    def ask(self, act: Callable[[int], list[ClientEffect]], token: int = 0) -> Any:
        """Do what sends a request under *token*, and wait for the answer.

        Raises:
            RaySystemError: no answer came, or the cluster has ended.
        """
        token = token or next(self._tokens)
        brain, loop = self._brain, self._loop
        event = Flag()
        brain.replies.expect(token, loop.notify(event))

        def start() -> list[ClientEffect]:
            now = self._loop.now()
            return [*brain.pump(now), *act(token), *brain.pump(now)]

        def done() -> bool:
            return brain.replies.has(token) or bool(brain.ended)

        try:
            loop.wait(done, self._loop.now() + REPLY_SECONDS, event, start)
        except BaseException:  # an interrupt: what the answer brings must not be lost
            loop.locked(lambda: brain.abandon(token))
            raise
        answer = brain.replies.take(token)
        if answer is None:
            if brain.ended:
                raise cluster_ended(brain.ended)
            raise RaySystemError(f"the cluster did not answer for {REPLY_SECONDS:.0f} s")
        return answer

    # -- storing -----------------------------------------------------------------------

    def store(self, packed: Packed, owner: int, what: str) -> m.Slot:
        """Write a packed value into this node's store for *owner*.

        Raises:
            ObjectStoreFullError: it does not fit; says what to do.
        """
        slot: m.Slot | None = None
        token, me, moved = next(self._tokens), self._brain.me, self.moved
        moved.fill(token)
        try:
            answer = self.ask(
                lambda token: [Send(self.node, m.Allocate(me, token, packed.size, owner))], token
            )
            slot = answer.slot
            if slot is None:
                raise _full(answer.kind)(
                    f"{what} does not fit in the object store: {answer.why}"
                )
            self._mappings.fill(slot, packed.pieces())
        except BaseException as error:
            taken = slot
            if taken is None:
                raise
            self._loop.locked(lambda: self._brain.objects.free_slots([taken]))
            if not isinstance(error, OSError):
                raise
            out_of_disk = taken.on_disk and error.errno in NO_ROOM
            raise _full(m.Why.OUT_OF_DISK if out_of_disk else m.Why.FULL)(
                f"{what} could not be written to the object store: {error}"
            ) from error
        finally:
            moved.filled(token)
        return slot

    def early(self, item: Item | None, index: int) -> Callable[[Any], None]:
        """See `Context.early`; *item* is the running task."""
        if item is None:
            raise RaySystemError("only a running task can give a return before it ends")
        caller, seq, name = item.caller, item.seq + index, item.spec.name

        def give(value: Any) -> None:
            packed = pack(value, f"an early return of {name}")
            if packed.refs:
                raise TypeError(f"an early return of {name} must hold no references")
            if packed.size > INLINE_LIMIT:
                given = m.Value(b"", [self.store(packed, caller, f"an early return of {name}")])
            else:
                given = m.Value(packed.join())
            self._loop.locked(lambda: [Send(caller, m.Early(self._brain.me, seq, given))])

        return give

    def put(self, packed: Packed, what: str) -> ObjectRef[Any]:
        """Store a packed value as an object of ours.

        Raises:
            ObjectStoreFullError: it does not fit; says what to do.
        """
        brain = self._brain
        slot = self.store(packed, brain.me, what)
        seq = brain.objects.store(m.Value(b"", [slot], list(packed.refs)))
        self.sites.note(seq)
        return self.own(seq)

    # -- reading -------------------------------------------------------------------------

    def read(self, entry: Entry) -> Any:
        """The value of a settled entry.

        Raises:
            Exception: the entry's own error.
            ObjectLostError: its bytes are gone.
            Vanished: it is not settled any more.
        """
        if entry.state == READY:
            if len(entry.refs) > MANY:
                return self._unpack_many(entry.value)
            return unpack(entry.value, self.restore)
        if entry.state == STORED:
            return self._view(entry)
        if entry.state == PENDING:
            raise Vanished
        raise self.error(entry)

    def values(self, entries: Sequence[Entry]) -> list[Any]:
        """The values of settled entries.

        Raises:
            Exception: what `failure` gives for the first that failed.
            Vanished: one of them is not settled any more.
        """
        restore = self.restore
        for entry in entries:
            if entry.state != READY or len(entry.refs) > MANY:
                break
        else:  # mostly; the rest would cost a single small value a tenth
            return [unpack(entry.value, restore) for entry in entries]
        failed = next((entry for entry in entries if entry.state == FAILED), None)
        if failed is not None:
            raise self.failure(failed, entries)
        self.localize(entries)
        return [self.read(entry) for entry in entries]

    def failure(self, failed: Entry, entries: Sequence[Entry]) -> BaseException:
        """The error of *failed*, one of *entries*; says how many of them failed alike so far."""
        error = self.error(failed)
        task = told_of(error)
        if task is not None and len(entries) > 1:
            _count_alike(task, failed, entries)
        return error

    def fetched(self, ref: ObjectRef[Any]) -> Any:
        """The value of *ref*, waited for without giving the CPU back: it is there already."""
        entries = self.entries([ref])
        while True:
            pending = [entry for entry in entries if not entry.state]
            if pending:
                self.waiting.wait_for(pending, 1, None)
            with contextlib.suppress(Vanished):
                self.localize(entries)
                return self.read(entries[0])

    def error(self, entry: Entry) -> BaseException:
        """The error of a failed entry."""
        if entry.state != FAILED:
            return TypeError("an actor's life has no value: use its handle")
        value = entry.value
        if value is None or not value.data:
            return ObjectLostError(
                "the object is gone: its owner freed it when the last reference that it knew of "
                "went away"
            )
        return unpack_error(value.data)

    def _view(self, entry: Entry) -> Any:
        slot = entry.local
        if slot is None:
            raise Vanished  # it was here when it was looked at
        return self.view(slot, entry.key, len(entry.refs) > MANY)

    def view(self, slot: m.Slot, key: m.Ref, many: bool = False) -> Any:
        """The value in a local slot, with *many* references or few.

        Arrays over it hold *key* until they are gone.

        Raises:
            OwnerDiedError: the slot's owner is dead, so only views that exist already keep it.
        """
        lost = self._brain.objects.lost(key[0])
        if lost is not None and slot not in self._viewed:
            raise unpack_error(lost)
        self._added(key)
        self._viewed[slot] += 1
        moved = self.moved

        def release() -> None:
            # Runs inside garbage collection: single operations only.
            self._viewed[slot] -= 1
            if self._viewed[slot] <= 0:
                self._viewed.pop(slot, None)
                if moved.pins is not None:
                    moved.pins.leave(slot)
            self._drop(key)

        try:
            place = slot if moved.pins is None else self._placed(slot, release)
            data = self._mappings.readonly(place, release)
        except SegmentGone as gone:
            release()
            raise ObjectLostError(f"the object's memory is gone: {gone}") from gone
        except OSError as error:
            release()
            raise RaySystemError(
                f"the object cannot be read here: {error.strerror or error}. This process may have "
                f"{limit():,} files and connections open at a time (ulimit -n)"
            ) from error
        return self._unpack_many(data) if many else unpack(data, self.restore)

    def _placed(self, slot: m.Slot, release: Callable[[], None]) -> m.Slot:
        """Where to read *slot*; if that is not to be had, nobody views it."""
        try:
            return self.moved.place(slot)
        except (SegmentGone, OSError):
            raise  # `view` words them
        except BaseException:  # an interrupt of who asked, too
            release()
            raise

    def _unpack_many(self, data: bytes | memoryview) -> Any:
        value = unpack_many(data, self.restore)
        objects = self._brain.objects
        if len(objects.added) + len(objects.dropped) > BACKLOG:
            self._loop.flush()
        return value

    def address(self, owner: int, seq: int) -> tuple[int, int]:
        """(where an object's bytes are mapped here, how many views of them live); (0, 0) if not."""
        entry = self._brain.objects.find((owner, seq))
        slot = entry.local if entry is not None else None
        views = self._viewed.get(slot, 0) if slot is not None else 0
        if slot is None or not views:
            return 0, 0
        return self._mappings.address(self.moved.known(slot)), views

    def value(self, value: m.Value, key: m.Ref, waits: bool = True) -> Any:
        """A value that came with a task.

        Raises:
            Exception: the value's own error.
            Vanished: it is not there any more, and who asks does not want to wait (*waits*).
        """
        while True:
            if value.failed:
                raise unpack_error(value.data)
            if not value.slots:
                if len(value.refs) > MANY:
                    return self._unpack_many(value.data)
                return unpack(value.data, self.restore)
            local = next((slot for slot in value.slots if slot.node == self._brain.node), None)
            try:
                if local is None:
                    local = self.fetch(key, value.slots)
                return self.view(local, key, len(value.refs) > MANY)
            except Vanished:
                if not waits:
                    raise
                value = self._once_more(key)

    def _once_more(self, key: m.Ref) -> m.Value:
        """The value of an object that came with a task, when it has been made again."""
        objects = self._brain.objects
        self._added(key)  # the caller holds it as long as the task runs
        try:
            self._loop.flush()
            entry = objects.require(key)
            while not entry.state:
                self.wait([entry])
            return objects.value_of(entry)
        finally:
            self._drop(key)

    def fetch(self, key: m.Ref, slots: Sequence[m.Slot]) -> m.Slot:
        """Bring an object to this node; its slot here.

        Raises:
            ObjectLostError: it cannot be had.
            ObjectStoreFullError: it does not fit here; says what to do.
            Vanished: none of these copies is there; its owner has been told.
        """
        objects = self._brain.objects
        entry = objects.find(key)
        if entry is not None and entry.local is not None:
            return entry.local
        began = self._loop.now()
        answer = self.request(
            self.node,
            lambda token: m.Fetch(self._brain.me, token, key[0], key[1], list(slots)),
        )
        self._brain.waited_for_data(int((self._loop.now() - began) * 1e6))
        if answer.slot is None:
            lost = objects.lost(key[0])
            if lost is not None:
                raise unpack_error(lost)
            if answer.kind == m.Why.LOST:
                told = m.Bounced(self._brain.me, [], gone=[(key, list(slots))])
                self._loop.locked(lambda: self._brain.handle(told, self._loop.now()))
                raise Vanished((key, slots))
            full = answer.kind in {m.Why.FULL, m.Why.OUT_OF_DISK}
            error = _full(answer.kind) if full else ObjectLostError
            raise error(f"the object could not be brought here: {answer.why}")
        slot: m.Slot = answer.slot
        self._loop.locked(lambda: objects.fetched(objects.find(key), slot))
        return slot

    def localize(self, entries: Iterable[Entry]) -> None:
        """Bring stored objects that are on other nodes to this one."""
        objects = self._brain.objects
        for entry in entries:
            if entry.state == STORED and entry.local is None:
                objects.fetched(entry, self.fetch(entry.key, entry.value.slots))

    def bring(self, refs: Sequence[ObjectRef[Any]]) -> None:
        """Bring ready objects to this node; one that cannot be had says so when it is read."""
        for entry in self.entries(refs):
            with contextlib.suppress(RayError, Vanished):
                self.localize([entry])

    # -- entries --------------------------------------------------------------------------

    def entries(self, refs: Sequence[ObjectRef[Any]]) -> list[Entry]:
        """The entries of *refs*; makes foreign ones known first."""
        objects = self._brain.objects
        me, owned, foreign = self._brain.me, objects.owned, objects.foreign
        engine = self.engine
        try:
            return [
                owned[ref.seq] if ref.owner == me
                else foreign[ref.owner, ref.seq] if ref._engine is engine else self.refuse(ref)
                for ref in refs
            ]  # fmt: skip
        except KeyError:
            self._loop.flush()
            return [objects.require((ref.owner, ref.seq)) for ref in refs]

    def refuse(self, ref: ObjectRef[Any]) -> Entry:
        """Raise for *ref* if it is of a cluster that has ended; its entry otherwise.

        Raises:
            RaySystemError: it is.
        """
        if ref._engine is not self.engine and ref._engine.ended:
            raise ref.ended()
        return self._brain.objects.foreign[ref.owner, ref.seq]


def _full(kind: m.Why) -> type[RayError]:
    """The error of who finds no room."""
    if kind == m.Why.OUT_OF_DISK:
        from nbray.unraised_exceptions import OutOfDiskError  # late: hardly ever

        return OutOfDiskError
    return ObjectStoreFullError


def _count_alike(error: RayTaskError, failed: Entry, entries: Sequence[Entry]) -> None:
    if failed.value is None or not failed.value.data:
        return
    asked = {entry.key: entry for entry in entries}.values()
    kind, frames = alike(failed.value.data)
    same = [
        more
        for what, more in (
            alike(entry.value.data)
            for entry in asked
            if entry.state == FAILED and entry.value is not None and entry.value.data
        )
        if what == kind
    ]
    error.alike = len(same)
    error.among = len(asked)
    # Only the first few of each process carry their frames.
    error.frames = frames or next(filter(None, same), b"")
    if error.alike > 1:
        error.add_note(f"({counted(error.alike, error.among, error.frames)})")
