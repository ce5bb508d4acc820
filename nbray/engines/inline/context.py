"""Where code runs under the inline engine: always in this process, perhaps in a task.

Owns the descriptions of tasks and methods that run. Which one runs is the context's
(`running.running`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from nbray import gpus
from nbray.engine import ActorInfo, RuntimeInfo
from nbray.engines.inline.cluster import ADDRESS, InlineCluster
from nbray.engines.inline.objects import Objects
from nbray.engines.inline.running import Call, running
from nbray.ids import FIRST_NODE, job_hex, task_hex, worker_hex
from nbray.options import UNIT, TaskOptions, demand
from nbray.refs import ObjectRef
from nbray.where import APART, Where

if TYPE_CHECKING:
    from nbray.engines.inline.actor import Actor


class InlineContext:
    """Of one session. See `nbray.engine.Context` for the methods."""

    def __init__(
        self, owner: int, namespace: str, cluster: InlineCluster, objects: Objects,
        actors: dict[int, Actor], environment: str = "",
    ) -> None:  # fmt: skip
        self._owner = owner
        self.namespace = namespace
        self._cluster = cluster
        self._objects = objects
        self._actors = actors
        self._environment = environment
        """The job's."""

    def runtime(self) -> RuntimeInfo:
        return running.get() or self._here()

    def _here(self) -> RuntimeInfo:
        return RuntimeInfo(
            job_id=job_hex(self._owner),
            node_id=self._cluster.node_id(),
            worker_id=worker_hex(self._owner),
            namespace=self.namespace,
            node_ip=ADDRESS,
            runtime_env=self._environment,
        )

    def environment(self, own: str) -> str:
        """What work has that asks for *own* here and now."""
        here = self.runtime().runtime_env
        if not own:
            return here
        from nbray.runtime_env import merged  # late: few ask for any

        return merged(here, own)

    def of_task(self, call: Call, options: TaskOptions, target: Any = None) -> RuntimeInfo:
        """Where *call*, of *target*, will run."""
        return msgspec.structs.replace(
            self._here(),
            task_id=task_hex(*call.refs[0].key) if call.refs else task_hex(0, FIRST_NODE),
            task_name=call.name,
            function=_defined(target, call.defined or call.name),
            runtime_env=self.environment(options.runtime_env),
            gpus=gpus.own().ids(range(int(options.num_gpus))),
            assigned={name: amount / UNIT for name, amount in demand(options).items()},
            **self._group(options.where),
        )

    def _group(self, where: Where | None) -> dict[str, Any]:
        """The placement group in which work runs that is launched here, and what it captures."""
        here = running.get()
        inherited = here.group if here is not None and here.captures else ""
        if where is None:
            return {"group": inherited, "captures": bool(inherited)}
        group = where.group or inherited
        if group == APART or where.hard or where.wished:
            return {"group": "", "captures": False}
        captures = bool(inherited) if where.captures is None else where.captures
        return {"group": group, "captures": captures and bool(group)}

    def of_actor(self, actor: Actor, name: str, seq: int, method: str = "") -> RuntimeInfo:
        """Where a method of *actor* will run."""
        options = actor.options
        known = actor.birth.info if actor.birth.info.actor_id else None
        group = self._group(options.where)
        if known is not None:  # as it was when it was made
            group = {"group": known.group, "captures": known.captures}
        return msgspec.structs.replace(
            self._here(),
            task_id=task_hex(self._owner, seq),
            task_name=name,
            function=_defined(actor.cls, actor.info.class_name) + f".{method}" if method else "",
            actor_id=actor.info.hex(),
            actor_name=options.name,
            runtime_env=actor.environment,
            namespace=options.namespace or self.namespace,
            was_restarted=actor.restarts > 0,
            gpus=gpus.own().ids(range(int(options.num_gpus))),
            assigned={key: amount / UNIT for key, amount in demand(options).items()},
            **group,
        )

    def actor(self) -> tuple[ActorInfo, ObjectRef[Any]] | None:
        number = int(self.runtime().actor_id[16:] or "0", 16)
        if number not in self._actors:
            return None
        return self._actors[number].info, self._objects.ref(self._owner, number)

    def reference(self, owner: int, seq: int) -> ObjectRef[Any]:
        return self._objects.ref(owner, seq)

    def early(self, index: int) -> Callable[[Any], None]:
        """See the protocol. A task has ended before its caller could look: too late for early."""
        return lambda _value: None


def _defined(target: Any, name: str) -> str:
    """The name of *target* as it was defined, with its module; *name* where it has none."""
    module = getattr(target, "__module__", "") or "__main__"
    return f"{module}.{getattr(target, '__qualname__', '') or name}"
