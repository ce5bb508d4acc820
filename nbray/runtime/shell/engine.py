"""The native engine: the Engine protocol over a client brain, in a driver or a worker.

Owns nothing but the composition and the translation of calls; see `calls`,
`memory`, `loop` and the brains. Rule: user threads touch the brain only
through `submitted`, the counts' deques, or under the loop's lock.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import msgspec

from nbray import session
from nbray.config import BATCH_TASKS, INLINE_LIMIT, MOST_LABEL, MOST_NAME
from nbray.details import Details, HoldingRecord
from nbray.engine import ActorInfo, Function, RuntimeInfo
from nbray.events import CellView, Display, Output, Snapshot
from nbray.exceptions import PendingCallsLimitExceeded, cluster_ended, reference_ended
from nbray.ids import FIRST_NODE, HEAD, client_hex, node_client
from nbray.options import ActorOptions, MethodOptions, TaskOptions
from nbray.refs import ObjectRef
from nbray.runtime.core.client import ClientBrain, Host
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.runtime.core.objects import FAILED, Entry
from nbray.runtime.core.placement import total
from nbray.runtime.core.work import Task
from nbray.runtime.core.worker import Item, WorkerBrain
from nbray.runtime.shell.address import join_address
from nbray.runtime.shell.calls import Calls, placement
from nbray.runtime.shell.delivery import Delivery
from nbray.runtime.shell.futures import Futures
from nbray.runtime.shell.imports import Imports
from nbray.runtime.shell.looking import described, end_node, holdings, join_line, look_around, where
from nbray.runtime.shell.loop import Loop
from nbray.runtime.shell.memory import Memory
from nbray.runtime.shell.modules import Modules
from nbray.runtime.shell.outside import Outside
from nbray.runtime.shell.pausing import Pause, waited
from nbray.runtime.store.mappings import Mappings
from nbray.wire import messages as m
from nbray.wire.pickling import pack, unpack
from nbray.wire.shorten import label


class NativeEngine:
    """A client of a native cluster. See `nbray.engine.Engine` for the methods."""

    name = "native"

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
    ) -> None:
        self._brain = brain
        self._loop = loop
        self._registered = registered
        self._namespace = namespace or client_hex(brain.me)
        self._worker = worker
        self._running = running
        self._on_shutdown = on_shutdown
        self._joinable = joinable
        self.memory = Memory(loop, brain, self, Mappings(registered.node_pid, folder))
        self.calls = Calls(brain, self.memory, self._origin, modules or Modules(),
                           running if worker is not None else None)  # fmt: skip
        self._submitted = brain.submitted.append
        self._drop = brain.objects.dropped.append
        self._watching = False
        self._closed = False
        self._folder = folder
        self._outside = Outside()
        self._futures = Futures(loop, brain, self.memory, self._outside)
        self._delivery = Delivery(loop, brain)
        self._deliver = self._delivery.all
        self._asked: dict[str, set[int]] = {}
        """What `cancel_cell` has asked to end, by cell, until it is forced."""
        brain.attach(
            Host(
                held_views=self.memory.held_views,
                cell_label=session.cell_label,
                defined=self.calls.definitions.defined,
                crowded=lambda: self._outside.later(self._deliver),
            )
        )

    def _origin(self) -> tuple[int, int, str]:
        item = self._running()
        actor = self._worker.actor if self._worker is not None else None
        if actor is not None and self._delivery.sink is not None:  # its work is its own
            return self._brain.me, 0, actor.spec.namespace
        if item is not None:
            return item.spec.job, item.spec.depth + 1, item.spec.namespace
        if actor is not None:  # a thread of the actor's own
            return actor.spec.job, 1, actor.spec.namespace
        return self._brain.me, 0, self._namespace

    @property
    def _where(self) -> str:
        """The namespace of the code that runs here and now."""
        return self._origin()[2]

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
        task, seq = calls.task(calls.work(function, options), args, kwargs, options.num_returns)
        return self._launch(task, task, seq, options.num_returns)

    def _launch(self, task: Task, item: Any, seq: int, returns: int) -> list[ObjectRef[Any]]:
        brain = self._brain
        if brain.ended:
            raise cluster_ended(brain.ended)
        me, drop = brain.me, self._drop
        refs: list[ObjectRef[Any]] = [
            ObjectRef(me, number, self, drop) for number in range(seq, seq + returns)
        ]
        self._submitted(item)
        if not brain.tasks.unfinished or len(brain.submitted) >= BATCH_TASKS:
            self._loop.flush()
        else:
            self._loop.nudge()
        return refs

    def cancel(self, ref: ObjectRef[Any], force: bool, recursive: bool) -> None:
        """Cancel a task (see `Engine.cancel`)."""

        def act() -> list[ClientEffect]:
            now = time.monotonic()
            effects = self._brain.pump(now)
            if ref.owner != self._brain.me:
                owned = m.CancelOwned(self._brain.me, [ref.seq], force, recursive)
                return [*effects, Send(ref.owner, owned)]
            task = self._brain.cancelling.making((ref.owner, ref.seq))
            if task is not None:
                effects += self._brain.cancel([task], force, recursive, now)
            return effects

        if force and self._is_actor_call(ref):
            raise ValueError("force=True cannot cancel an actor's call: use nbray.kill(actor)")
        self._loop.locked(act)

    def _is_actor_call(self, ref: ObjectRef[Any]) -> bool:
        entry = self._brain.objects.find((ref.owner, ref.seq))
        task = entry.maker if entry is not None else None
        return isinstance(task, Task) and task.work.pool is None

    def cancel_cell(self, cell: str, force: bool) -> int:
        """Cancel a cell's unfinished work (see `Engine.cancel_cell`)."""
        count = 0

        def act() -> list[ClientEffect]:
            nonlocal count
            effects = self._brain.pump(time.monotonic())
            tasks = self._brain.unfinished(cell)
            asked = self._asked.pop(cell, None)
            if not force:
                self._asked[cell] = {task.seq for task in tasks}
            elif asked is not None:  # what was launched since then was not meant
                tasks = [task for task in tasks if task.seq in asked]
            count = len(tasks)
            return effects + self._brain.cancel(tasks, force)

        self._loop.locked(act)
        return count

    # -- objects --------------------------------------------------------------------

    def get(self, refs: Sequence[ObjectRef[Any]], timeout: float | None) -> list[Any]:
        """Values (see `Engine.get`)."""
        memory = self.memory
        entries = memory.entries(refs)
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
        return memory.values(entries)

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
        seq = brain.objects.keep(packed.join(), packed.refs)
        return ObjectRef(brain.me, seq, self, self._drop)

    def wait(
        self,
        refs: Sequence[ObjectRef[Any]],
        num_returns: int,
        timeout: float | None,
        fetch_local: bool,
    ) -> tuple[list[ObjectRef[Any]], list[ObjectRef[Any]]]:
        """Some of them (see `Engine.wait`)."""
        memory = self.memory
        apart = fetch_local and len(self._brain.members) > 1
        if not self._brain.printed:
            found = self._ready_ahead(refs, num_returns)
            if found is not None:
                if apart:
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
        if self._brain.printed:
            self._deliver()
        ready: list[ObjectRef[Any]] = []
        rest: list[ObjectRef[Any]] = []
        for ref, entry in zip(refs, entries, strict=True):
            if entry.state and len(ready) < num_returns:
                ready.append(ref)
            else:
                rest.append(ref)
        if apart:
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
            failed: Future[Any] = Future()
            failed.set_exception(ref.ended())
            return failed
        return self._futures.of(ref)

    # -- callbacks outside the lock -----------------------------------------------------

    def after_round(self, now: float) -> list[ClientEffect]:
        """Called by the loop thread: have printed text shown, and nobody wait for what is gone."""
        if self._brain.ended:
            self._futures.end()
        if self._brain.printed or 0.0 < self._delivery.folding.due <= now:
            self._outside.later(self._deliver)
        return []

    def unfinished(self, cell: str) -> int:
        """Tasks of a cell that have not ended (see `Engine.unfinished`)."""
        tally = self._brain.tallies.get(cell)
        return tally.left if tally is not None else 0

    def cell_view(self, cell: str) -> CellView | None:
        """A cell's work as counted here (see `Engine.cell_view`)."""
        return self._brain.cells(time.monotonic()).get(cell)

    def on_output(self, sink: Callable[[Output | Display], None] | None) -> None:
        """Where prints go (see `Engine.on_output`)."""
        self._delivery.sink = sink

    # -- actors ----------------------------------------------------------------------------

    def create_actor(
        self,
        cls: Function,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        options: ActorOptions,
        info: ActorInfo,
    ) -> tuple[ActorInfo, ObjectRef[Any]]:
        """Create an actor (see `Engine.create_actor`)."""
        if session.halted:
            session.check_run()
        brain = self._brain
        if brain.ended:
            raise cluster_ended(brain.ended)
        definition, blob = self.calls.definitions.portable(cls)
        class_name = label(cls.name, MOST_LABEL)
        work = self.calls.method(class_name, "__init__", MethodOptions(), 0)
        task, seq = self.calls.task(work, args, kwargs, 1)
        task.pins = (*task.pins, *definition.captured)
        brain.objects.live(seq)
        life = self.memory.own(seq)
        info = msgspec.structs.replace(info, actor=seq, owner=brain.me)
        held, placed = placement(options)
        job = self._origin()[0]
        spec = m.ActorSpec(
            owner=brain.me,
            actor=seq,
            name=options.name,
            namespace=options.namespace or self._where,
            class_name=class_name,
            function=definition.digest,
            blob=blob,
            args=m.Value(),
            args_ref=(0, 0),
            deps=[],
            resources=held,
            placement=placed,
            max_restarts=options.max_restarts,
            max_concurrency=options.max_concurrency,
            detached=options.lifetime == "detached",
            get_if_exists=options.get_if_exists,
            info=pack(info).join(),
            cell=session.cell.get(),
            job=job,
            node=options.node,
        )
        if not options.name:
            self._submitted((brain.actors.create, task, spec))
            self._loop.flush()
            return info, life

        def register(_token: int) -> list[ClientEffect]:
            return brain.actors.create(task, spec)

        answer = self.memory.ask(register, -seq)
        if answer.why:
            raise ValueError(answer.why)
        if answer.existing is not None:
            existing: ActorInfo = unpack(answer.existing.info, self.memory.restore)
            return existing, self.memory.restore(existing.owner, existing.actor)
        return info, life

    def call(
        self,
        info: ActorInfo,
        life: ObjectRef[Any],
        method: str,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        options: MethodOptions,
    ) -> list[ObjectRef[Any]]:
        """Call a method (see `Engine.call`)."""
        if life._engine is not self and life._engine.ended:
            what = f"the actor {info.class_name} ({info.hex()})"
            raise reference_ended(what, life._engine.ended)
        if session.halted:
            session.check_run()
        retries = options.max_task_retries
        if retries == -2:
            retries = info.max_task_retries
        key = (info.owner, info.actor)
        limit = info.max_pending_calls
        if limit > 0:
            self._loop.flush()
            link = self._brain.actors.links.get(key)
            if link is not None and len(link.queue) + len(link.inflight) >= limit:
                raise PendingCallsLimitExceeded(
                    f"{limit} calls of {info.class_name} are waiting already (max_pending_calls)"
                )
        work = self.calls.method(info.class_name, method, options, retries)
        task, seq = self.calls.task(work, args, kwargs, options.num_returns)
        item = (self._brain.actors.call, key, info.class_name, task)
        return self._launch(task, item, seq, options.num_returns)

    def get_actor(self, name: str, namespace: str) -> tuple[ActorInfo, ObjectRef[Any]]:
        """A named actor (see `Engine.get_actor`)."""
        where = namespace or self._where
        if max(len(name), len(where)) > MOST_NAME:
            raise ValueError(
                f"no actor is called by a name of {len(name):,} characters in a namespace of "
                f"{len(where):,}: they have at most {MOST_NAME:,}"
            )
        found = self.memory.request(
            HEAD, lambda token: m.FindActor(self._brain.me, token, name, where)
        )
        if not found.info:
            raise ValueError(
                f"no live actor is called {name!r} in namespace {where!r}: it was never made, "
                "has ended, or was made under another namespace"
            )
        info: ActorInfo = unpack(found.info, self.memory.restore)
        return info, self.memory.restore(info.owner, info.actor)

    def own_actor(self) -> tuple[ActorInfo, ObjectRef[Any]] | None:
        """The actor that this process is (see `Engine.own_actor`)."""
        actor = self._worker.actor if self._worker is not None else None
        if actor is None:
            return None
        info: ActorInfo = unpack(actor.spec.info, self.memory.restore)
        return info, self.memory.restore(info.owner, info.actor)

    def list_named_actors(self, all_namespaces: bool) -> list[tuple[str, str]]:
        """Named actors (see `Engine.list_named_actors`)."""
        answer = self.memory.request(
            HEAD,
            lambda token: m.ListActors(self._brain.me, token, self._where, all_namespaces),
        )
        names: list[tuple[str, str]] = answer.names
        return names

    def kill_actor(self, info: ActorInfo, no_restart: bool) -> None:
        """End an actor (see `Engine.kill_actor`)."""
        key = (info.owner, info.actor)
        self._loop.locked(
            lambda: [
                *self._brain.pump(time.monotonic()),
                *self._brain.actors.end(key, no_restart, "it was killed"),
            ]
        )

    # -- the cluster ---------------------------------------------------------------------------

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes, with Ray's keys and NodeNumber (see `Engine.nodes`)."""
        self._loop.flush()  # take what has arrived
        members = [node for _, node in sorted(self._brain.members.items())]
        return [described(node, self._registered.cluster) for node in members]

    def cluster_resources(self) -> dict[str, float]:
        """Totals (see `Engine.cluster_resources`)."""
        self._loop.flush()  # take what has arrived
        return total([node.total for node in self._brain.members.values() if node.alive])

    def available_resources(self) -> dict[str, float]:
        """What is free (see `Engine.available_resources`)."""
        self._loop.flush()  # take what has arrived
        return total([node.available for node in self._brain.members.values() if node.alive])

    def runtime(self) -> RuntimeInfo:
        """Where this code runs (see `Engine.runtime`)."""
        return where(
            self._brain, self._registered, self._running(), self._worker,
            RuntimeInfo(
                namespace=self._where, address=self._address(), session_dir=self._folder
            ),
        )  # fmt: skip

    def _address(self) -> str:
        """Where machines join now: opening the port moves the head's node."""
        head = self._brain.members.get(FIRST_NODE)
        return join_address(head.ip, head.port) if head else self._registered.address

    def early(self, index: int) -> Callable[[Any], None]:
        """How the running task gives a return before it ends (see `Engine.early`)."""
        return self.memory.early(self._running(), index)

    def count(
        self, cell: str, submitted: int, node: int = 0, done: int = 0, failed: int = 0,
        cancelled: int = 0,
    ) -> None:
        """Count for tasks that do not (see `Engine.count`)."""
        tally = self._brain.tally
        now = time.monotonic()
        self._loop.locked(lambda: tally(cell, now).add(submitted, node, done, failed, cancelled))

    def snapshot(self) -> Snapshot:
        """What screens show (see `Engine.snapshot`)."""
        brain = self._brain
        if not self._watching and not self._closed:
            self._watching = True
            self._loop.locked(lambda: [Send(HEAD, m.Watch(brain.me))])
        picture = brain.picture
        return Snapshot(
            nodes=tuple(picture.nodes) if picture is not None else (),
            cells=brain.cells(time.monotonic()),
            engine=self.name,
            address=self._address(),
            actors=picture.actors if picture is not None else 0,
        )

    def details(self, wanted: int) -> Details:
        """What every process does (see `Engine.details`)."""
        return look_around(self._loop, self._brain, wanted)

    def holdings(self) -> list[HoldingRecord]:
        """What is held, and by whom (see `Engine.holdings`)."""
        return holdings(self._loop, self._brain, self.memory.address)

    def outlive(self, on: bool) -> bool:
        """Keep the cluster (see `Engine.outlive`). The head's machine decides."""
        answer = self.memory.request(
            node_client(FIRST_NODE), lambda token: m.Outlive(self._brain.me, token, on)
        )
        handed_over: bool = answer.handed_over
        return handed_over

    def end_node(self, number: int, gently: bool) -> None:
        """Have a node leave (see `Engine.end_node`)."""
        end_node(self._loop, self._brain, number, gently)

    def join_line(self) -> str:
        """The line for another machine (see `Engine.join_line`)."""
        return join_line(self.memory, self._brain.me, self._joinable)

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
                self._loop.locked(lambda: [*self._brain.pump(time.monotonic()), goodbye])
        self._brain.end("nbray.shutdown() was called")
        self._loop.locked(self._futures.end)
        self._loop.close()
        self._outside.close()
        self._on_shutdown()
