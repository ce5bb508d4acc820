"""The native engine: the Engine protocol over a client brain, in a driver or a worker.

Owns nothing but the composition and the translation of calls; see `calls`,
`memory`, `loop` and the brains. Rule: user threads touch the brain only
through `submitted`, the counts' deques, or under the loop's lock.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from nbray import session
from nbray.config import BATCH_TASKS, INLINE_LIMIT
from nbray.engine import Capabilities, Function
from nbray.exceptions import cluster_ended
from nbray.generators import ObjectRefGenerator
from nbray.hosting.imports import Imports
from nbray.hosting.modules import Modules
from nbray.options import TaskOptions
from nbray.refs import ObjectRef
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.client.host import Host
from nbray.runtime.core.client.objects.objects import FAILED, Entry
from nbray.runtime.core.client.streams import StreamTask
from nbray.runtime.core.client.task_records import Task
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.runtime.core.worker.brain import Item, WorkerBrain
from nbray.runtime.shell.client.actors import NativeActors
from nbray.runtime.shell.client.callbacks import Callbacks
from nbray.runtime.shell.client.calls import Calls
from nbray.runtime.shell.client.cells import NativeCells
from nbray.runtime.shell.client.cluster import NativeCluster
from nbray.runtime.shell.client.context import NativeContext
from nbray.runtime.shell.client.delivery import Delivery
from nbray.runtime.shell.client.environments import Environments
from nbray.runtime.shell.client.futures import Futures, failed
from nbray.runtime.shell.client.insight import NativeInsight
from nbray.runtime.shell.client.loop import Loop
from nbray.runtime.shell.client.memory import Memory, Vanished
from nbray.runtime.shell.client.pausing import Pause, waited
from nbray.runtime.shell.client.sites import recorded
from nbray.runtime.store.mappings import Mappings
from nbray.wire import messages as m
from nbray.wire.pickling import pack

if TYPE_CHECKING:
    from concurrent.futures import Future


class NativeEngine:
    """A client of a native cluster. See `nbray.engine.Engine` for the methods."""

    capabilities = Capabilities("native")

    def __init__(
        self,
        brain: ClientBrain,
        loop: Loop,
        *,
        registered: m.Registered,
        namespace: str,
        folder: str = "",
        worker: WorkerBrain | None = None,
        running: Callable[[], Item | None] = lambda: None,
        on_shutdown: Callable[[], None] = lambda: None,
        joinable: Callable[[str], str] | None = None,
        modules: Modules | Imports | None = None,
        mappings: Mappings | None = None,
        callbacks: Callbacks | None = None,
    ) -> None:
        self._brain = brain
        self._loop = loop
        self._worker = worker
        self._running = running
        self._on_shutdown = on_shutdown
        self.memory = Memory(
            loop, brain, self, mappings or Mappings(registered.node_pid, folder)
        )
        self._delivery = Delivery(loop, brain)
        self._deliver = self._delivery.all
        self.cluster = NativeCluster(brain, loop, self.memory, registered, joinable)
        environments = Environments()
        self.context = NativeContext(
            brain, registered, self.memory, self._delivery, self.cluster,
            namespace=namespace, folder=folder, worker=worker, running=running,
            environments=environments,
        )  # fmt: skip
        self.calls = Calls(
            brain, self.memory, self.context.origin, modules or Modules(),
            running if worker is not None else None, loop.now, environments,
        )  # fmt: skip
        if recorded(os.environ):
            own: Any = self
            own._launch = self.memory.sites.noting(self._launch)
            own.put = self.memory.sites.noting(self.put)
        self.actors = NativeActors(
            brain, loop, self.memory, self.calls, self.context, self._launch, self.cluster.located
        )
        self.cells = NativeCells(brain, loop, self._delivery)
        self.insight = NativeInsight(brain, loop, self.memory, self.cluster.address)
        self.memory.wait = lambda pending: waited(
            self._pause(), pending, None,
            lambda seconds: self.memory.waiting.wait_for(pending, len(pending), seconds),
        )  # fmt: skip
        self._submitted = brain.submitted.append
        self._drop = brain.objects.dropped.append
        self._closed = False
        self._callbacks = callbacks or Callbacks()
        self._futures = Futures(loop, brain, self.memory, self._callbacks)
        brain.attach(
            Host(
                held_views=self.memory.held_views,
                use_pins=self.memory.moved.use_pins,
                cell_label=session.cell_label,
                site=self.memory.sites.find,
                defined=self.calls.definitions.defined,
                crowded=lambda: self._callbacks.later(self._deliver),
            )
        )
        if registered.pins:  # the store was full before
            self.memory.moved.use_pins(registered.pins)

    @property
    def ended(self) -> str:
        """Why the cluster has ended (see `Engine.ended`)."""
        return self._brain.ended

    # -- tasks -------------------------------------------------------------------

    def submit(
        self, function: Function, args: Sequence[Any], kwargs: dict[str, Any], options: TaskOptions
    ) -> list[ObjectRef[Any]]:
        """Start a task (see `Engine.submit`)."""
        if session.halted:
            session.check_run()
        calls = self.calls
        if options.where is not None:
            options = self.cluster.chosen(options)
        task, seq = calls.task(calls.work(function, options), args, kwargs, options.num_returns)
        return self._launch(task, task, seq, options.num_returns)

    def _launch(self, task: Task, item: Any, seq: int, returns: int) -> list[ObjectRef[Any]]:
        brain = self._brain
        if brain.ended:
            raise cluster_ended(brain.ended)
        me, drop = brain.me, self._drop
        if returns < 0:
            return self._launch_stream(task, item, seq)
        refs: list[ObjectRef[Any]] = [
            ObjectRef(me, number, self, drop) for number in range(seq, seq + returns)
        ]
        self._submitted(item)
        if not brain.tasks.unfinished or len(brain.submitted) >= BATCH_TASKS:
            self._loop.flush()
        else:
            self._loop.nudge()
        return refs

    def _launch_stream(self, task: Task, item: Any, seq: int) -> list[ObjectRef[Any]]:
        """Submit a task that yields its returns; whoever keeps them all is told of one object."""
        brain = self._brain
        assert isinstance(task, StreamTask)
        stream = task.stream
        ref: ObjectRef[Any] = ObjectRef(brain.me, seq, self, self._drop)
        self._submitted(item if item is not task else (brain.tasks.add, (task,)))
        if stream.most:
            self._submitted((brain.tasks.streams.opened, stream))
        self._loop.flush()
        if stream.kept:
            return [ref]
        from nbray.runtime.shell.client.streams import NativeStream  # late: few programs stream

        reader = NativeStream(stream, ref, brain, self._loop, self)
        return cast("list[ObjectRef[Any]]", [ObjectRefGenerator(reader)])

    def cancel(
        self, ref: ObjectRef[Any], force: bool, recursive: bool, interrupts: bool = False
    ) -> None:
        """Cancel a task (see `Engine.cancel`)."""

        def act() -> list[ClientEffect]:
            now = self._loop.now()
            effects = self._brain.pump(now)
            if ref.owner != self._brain.me:
                owned = m.CancelOwned(
                    self._brain.me, [ref.seq], force, recursive, interrupts
                )
                return [*effects, Send(ref.owner, owned)]
            task = self._brain.cancelling.making((ref.owner, ref.seq))
            if task is not None:
                effects += self._brain.cancel([task], force, recursive, now, interrupts)
            return effects

        if force and self._is_actor_call(ref):
            raise ValueError("force=True cannot cancel an actor's call: use nbray.kill(actor)")
        self._loop.locked(act)

    def _is_actor_call(self, ref: ObjectRef[Any]) -> bool:
        entry = self._brain.objects.find((ref.owner, ref.seq))
        task = entry.maker if entry is not None else None
        return isinstance(task, Task) and task.work.pool is None

    # -- objects --------------------------------------------------------------------

    def get(self, refs: Sequence[ObjectRef[Any]], timeout: float | None) -> list[Any]:
        """Values (see `Engine.get`)."""
        memory = self.memory
        entries = memory.entries(refs)
        began = self._loop.now() if timeout is not None else 0.0
        pending = [entry for entry in entries if not entry.state]
        failed: Entry | None = None
        if pending:
            failed = next((entry for entry in entries if entry.state == FAILED), None)
            if failed is None:
                _, (left, failed) = waited(
                    self._pause(), pending, timeout,
                    lambda seconds: memory.waiting.gather(pending, seconds),
                )  # fmt: skip
                if left and failed is None:
                    raise memory.waiting.timed_out(timeout or 0, left, len(refs))
        if self._brain.printed:
            self._deliver()
        if failed is not None:
            raise memory.failure(failed, entries)
        try:
            return memory.values(entries)
        except Vanished:  # the last copy of one is gone: it is waited for once more
            if timeout is not None:
                timeout = max(0.0, timeout - (self._loop.now() - began))
            return self.get(refs, timeout)

    def _pause(self) -> Pause | None:
        """How a worker's task waits; None for whoever holds no CPUs."""
        worker = self._worker
        if worker is None:
            return None
        item = self._running() or worker.current  # a thread of the task's own may not know it
        if item is None or worker.current is not item:
            return None
        return Pause(self._loop, worker, item)

    def put(self, value: Any) -> ObjectRef[Any]:
        """Store a value (see `Engine.put`)."""
        brain = self._brain
        packed = pack(value, "the value to put")
        if packed.size > INLINE_LIMIT:
            return self.memory.put(packed, "the value")
        data = packed.join() if packed.buffers else packed.stream
        seq = brain.objects.keep(data, packed.refs)
        return ObjectRef(brain.me, seq, self, self._drop)

    def wait(
        self,
        refs: Sequence[ObjectRef[Any]],
        num_returns: int,
        timeout: float | None,
        fetch_local: bool,
    ) -> tuple[list[ObjectRef[Any]], list[ObjectRef[Any]]]:
        """Some of them (see `Engine.wait`)."""
        memory, brain = self.memory, self._brain
        if not brain.printed:
            found = self._ready_ahead(refs, num_returns)
            if found is not None:
                if fetch_local and len(brain.members) > 1:
                    memory.bring(found[0])
                return found
        entries = memory.entries(refs)
        pending = [entry for entry in entries if not entry.state]
        missing = num_returns - (len(entries) - len(pending))
        if missing > 0 and pending:
            few = min(missing, len(pending))
            waited(
                self._pause(), pending, timeout,
                lambda seconds: memory.waiting.wait_for(pending, few, seconds),
            )  # fmt: skip
        if brain.printed:
            self._deliver()
        ready: list[ObjectRef[Any]] = []
        rest: list[ObjectRef[Any]] = []
        for ref, entry in zip(refs, entries, strict=True):
            if entry.state and len(ready) < num_returns:
                ready.append(ref)
            else:
                rest.append(ref)
        if fetch_local and len(brain.members) > 1:
            memory.bring(ready)
        return ready, rest

    def _ready_ahead(
        self, refs: Sequence[ObjectRef[Any]], wanted: int
    ) -> tuple[list[ObjectRef[Any]], list[ObjectRef[Any]]] | None:
        """What `wait` returns if the first ones are ready: a loop of waits need not look at all."""
        me, owned, foreign = self._brain.me, self._brain.objects.owned, self._brain.objects.foreign
        if wanted == 1:
            first = refs[0]
            if first.owner == me and (known := owned.get(first.seq)) is not None and known.state:
                return [first], list(refs[1:]) if type(refs) is not list else refs[1:]
        ready: list[ObjectRef[Any]] = []
        rest: list[ObjectRef[Any]] = []
        for position, ref in enumerate(refs):
            entry = owned.get(ref.seq) if ref.owner == me else foreign.get((ref.owner, ref.seq))
            if entry is not None and entry.state:
                ready.append(ref)
                if len(ready) == wanted:
                    rest.extend(refs[position + 1 :])
                    return ready, rest
            elif position > 2 * wanted + 16:
                return None
            else:
                rest.append(ref)
        return None

    def future(self, ref: ObjectRef[Any]) -> Future[Any]:
        """A future (see `Engine.future`)."""
        if self._closed:
            return failed(ref.ended())
        return self._futures.of(ref)

    # -- callbacks outside the lock -----------------------------------------------------

    def after_round(self, now: float) -> list[ClientEffect]:
        """Called by the loop thread: have printed text shown, and nobody wait for what is gone."""
        if self._brain.ended:
            self._futures.end()
        if self._brain.printed or 0.0 < self._delivery.folding.due <= now:
            self._callbacks.later(self._deliver)
        return []

    # -- the end ---------------------------------------------------------------------------------

    def forked(self) -> None:
        """In a forked process (see `Engine.forked`)."""
        self._loop.forked()

    def shutdown(self) -> None:
        """End this driver's part (see `Engine.shutdown`)."""
        if self._closed:
            return
        self._closed = True
        self._delivery.end()
        if not self._brain.ended:
            with contextlib.suppress(Exception):
                goodbye = Send(self.memory.node, m.Goodbye(self._brain.me))
                self._loop.locked(lambda: [*self._brain.leave(self._loop.now()), goodbye])
        self._brain.end("nbray.shutdown() was called")
        self._loop.locked(self._futures.end)
        self._loop.close()
        self._callbacks.close()
        self._on_shutdown()
