"""The inline engine itself: the `Engine` protocol over objects, calls and actors.

Owns the actors and names of one session, and what its one node is said to have.
Rule: a task has ended when `submit` returns, unless it waits for an async actor.
"""

from __future__ import annotations

import contextlib
import contextvars
import itertools
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import msgspec

from nbray import gpus, session
from nbray.config import STORE_SHARE, InitConfig
from nbray.details import CellRecord, Details, HoldingRecord, ObjectRecord
from nbray.engine import ActorInfo, Function, RuntimeInfo
from nbray.engines.inline.actors import Actor
from nbray.engines.inline.objects import Objects
from nbray.engines.inline.output import Outputs
from nbray.engines.inline.running import Call, Runner, running
from nbray.engines.inline.tally import Tally
from nbray.events import CellView, Display, Figures, NodeView, Output, Snapshot
from nbray.exceptions import (
    ActorDiedError,
    ActorUnschedulableError,
    GetTimeoutError,
    PendingCallsLimitExceeded,
    RaySystemError,
    TaskUnschedulableError,
    in_future,
    reference_ended,
)
from nbray.ids import DRIVER_FLAG, FIRST_NODE, client_hex, client_id, node_hex
from nbray.options import UNIT, ActorOptions, MethodOptions, TaskOptions, demand
from nbray.refs import ObjectRef
from nbray.wire.pickling import pack, pack_function_with_refs, unpack
from nbray.wire.watched import Watch, same, watched

_ADDRESS = "127.0.0.1"
_numbers = itertools.count(1)
"""Sessions of this process, so that a reference of an ended one is known as such."""


class _Loaded:
    """A function as workers would have it, and what it was pickled from."""

    __slots__ = ("blob", "call", "cell", "held", "watch")

    def __init__(self, call: Any, blob: bytes, held: list[ObjectRef[Any]]) -> None:
        self.call = call
        self.blob = blob
        self.held = held
        """What it captured."""
        self.cell = ""
        self.watch: Watch = ()


class InlineEngine:
    """Runs everything in the calling thread. See `nbray.engine.Engine` for the methods."""

    name = "inline"
    ended = ""

    def __init__(self, config: InitConfig) -> None:
        number = next(_numbers)
        self._owner = client_id(FIRST_NODE, DRIVER_FLAG | number)
        self._namespace = config.namespace or f"inline-{number}"
        self._host = socket.gethostname()
        self._began = time.monotonic()
        self._total = _node_resources(config)
        self._held: dict[str, int] = {}
        self._lock = threading.RLock()  # references may die inside it
        self._actors: dict[int, Actor] = {}
        self._names: dict[tuple[str, str], int] = {}
        self._tally = Tally(self._host)
        self._outputs = Outputs(self._host)
        self._objects = Objects(self, self._owner, config.object_store_memory, self._freed)
        self._runner = Runner(self._objects, self._outputs, self._tally, self._host)
        self._closed = False

    # -- tasks

    def submit(
        self, function: Function, args: Sequence[Any], kwargs: dict[str, Any], options: TaskOptions
    ) -> list[ObjectRef[Any]]:
        """See the protocol. The task has run when this returns."""
        target = self._load(function)
        call = self._call(
            options.name or function.name, args, kwargs, options.num_returns, "", options.counted
        )
        call.retries = options.max_retries
        call.retry_on = options.retry_exceptions
        call.info = self._task_info(call, options)
        lacking = self._lacking(options)
        if lacking:
            self._runner.fail(call, TaskUnschedulableError(f"{call.name} can never run: {lacking}"))
        else:
            self._now_or_later(call, lambda: self._run_task(call, target, options))
        return call.refs

    def _run_task(self, call: Call, target: Callable[..., Any], options: TaskOptions) -> None:
        with self._holding(demand(options)), contextlib.suppress(SystemExit):
            contextvars.copy_context().run(self._runner.run, call, target)

    def _call(
        self,
        name: str,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        num_returns: int,
        method: str = "",
        counted: bool = True,
    ) -> Call:
        self._check_open()
        call = Call(self._objects, name, args, kwargs, num_returns, session.cell.get(), method)
        call.counted = counted
        if counted:
            self._tally.started(call.cell)
        return call

    def _now_or_later(self, call: Call, run: Callable[[], None]) -> None:
        """Run in this thread, or in one of its own if an argument must be waited for."""
        if not call.waits(self._objects):
            run()
            return
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(run,), daemon=True).start()

    def _load(self, function: Function) -> Any:
        """The function as a worker would have it: pickled once, unpickled once."""
        self._check_open()
        known: _Loaded | None = function.cache.get(self)
        cell = session.cell.get()
        if known is None or known.cell != cell or not same(known.watch):
            _, blob, refs = pack_function_with_refs(function.call, function.name)
            if known is None or known.blob != blob:
                held = [self._objects.ref(owner, seq) for owner, seq in refs]
                known = _Loaded(unpack(blob, self._objects.ref), blob, held)
                function.cache[self] = known
            known.cell = cell
            known.watch = watched(function.call, len(blob))
        return known.call

    # -- actors

    def create_actor(
        self,
        cls: Function,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        options: ActorOptions,
        info: ActorInfo,
    ) -> tuple[ActorInfo, ObjectRef[Any]]:
        """See the protocol. `__init__` has run when this returns."""
        key = (options.namespace or self._namespace, options.name)
        if options.name:
            seq = self._names.get(key)
            if seq is not None and options.get_if_exists:
                return self._actors[seq].info, self._objects.ref(self._owner, seq)
            if seq is not None:
                raise ValueError(
                    f"the name {options.name!r} is taken by another actor: use "
                    "get_if_exists=True, or get_actor()"
                )
        loaded = self._load(cls)
        birth = Call(
            self._objects, info.class_name, args, kwargs, 0, session.cell.get(), "__init__"
        )
        life = self._objects.new()
        self._objects.store(life, pack(None))
        info = msgspec.structs.replace(info, actor=life.seq, owner=self._owner)
        actor = Actor(self._runner, loaded, info, options, birth)
        birth.info = self._actor_info(actor, f"{info.class_name}.__init__", 0)
        self._actors[life.seq] = actor
        if options.name:
            self._names[key] = life.seq
        if options.lifetime == "detached":
            actor.life = self._objects.ref(self._owner, life.seq)
        lacking = self._lacking(options)
        if lacking:
            actor.end(
                ActorUnschedulableError(f"the actor {info.class_name} can never run: {lacking}")
            )
        else:
            actor.held = demand(options)
            self._hold(actor.held, +1)
            contextvars.copy_context().run(actor.start)
        self._tidy(actor)
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
        """See the protocol."""
        if life._engine is not self and life._engine.ended:
            what = f"the actor {info.class_name} ({info.hex()})"
            raise reference_ended(what, life._engine.ended)
        name = options.name or f"{info.class_name}.{method}"
        actor = self._actors.get(info.actor) if info.owner == self._owner else None
        limit = actor.options.max_pending_calls if actor is not None else -1
        if actor is not None and 0 < limit <= actor.waiting:
            raise PendingCallsLimitExceeded(
                f"{limit} calls wait for the actor {info.class_name} already "
                "(its max_pending_calls)"
            )
        call = self._call(name, args, kwargs, options.num_returns, method)
        if actor is None:
            gone = f"the actor {info.class_name} has ended with the session it belonged to"
            self._runner.fail(call, ActorDiedError(gone))
            return call.refs
        retries = options.max_task_retries
        call.retries = info.max_task_retries if retries == -2 else retries
        call.retry_on = options.retry_exceptions
        call.info = self._actor_info(actor, name, call.refs[0].seq if call.refs else 0)
        actor.add(call, life)
        self._now_or_later(call, lambda: self._empty(actor))
        return call.refs

    def _empty(self, actor: Actor) -> None:
        contextvars.copy_context().run(actor.empty)
        self._tidy(actor)

    def get_actor(self, name: str, namespace: str) -> tuple[ActorInfo, ObjectRef[Any]]:
        """See the protocol."""
        self._check_open()
        seq = self._names.get((namespace or self._namespace, name))
        if seq is None:
            raise ValueError(f"there is no actor named {name!r}")
        return self._actors[seq].info, self._objects.ref(self._owner, seq)

    def own_actor(self) -> tuple[ActorInfo, ObjectRef[Any]] | None:
        """See the protocol."""
        number = int(self.runtime().actor_id[16:] or "0", 16)
        if number not in self._actors:
            return None
        return self._actors[number].info, self._objects.ref(self._owner, number)

    def list_named_actors(self, all_namespaces: bool) -> list[tuple[str, str]]:
        """See the protocol."""
        return [key for key in self._names if all_namespaces or key[0] == self._namespace]

    def kill_actor(self, info: ActorInfo, no_restart: bool) -> None:
        """See the protocol."""
        actor = self._actors.get(info.actor) if info.owner == self._owner else None
        if actor is None or actor.death is not None:
            return
        limit = actor.options.max_restarts
        if not no_restart and (limit == -1 or actor.restarts < limit):
            actor.birth.info = msgspec.structs.replace(actor.birth.info, was_restarted=True)
            actor.restart()
        else:
            actor.end(ActorDiedError(f"the actor {actor.info.class_name} was killed"))
        self._tidy(actor)

    def _tidy(self, actor: Actor) -> None:
        """Give up what a dead actor held: its name and resources.

        The actor itself is kept until its last handle goes, so that calls say why it is dead.
        """
        if actor.death is None:
            return
        seq = actor.info.actor
        for key in [key for key, known in self._names.items() if known == seq]:
            del self._names[key]
        actor.birth.holds, actor.birth.deps = [], []
        held, actor.held = actor.held, {}
        self._hold(held, -1)

    def _freed(self, seq: int) -> None:
        actor = self._actors.get(seq)
        if actor is not None:
            gone = f"the actor {actor.info.class_name} ended with its last handle"
            actor.end(ActorDiedError(gone))
            self._tidy(actor)
            del self._actors[seq]

    # -- objects

    def get(self, refs: Sequence[ObjectRef[Any]], timeout: float | None) -> list[Any]:
        """See the protocol."""
        until = None if timeout is None else time.monotonic() + timeout
        values = []
        for ref in refs:
            self._refuse_ended(ref)
            self._refuse_own_wait(ref, timeout)
        failed = self._objects.gather(refs, timeout)
        for ref in refs if failed is None else (failed,):
            left = None if until is None else max(0.0, until - time.monotonic())
            outcome = self._objects.outcome(ref, left)
            if outcome is None:
                raise GetTimeoutError(f"{ref!r} was not ready within {timeout} s")
            values.append(self._objects.value(outcome))
        return values

    def _refuse_ended(self, ref: ObjectRef[Any]) -> None:
        """A reference of a session that has ended."""
        if ref._engine is not self and ref._engine.ended:
            raise ref.ended()

    def _refuse_own_wait(self, ref: ObjectRef[Any], timeout: float | None) -> None:
        """A method that waits for a later call of its own actor would wait for ever."""
        slot = self._objects.find(ref)
        if slot is None or slot.done or timeout is not None or not isinstance(slot.call, Call):
            return
        actor = self._actors.get(int(slot.call.info.actor_id[16:] or "0", 16))
        if actor is not None and actor.emptying == threading.get_ident():
            raise RaySystemError(
                f"{slot.call.name} cannot start before the method that waits for it ends: "
                "the actor runs one call at a time"
            )

    def put(self, value: Any) -> ObjectRef[Any]:
        """See the protocol."""
        self._check_open()
        packed = pack(value, "the value")
        ref = self._objects.new()
        self._objects.store(ref, packed)
        return ref

    def wait(
        self,
        refs: Sequence[ObjectRef[Any]],
        num_returns: int,
        timeout: float | None,
        fetch_local: bool,
    ) -> tuple[list[ObjectRef[Any]], list[ObjectRef[Any]]]:
        """See the protocol."""
        for ref in refs:
            self._refuse_ended(ref)
        ready = self._objects.wait(refs, num_returns, timeout)
        chosen = set(ready)
        return ready, [ref for ref in refs if ref not in chosen]

    def future(self, ref: ObjectRef[Any]) -> Future[Any]:
        """See the protocol."""
        future: Future[Any] = Future()
        if self._closed:
            future.set_exception(ref.ended())
            return future

        def finish() -> None:
            outcome = self._objects.outcome(ref, None)
            if outcome is None or not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(self._objects.value(outcome))
            except Exception as error:  # noqa: BLE001 - whatever the task raised
                future.set_exception(in_future(error))

        self._objects.when_done(ref, finish)
        return future

    def cancel(self, ref: ObjectRef[Any], force: bool, recursive: bool) -> None:
        """See the protocol. Only calls of async actors can be unfinished."""
        slot = self._objects.find(ref)
        if slot is not None and slot.from_actor and force:
            raise ValueError("force=True is not possible for an actor's call: use kill(actor)")
        if slot is not None and isinstance(slot.call, Call):
            self._cancel(slot.call)

    def _cancel(self, call: Call) -> None:
        actor = self._actors.get(int(call.info.actor_id[16:] or "0", 16))
        if actor is not None:
            actor.cancel(call)

    def cancel_cell(self, cell: str, force: bool) -> int:
        """See the protocol."""
        calls = [call for actor in list(self._actors.values()) for call in actor.awaiting(cell)]
        for call in calls:
            self._cancel(call)
        return len(calls)

    # -- the one node

    def nodes(self) -> list[dict[str, Any]]:
        """See the protocol."""
        return [
            {
                "NodeID": self._node_id(),
                "Alive": True,
                "NodeManagerAddress": _ADDRESS,
                "NodeManagerHostname": self._host,
                "NodeManagerPort": 0,
                "NodeName": self._host,
                "Resources": self.cluster_resources(),
                "Labels": {},
            }
        ]

    def cluster_resources(self) -> dict[str, float]:
        """See the protocol."""
        return {name: amount / UNIT for name, amount in self._total.items()}

    def available_resources(self) -> dict[str, float]:
        """See the protocol. Nothing waits here, so what is held may exceed what there is."""
        with self._lock:
            held = dict(self._held)
        return {
            name: max(0, amount - held.get(name, 0)) / UNIT for name, amount in self._total.items()
        }

    def _lacking(self, options: TaskOptions | ActorOptions) -> str:
        """Why the node can never satisfy *options*; '' if it can."""
        if options.node not in {0, FIRST_NODE}:
            return f"there is no node {options.node}"
        for name, amount in demand(options).items():
            total = self._total.get(name, 0)
            if amount > total:
                return (
                    f"it needs {amount / UNIT:g} {name}, and no node has more than {total / UNIT:g}"
                )
        return ""

    def _hold(self, amounts: dict[str, int], sign: int) -> None:
        with self._lock:
            for name, amount in amounts.items():
                self._held[name] = self._held.get(name, 0) + sign * amount

    @contextlib.contextmanager
    def _holding(self, amounts: dict[str, int]) -> Iterator[None]:
        self._hold(amounts, +1)
        try:
            yield
        finally:
            self._hold(amounts, -1)

    def _node_id(self) -> str:
        return node_hex(FIRST_NODE, self._owner)

    def runtime(self) -> RuntimeInfo:
        """See the protocol."""
        return running.get() or self._here()

    def _here(self) -> RuntimeInfo:
        return RuntimeInfo(
            job_id=f"{self._owner & 0xFFFFFFFF:08x}",
            node_id=self._node_id(),
            worker_id=client_hex(self._owner),
            namespace=self._namespace,
            node_ip=_ADDRESS,
        )

    def _task_info(self, call: Call, options: TaskOptions) -> RuntimeInfo:
        return msgspec.structs.replace(
            self._here(),
            task_id=call.refs[0].hex() if call.refs else node_hex(FIRST_NODE),
            task_name=call.name,
            gpus=gpus.own().ids(range(int(options.num_gpus))),
            assigned={name: amount / UNIT for name, amount in demand(options).items()},
        )

    def _actor_info(self, actor: Actor, name: str, seq: int) -> RuntimeInfo:
        options = actor.options
        return msgspec.structs.replace(
            self._here(),
            task_id=f"{self._owner:016x}{seq:016x}",
            task_name=name,
            actor_id=actor.info.hex(),
            actor_name=options.name,
            namespace=options.namespace or self._namespace,
            was_restarted=actor.restarts > 0,
            gpus=gpus.own().ids(range(int(options.num_gpus))),
            assigned={key: amount / UNIT for key, amount in demand(options).items()},
        )

    def early(self, index: int) -> Callable[[Any], None]:
        """See the protocol. A task has ended before its caller could look: too late for early."""
        return lambda _value: None

    def count(
        self, cell: str, submitted: int, node: int = 0, done: int = 0, failed: int = 0,
        cancelled: int = 0,
    ) -> None:
        """See the protocol."""
        self._tally.add(cell, submitted, done, failed, cancelled)

    def snapshot(self) -> Snapshot:
        """See the protocol."""
        running_now, done, failed = self._tally.totals()
        figures = Figures(
            workers=1,
            running=running_now,
            finished=done,
            failed=failed,
            store_used=self._objects.used,
            store_total=self._total["object_store_memory"] // UNIT,
            memory_total=self._total["memory"] // UNIT,
            uptime=time.monotonic() - self._began,
        )
        node = NodeView(
            number=FIRST_NODE,
            node_id=self._node_id(),
            name=self._host,
            address=_ADDRESS,
            is_head=True,
            resources=self.cluster_resources(),
            available=self.available_resources(),
            figures=figures,
        )
        alive = sum(actor.death is None for actor in list(self._actors.values()))
        return Snapshot((node,), self._tally.cells(), self.name, "", alive)

    def details(self, wanted: int) -> Details:
        """See the protocol; tasks have ended when `remote` returns, so only cells are told."""
        cells = [
            CellRecord(self._owner, view, session.cell_label(cell))
            for cell, view in self._tally.cells().items()
        ]
        return Details(cells=tuple(cells), now=time.monotonic())

    def holdings(self) -> list[HoldingRecord]:
        """See the protocol; no task outlives the call that makes it, so none holds anything."""
        return [
            HoldingRecord(ObjectRecord(self._owner, seq, state, size, [1], held, 0), [], inside)
            for seq, state, size, held, inside in self._objects.rows()
        ]

    def unfinished(self, cell: str) -> int:
        """See the protocol."""
        view = self._tally.cells().get(cell)
        return view.submitted - view.done - view.failed if view is not None else 0

    def cell_view(self, cell: str) -> CellView | None:
        """See the protocol."""
        return self.snapshot().cells.get(cell)

    def on_output(self, sink: Callable[[Output | Display], None] | None) -> None:
        """See the protocol."""
        self._outputs.sink = sink

    def outlive(self, on: bool) -> bool:
        """See the protocol. Nothing outlives this process, and nothing is started by another."""
        return False

    def end_node(self, number: int, gently: bool) -> None:
        """See the protocol."""
        raise RaySystemError(
            "the inline engine runs in this process only: nbray.shutdown() ends it"
        )

    def join_line(self) -> str:
        """See the protocol."""
        raise RaySystemError(
            "the inline engine runs in this process only and cannot be joined: "
            "use nbray.init(engine='native')"
        )

    def _check_open(self) -> None:
        if self._closed:
            raise RaySystemError("this session has ended: call nbray.init() again")

    def forked(self) -> None:
        """See the protocol."""

    def shutdown(self) -> None:
        """See the protocol."""
        self._closed = True
        self.ended = "nbray.shutdown() was called"
        for actor in list(self._actors.values()):
            actor.end(ActorDiedError(f"the actor {actor.info.class_name} ended with its session"))
        self._names.clear()


def _node_resources(config: InitConfig) -> dict[str, int]:
    """What the node has, in ten-thousandths."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    store = config.object_store_memory or int(memory * STORE_SHARE)
    cpus = config.num_cpus if config.num_cpus is not None else (os.cpu_count() or 1)
    amounts = {
        "CPU": cpus,
        "GPU": config.num_gpus or 0,
        "memory": memory - store,
        "object_store_memory": store,
        f"node:{_ADDRESS}": 1.0,
        **config.resources,
    }
    return {name: round(amount * UNIT) for name, amount in amounts.items() if amount}
