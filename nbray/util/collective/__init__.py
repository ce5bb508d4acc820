"""Ray's `ray.util.collective`, over the object store, for numpy's arrays and torch's on CPUs."""

from __future__ import annotations

from typing import Any, NoReturn

from nbray.util.collective.collective import (
    allgather,
    allreduce,
    barrier,
    broadcast,
    create_collective_group,
    destroy_collective_group,
    get_collective_group_size,
    get_group_handle,
    get_rank,
    gloo_available,
    init_collective_group,
    is_backend_available,
    is_group_initialized,
    nccl_available,
    recv,
    reduce,
    reducescatter,
    send,
)
from nbray.util.collective.types import Backend, ReduceOp

__all__ = [
    "Backend", "ReduceOp", "allgather", "allgather_multigpu", "allreduce", "allreduce_multigpu",
    "barrier", "broadcast", "broadcast_multigpu", "create_collective_group",
    "destroy_collective_group", "get_collective_group_size", "get_group_handle", "get_rank",
    "gloo_available", "init_collective_group", "is_backend_available", "is_group_initialized",
    "nccl_available", "recv", "recv_multigpu", "reduce", "reduce_multigpu", "reducescatter",
    "reducescatter_multigpu", "register_collective_backend", "send", "send_multigpu",
]  # fmt: skip


def _needs_gpus(*_args: Any, **_kwargs: Any) -> NoReturn:
    """Exchanges between GPUs, which nbray does not have.

    Raises:
        RuntimeError: always.
    """
    raise RuntimeError("Multigpu calls requires NCCL and Cupy.")


allgather_multigpu = allreduce_multigpu = broadcast_multigpu = recv_multigpu = _needs_gpus
reduce_multigpu = reducescatter_multigpu = send_multigpu = _needs_gpus


def register_collective_backend(name: str, group_cls: Any) -> NoReturn:
    """Backends of one's own, which nbray does not have.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError(
        f"nbray has no backends of one's own ({name}): its groups go by the object store"
    )
