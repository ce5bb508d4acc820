"""nbray's API for simulated programs: generators in place of blocking calls.

Owns what `runtime.shell.client.engine`, `.calls` and `.memory` own in a real client.
A call that may block is a generator, to be used with `yield from`. Rule: the
brain is touched the way the shells touch it, in the same order.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from nbray.config import REPLY_SECONDS, RESUME_SECONDS
from nbray.engine import ActorInfo
from nbray.exceptions import (
    GetTimeoutError,
    ObjectLostError,
    ObjectStoreFullError,
    RaySystemError,
)
from nbray.ids import HEAD, node_client
from nbray.options import UNIT
from nbray.refs import ObjectRef
from nbray.runtime.core.client import Group, Host
from nbray.runtime.core.effects import Effect, Send
from nbray.runtime.core.objects import FAILED, PENDING, READY, STORED, Entry
from nbray.runtime.core.work import Task, Work
from nbray.wire import messages as m
from nbray.wire.pickling import pack, pack_call, unpack, unpack_error

if TYPE_CHECKING:
    from sim.clients import ClientProcess


Flow = Generator[Any, None, Any]


class Sleep(msgspec.Struct):
    """Yielded by a program: go on after this many virtual seconds."""

    seconds: float


class Until(msgspec.Struct):
    """Yielded by a program: go on when *done*, or after *timeout* seconds."""

    done: Callable[[], bool]
    timeout: float | None = None


class Exit(msgspec.Struct):
    """Yielded by a program: the process ends at once, as with `os._exit`."""


class Big:
    """A value that lies in the store; read from there, it is a view of its slot."""

    def __init__(self, payload: Any, size: int) -> None:
        self.payload = payload
        self.size = size
        self.view: View | None = None

    def __reduce__(self) -> Any:
        return Big, (self.payload, self.size)


class View:
    """Holds the object in a slot until it is dropped."""

    def __init__(self, api: Api, slot: m.Slot, key: m.Ref) -> None:
        self._api, self.slot, self._key = api, slot, key
        api.brain.objects.added.append(key)
        api.viewed[slot] += 1

    def check(self) -> None:
        """Fail if the memory was freed while it was viewed."""
        self._api.check_slot(self.slot)

    def __del__(self) -> None:
        viewed = self._api.viewed
        viewed[self.slot] -= 1
        if viewed[self.slot] <= 0:
            viewed.pop(self.slot, None)
        self._api.process.drop(self._key)


class Handle(msgspec.Struct):
    """A handle to an actor; holds its life."""

    info: ActorInfo
    life: Any


class Api:
    """What a program in one client can do."""

    def __init__(self, process: ClientProcess) -> None:
        self.process = process
        self.brain = process.brain
        self.world = process.world
        self.viewed: Counter[m.Slot] = Counter()
        self.brain.attach(Host(held_views=lambda: set(self.viewed)))
        self._tokens = itertools.count(1)
        self._specs = itertools.count(1)
        self._works: dict[Any, Work] = {}
        self._node = node_client(self.brain.node)

    # -- references -----------------------------------------------------------------

    def restore(self, owner: int, seq: int) -> ObjectRef[Any]:
        """A reference met while unpickling."""
        self.brain.objects.added.append((owner, seq))
        return ObjectRef(owner, seq, None, self.process.drop)  # type: ignore[arg-type]

    def _own(self, seq: int) -> ObjectRef[Any]:
        return ObjectRef(self.brain.me, seq, None, self.process.drop)  # type: ignore[arg-type]

    # -- asking ------------------------------------------------------------------------

    def ask(self, act: Callable[[int], list[Effect]], token: int = 0) -> Flow:
        """Send a request and wait for its answer."""
        token = token or next(self._tokens)
        brain, process = self.brain, self.process
        brain.replies.expect(token, process.check_threads)
        now = self.world.now
        process.perform([*brain.pump(now), *act(token), *brain.pump(now)])
        try:
            yield Until(lambda: brain.replies.has(token) or bool(brain.ended), REPLY_SECONDS)
        except BaseException:
            process.perform(brain.abandon(token))
            raise
        answer = brain.replies.take(token)
        if answer is None:
            raise RaySystemError(f"no answer: {brain.ended or f'for {REPLY_SECONDS:.0f} s'}")
        return answer

    def store(self, data: bytes, size: int, owner: int) -> Flow:
        """Put bytes that stand for *size* bytes into the store of this node."""
        answer = yield from self.ask(
            lambda token: [Send(self._node, m.Allocate(self.brain.me, token, size, owner))]
        )
        if answer.slot is None:
            raise ObjectStoreFullError(answer.why)
        slot: m.Slot = answer.slot
        self.world.memory[slot.node, slot.generation] = {"data": data, "chunks": None}
        return slot

    def check_slot(self, slot: m.Slot) -> bytes:
        """The bytes of a local slot; fails if they are not, or no longer, what they should be."""
        node = self.world.nodes[self.brain.node]
        if slot.node != self.brain.node:
            self.world.fail(f"{slot} is read on node {self.brain.node}")
        if node.alive and not node.books.is_live(slot):
            self.world.fail(f"{slot} was freed while it was viewed")
        cell = self.world.memory[slot.node, slot.generation]
        chunks = cell["chunks"]
        if chunks is not None and chunks != set(range(0, slot.size, 1 << 20)):
            self.world.fail(f"{slot} is read before all of it has come")
        data: bytes = cell["data"]
        return data

    # -- tasks -----------------------------------------------------------------------------

    def work(
        self, name: str, *, returns: int = 1, retries: int = 0, retry_on: bytes = b"",
        cpus: float = 1, node: int = 0, method: bool = False, **resources: float,
    ) -> Work:  # fmt: skip
        """The spec of a program with these options; made once."""
        job, depth = self.process.origin()
        key = (name, returns, retries, retry_on, cpus, node, method, job, depth, *resources)
        work = self._works.get(key)
        if work is None:
            shape = {} if method else {"CPU": int(cpus * UNIT)} if cpus else {}
            shape |= {kind: int(amount * UNIT) for kind, amount in resources.items()}
            digest = b"" if method else name.encode()
            spec = m.Spec(next(self._specs), digest, name, returns, retry_on, "", job, depth, shape)
            pool = None if method else self.brain.tasks.pools.pool(shape, depth, node)
            tally = self.brain.tally("", self.world.now)
            work = self._works[key] = Work(spec, retries, pool, tally, b"code of " + digest)
        return work

    def _task(
        self, work: Work, args: Sequence[Any], kwargs: dict[str, Any], size: int = 0
    ) -> Flow:
        brain = self.brain
        returns = work.spec.num_returns
        if returns > 1:
            seq = next(brain.objects.blocks)
        else:
            seq = next(brain.objects.numbers)
        task = Task(seq, work, b"", returns)
        packed, deps = pack_call(args, kwargs, work.spec.name)
        pins: tuple[m.Ref, ...] = packed.refs
        if size:
            slot = yield from self.store(packed.join(), size, brain.me)
            value = m.Value(b"", [slot], list(packed.refs))
            key = (brain.me, brain.objects.store(value, argument=True))
            task.extra = m.Extra(value, key)
            pins = (*pins, key)
        elif packed.refs:
            task.extra = m.Extra(m.Value(packed.join(), [], list(packed.refs)))
        else:
            task.args = packed.join()
        if deps:
            task.deps = [(where, (ref.owner, ref.seq)) for where, ref in deps]
            pins = (*pins, *(key for _, key in task.deps))
        task.pins = pins
        brain.objects.promise(task, seq, returns)
        return task

    def _launch(self, task: Task, item: Any) -> list[ObjectRef[Any]]:
        brain = self.brain
        if brain.ended:
            raise RaySystemError(f"the cluster has ended: {brain.ended}")
        self.world.charged[brain.me, task.seq] = task.work.max_retries
        refs = [self._own(number) for number in range(task.seq, task.seq + task.returns)]
        brain.submitted.append(item)
        if not brain.tasks.unfinished:
            self.process.perform(brain.pump(self.world.now))
        else:
            self.process.nudge()
        return refs

    def submit(
        self, name: str, *args: Any, options: dict[str, Any] | None = None, size: int = 0,
        **kwargs: Any,
    ) -> Flow:  # fmt: skip
        """Start a task; a list of its references. *size* makes its arguments large."""
        work = self.work(name, **(options or {}))
        task = yield from self._task(work, args, kwargs, size)
        return self._launch(task, task)

    def cancel(self, ref: ObjectRef[Any], force: bool = False) -> None:
        """Cancel a task or call."""
        effects = self.brain.pump(self.world.now)
        entry = self.brain.objects.find((ref.owner, ref.seq))
        task = entry.maker if entry is not None and entry.state == PENDING else None
        if isinstance(task, Task):
            effects += self.brain.cancel([task], force and task.work.pool is not None)
        self.process.perform(effects)

    # -- objects --------------------------------------------------------------------------

    def put(self, value: Any) -> Flow:
        """Store a value."""
        brain = self.brain
        packed = pack(value)
        if isinstance(value, Big):
            slot = yield from self.store(packed.join(), value.size, brain.me)
            seq = brain.objects.store(m.Value(b"", [slot], list(packed.refs)))
        else:
            seq = brain.objects.keep(packed.join(), packed.refs)
        return self._own(seq)

    def _entries(self, refs: Iterable[ObjectRef[Any]]) -> list[Entry]:
        objects = self.brain.objects
        found = [objects.find((ref.owner, ref.seq)) for ref in refs]
        if None in found:
            self.process.perform(self.brain.pump(self.world.now))
            return [objects.require((ref.owner, ref.seq)) for ref in refs]
        return found  # type: ignore[return-value]

    def _wait_for(self, pending: list[Entry], missing: int, timeout: float | None) -> Flow:
        brain, objects, process = self.brain, self.brain.objects, self.process
        group = Group(missing, process.check_threads)
        for entry in pending:
            if entry.state:
                group.missing -= 1
            else:
                objects.put_waiter(entry, group)
        process.perform(objects.ask(pending) + brain.pump(self.world.now))
        try:
            yield Until(lambda: group.missing <= 0 or bool(brain.ended), timeout)
        finally:
            if group.missing > 0 or missing < len(pending):
                for entry in pending:
                    if not entry.state:
                        objects.remove_waiter(entry, group)
        if group.missing > 0 and brain.ended:
            raise RaySystemError(f"the cluster has ended: {brain.ended}")
        return group.missing <= 0

    def _waiting(self, flow: Flow) -> Flow:
        worker = self.process.worker
        if worker is None or worker.current is None:
            return (yield from flow)
        process, item, pauses = self.process, worker.current, worker.pauses
        process.perform(worker.block(item))
        try:
            result = yield from flow
        except BaseException:
            process.perform([*worker.unblock(item), *pauses.go_on()])
            raise
        process.perform(worker.unblock(item))
        if pauses.awaits:
            pauses.wakers.append(process.check_threads)
            try:
                yield Until(lambda: not pauses.awaits or bool(self.brain.ended), RESUME_SECONDS)
            finally:
                process.perform(pauses.go_on())
        process.check_cpus()
        return result

    def get(self, refs: Sequence[ObjectRef[Any]], timeout: float | None = None) -> Flow:
        """The values of *refs*."""
        entries = self._entries(refs)
        pending = [entry for entry in entries if not entry.state]
        if pending:
            reached = yield from self._waiting(self._wait_for(pending, len(pending), timeout))
            if not reached:
                raise GetTimeoutError(f"get() ran out of time after {timeout} s")
        for entry in entries:
            if entry.state == STORED and entry.local is None:
                slot = yield from self._fetch(entry.key, entry.value.slots)
                self.brain.objects.fetched(entry, slot)
        return [self._read(entry) for entry in entries]

    def wait(self, refs: Sequence[ObjectRef[Any]], count: int, timeout: float | None) -> Flow:
        """Which of *refs* are ready, after waiting for *count* of them."""
        entries = self._entries(refs)
        pending = [entry for entry in entries if not entry.state]
        missing = count - (len(entries) - len(pending))
        if missing > 0 and pending:
            yield from self._waiting(self._wait_for(pending, min(missing, len(pending)), timeout))
        return [ref for ref, entry in zip(refs, entries, strict=True) if entry.state]

    def _read(self, entry: Entry) -> Any:
        if entry.state == READY:
            return unpack(entry.value, self.restore)
        if entry.state == STORED:
            assert entry.local is not None
            return self._view(entry.local, entry.key)
        if entry.state != FAILED:
            raise TypeError("an actor's life has no value")
        if entry.value is None or not entry.value.data:
            raise ObjectLostError("the object is gone: its owner has freed it")
        raise unpack_error(entry.value.data)

    def _view(self, slot: m.Slot, key: m.Ref) -> Any:
        lost = self.brain.objects.lost(key[0])
        if lost is not None and slot not in self.viewed:
            raise unpack_error(lost)
        view = View(self, slot, key)
        value = unpack(self.check_slot(slot), self.restore)
        if isinstance(value, Big):
            value.view = view
        return value

    def value(self, value: m.Value, key: m.Ref) -> Flow:
        """A value that came with a task."""
        if value.failed:
            raise unpack_error(value.data)
        if not value.slots:
            return unpack(value.data, self.restore)
        local = next((slot for slot in value.slots if slot.node == self.brain.node), None)
        if local is None:
            local = yield from self._fetch(key, value.slots)
        return self._view(local, key)

    def _fetch(self, key: m.Ref, slots: Sequence[m.Slot]) -> Flow:
        entry = self.brain.objects.find(key)
        if entry is not None and entry.local is not None:
            return entry.local
        answer = yield from self.ask(
            lambda token: [
                Send(self._node, m.Fetch(self.brain.me, token, key[0], key[1], list(slots)))
            ]
        )
        if answer.slot is None:
            lost = self.brain.objects.lost(key[0])
            if lost is not None:
                raise unpack_error(lost)
            raise ObjectLostError(f"the object could not be brought here: {answer.why}")
        self.brain.objects.fetched(self.brain.objects.find(key), answer.slot)
        return answer.slot

    # -- actors -------------------------------------------------------------------------------

    def actor(
        self, cls: str, *args: Any, name: str = "", restarts: int = 0, detached: bool = False,
        get_if_exists: bool = False, cpus: float = 0, node: int = 0, task_retries: int = 0,
    ) -> Flow:  # fmt: skip
        """Create an actor."""
        brain = self.brain
        if brain.ended:
            raise RaySystemError(f"the cluster has ended: {brain.ended}")
        work = self.work("__init__", method=True)
        task = yield from self._task(work, args, {})
        brain.objects.live(task.seq)
        life = self._own(task.seq)
        info = ActorInfo(
            class_name=cls, methods=(), max_task_retries=task_retries, actor=task.seq,
            owner=brain.me,
        )  # fmt: skip
        held = {"CPU": int(cpus * UNIT)} if cpus else {}
        job, _ = self.process.origin()
        spec = m.ActorSpec(
            owner=brain.me, actor=task.seq, name=name, namespace="sim", class_name=cls,
            function=cls.encode(), blob=b"code of " + cls.encode(), args=m.Value(),
            args_ref=(0, 0), deps=[], resources=held, placement=held or {"CPU": UNIT},
            max_restarts=restarts, max_concurrency=1, detached=detached,
            get_if_exists=get_if_exists, info=pack(info).join(), cell="", job=job, node=node,
        )  # fmt: skip
        if not name:
            brain.submitted.append((brain.actors.create, task, spec))
            self.process.perform(brain.pump(self.world.now))
            return Handle(info, life)
        answer = yield from self.ask(lambda token: brain.actors.create(task, spec), -task.seq)
        if answer.why:
            raise ValueError(answer.why)
        if answer.existing is not None:
            existing = unpack(answer.existing.info, self.restore)
            return Handle(existing, self.restore(existing.owner, existing.actor))
        return Handle(info, life)

    def call(
        self, handle: Handle, method: str, *args: Any, retries: int = 0, returns: int = 1,
        **kwargs: Any,
    ) -> Flow:  # fmt: skip
        """Call a method."""
        info = handle.info
        work = self.work(method, method=True, retries=retries, returns=returns)
        task = yield from self._task(work, args, kwargs)
        key = (info.owner, info.actor)
        return self._launch(task, (self.brain.actors.call, key, info.class_name, task))

    def get_actor(self, name: str) -> Flow:
        """A named actor."""
        found = yield from self.ask(
            lambda token: [Send(HEAD, m.FindActor(self.brain.me, token, name, "sim"))]
        )
        if not found.info:
            raise ValueError(f"no live actor is called {name!r}")
        info = unpack(found.info, self.restore)
        return Handle(info, self.restore(info.owner, info.actor))

    def kill(self, handle: Handle, no_restart: bool = True) -> None:
        """End an actor."""
        effects = self.brain.pump(self.world.now)
        key = (handle.info.owner, handle.info.actor)
        self.process.perform([*effects, *self.brain.actors.end(key, no_restart, "it was killed")])
