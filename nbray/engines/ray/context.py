"""Where code runs under Ray: in a driver, a task or an actor's method, as Ray says.

Owns the translation of Ray's runtime context. Which call runs is the bracket's
(`bracket.running`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ray

from nbray.engine import ActorInfo, RuntimeInfo
from nbray.engines.ray import private
from nbray.engines.ray.bracket import running
from nbray.engines.ray.references import table
from nbray.exceptions import RaySystemError
from nbray.ids import task_hex
from nbray.refs import ObjectRef


class RayContext:
    """Of one process. See `nbray.engine.Context` for the methods."""

    def __init__(self, check: Callable[[], None], worker: bool, namespace: str) -> None:
        self._check = check
        self._worker = worker
        self._namespace = namespace
        self.raises = False
        """Whether what no node can do fails at once, rather than waits for one that may come."""

    @property
    def namespace(self) -> str:
        """In which names are looked up."""
        head = running.get()
        return head.namespace if head is not None else self._namespace

    def runtime(self) -> RuntimeInfo:
        self._check()
        theirs = ray.get_runtime_context()
        head = running.get()
        here: dict[str, Any] = {}
        if self._worker:
            actor = theirs.get_actor_id() or ""
            task = theirs.get_task_id() or ""
            here = {
                "task_id": _short(task) if head is not None else "",
                "task_name": head.name if head is not None else "",
                "actor_id": actor,
                "actor_name": (theirs.get_actor_name() or "") if actor else "",
                "was_restarted": bool(actor and theirs.was_current_actor_reconstructed),
                "assigned": dict(theirs.get_assigned_resources()),
                "attempt": int(getattr(theirs, "get_task_attempt_number", int)()),
                "gpus": tuple(ray.get_gpu_ids()),
                "cancelled": head is not None and private.is_cancelled(),
            }
            group = theirs.get_placement_group_id()
            if group:
                here["group"] = group
                captures = theirs.should_capture_child_tasks_in_placement_group
                here["captures"] = bool(captures)
        environment = theirs.get_runtime_env_string()
        return RuntimeInfo(
            job_id=theirs.get_job_id(),
            node_id=theirs.get_node_id(),
            worker_id=theirs.get_worker_id(),
            namespace=self.namespace,
            node_ip=ray.util.get_node_ip_address(),
            address=theirs.gcs_address,
            runtime_env="" if environment in {"", "{}"} else environment,
            **here,
        )

    def actor(self) -> tuple[ActorInfo, ObjectRef[Any]] | None:
        from nbray.engines.ray.resident import here

        info = here()
        if info is None:
            return None
        return info, table.hold(private.current_actor())

    def reference(self, owner: int, seq: int) -> ObjectRef[Any]:
        return table.reference(owner, seq)

    def early(self, index: int) -> Callable[[Any], None]:
        """Refused."""
        raise RaySystemError("the Ray engine gives returns when a task has ended, not before")


def _short(task: str) -> str:
    """The id of a task, as records have it: by its first return."""
    return task_hex(*_key(bytes.fromhex(task)))


def _key(task: bytes) -> tuple[int, int]:
    from nbray.engines.ray.references import key_of_bytes

    return key_of_bytes(task + (1).to_bytes(4, "little"))
