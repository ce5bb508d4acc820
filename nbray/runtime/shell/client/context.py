"""Where the calling code runs, natively: a driver, a task, or an actor's process.

Owns what work submitted here and now descends from (`origin`). Does not own the
running task (`executor`) nor the actor (`core.worker.brain`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nbray import gpus
from nbray.engine import ActorInfo, RuntimeInfo
from nbray.ids import actor_hex, client_hex, job_hex, node_hex, task_hex, worker_hex
from nbray.refs import ObjectRef
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.placement import out_of_group, units
from nbray.runtime.core.worker.brain import Item, WorkerBrain
from nbray.where import APART
from nbray.wire.messages import BecomeActor, Registered, Spec
from nbray.wire.pickling import unpack

if TYPE_CHECKING:
    from nbray.runtime.shell.client.cluster import NativeCluster
    from nbray.runtime.shell.client.delivery import Delivery
    from nbray.runtime.shell.client.environments import Environments
    from nbray.runtime.shell.client.memory import Memory


class NativeContext:
    """Of one client. See `nbray.engine.Context`."""

    def __init__(
        self,
        brain: ClientBrain,
        registered: Registered,
        memory: Memory,
        delivery: Delivery,
        cluster: NativeCluster,
        *,
        namespace: str,
        folder: str,
        worker: WorkerBrain | None,
        running: Callable[[], Item | None],
        environments: Environments,
    ) -> None:
        self._brain = brain
        self._registered = registered
        self._memory = memory
        self._delivery = delivery
        self._cluster = cluster
        self._namespace = namespace or client_hex(brain.me)
        self._folder = folder
        self._worker = worker
        self._running = running
        self.loaded: Callable[[bytes], Any] | None = None
        """The function or class of a hash, in a worker."""
        self._environments = environments
        self.raises = True
        """What no node can do fails, for a driver's own work."""

    def origin(self) -> tuple[int, int, str, str, bool]:
        """(job, depth, namespace, placement group, whether what no node can do fails) of work
        submitted here and now."""
        item = self._running()
        actor = self._worker.actor if self._worker is not None else None
        if actor is not None and self._delivery.sink is not None:  # its work is its own
            return self._brain.me, 0, actor.spec.namespace, "", actor.spec.raises
        if actor is not None:  # its methods, or a thread of its own
            spec = actor.spec
            group = spec.where.group if spec.captures and spec.where is not None else ""
            if item is None:
                return spec.job, 1, spec.namespace, group, spec.raises
            return item.spec.job, item.spec.depth + 1, item.spec.namespace, group, item.spec.raises
        if item is not None:
            task = item.spec
            group = task.placed_in if task.captures else ""
            return task.job, task.depth + 1, task.namespace, group, task.raises
        return self._brain.me, 0, self._namespace, "", self.raises

    def actor_key(self) -> tuple[int, int] | None:
        """The owner and the number of the actor that this process is."""
        actor = self._worker.actor if self._worker is not None else None
        return (actor.spec.owner, actor.spec.actor) if actor is not None else None

    def runtime(self) -> RuntimeInfo:
        """See `Context.runtime`."""
        brain, registered, item = self._brain, self._registered, self._running()
        actor = self._worker.actor if self._worker is not None else None
        job = item.spec.job if item is not None else brain.me
        assigned: dict[str, float] = {}
        attempt, group, captures = 0, "", False
        if actor is not None:
            group = actor.spec.where.group if actor.spec.where is not None else ""
            captures = actor.spec.captures
            assigned = units(out_of_group(actor.spec.resources))
            job = actor.spec.job
        elif item is not None:
            group, captures = item.spec.placed_in, item.spec.captures
            assigned = units(out_of_group(item.spec.resources) if group else item.spec.resources)
            attempt = item.extra.attempt if item.extra is not None else 0
        here = brain.members.get(brain.node)  # fresher: opening the port moves the head's node
        return RuntimeInfo(
            job_id=job_hex(job),
            node_id=node_hex(brain.node, registered.cluster),
            worker_id=worker_hex(brain.me),
            task_id=task_hex(item.caller, item.seq & ((1 << 64) - 1)) if item else "",
            task_name=_name(item.spec, actor) if item else "",
            actor_id=actor_hex(actor.spec.owner, actor.spec.actor) if actor else "",
            actor_name=actor.spec.name if actor else "",
            namespace=self.origin()[2],
            was_restarted=bool(actor and actor.incarnation > 0),
            attempt=attempt,
            node_ip=here.ip if here is not None else registered.ip,
            gpus=gpus.own().ids(item.gpus if item is not None else actor.gpus if actor else ()),
            assigned=assigned,
            address=self._cluster.address(),
            session_dir=self._folder,
            function=self._defined(item.spec, actor) if item else "",
            cancelled=self._worker is not None and item is not None
            and (item.caller, item.seq) in self._worker.cancelled,
            runtime_env=self._environments.text,
            group="" if group == APART else group,
            captures=captures,
        )

    def _defined(self, spec: Spec, actor: BecomeActor | None) -> str:
        """The name of what runs as it was defined, with its module."""
        if self.loaded is None:
            return ""
        called = spec.function or (actor.spec.function if actor is not None else b"")
        found = self.loaded(called) if called else None
        found = getattr(found, "__wrapped__", found)
        module = getattr(found, "__module__", "") or "__main__"
        name = getattr(found, "__qualname__", "") or spec.defined or spec.name
        if spec.function:
            return f"{module}.{name}"
        return f"{module}.{name}.{spec.method or spec.name}"

    def actor(self) -> tuple[ActorInfo, ObjectRef[Any]] | None:
        """The actor that this process is (see `Context.actor`)."""
        actor = self._worker.actor if self._worker is not None else None
        if actor is None:
            return None
        info: ActorInfo = unpack(actor.spec.info, self._memory.restore)
        return info, self._memory.restore(info.owner, info.actor)

    def reference(self, owner: int, seq: int) -> ObjectRef[Any]:
        """See `Context.reference`: whose object it is hears of it as of any borrowed one."""
        return self._memory.restore(owner, seq)

    def early(self, index: int) -> Callable[[Any], None]:
        """How the running task gives a return before it ends (see `Context.early`)."""
        return self._memory.early(self._running(), index)


def _name(spec: Spec, actor: BecomeActor | None) -> str:
    """What the running task or call is called: as its caller says, or 'Class.method'."""
    if actor is None or spec.function or spec.method:
        return spec.name
    return f"{actor.spec.class_name}.{spec.name}"
