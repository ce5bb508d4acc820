"""Operations that all members of a group make together (Ray's `ray.util.collective`).

Owns this process's memberships and the arithmetic. Members meet in an actor (`meeting`);
what they exchange lies in the object store, so that one machine copies nothing.

Rule: the results are written into the arrays that were given, as Ray's are.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from nbray import session
from nbray.api import get, get_actor, kill, put
from nbray.exceptions import RayActorError
from nbray.ids import OWN_CELL, drawn
from nbray.remote import remote
from nbray.util.collective.meeting import Brought, CollectiveGroup
from nbray.util.collective.types import Backend, ReduceOp

PATIENCE = 1800.0
"""Seconds for which one member waits for another."""
REDUCES: dict[ReduceOp, Any] = {
    ReduceOp.SUM: np.add, ReduceOp.PRODUCT: np.multiply, ReduceOp.MIN: np.minimum,
    ReduceOp.MAX: np.maximum,
}  # fmt: skip


class GroupHandle:
    """This process's membership of one group."""

    def __init__(self, meeting: Any, name: str, rank: int, world_size: int) -> None:
        self.name = name
        self.rank = rank
        self.world_size = world_size
        self._meeting = meeting
        self._steps = itertools.count()
        self._sent: dict[tuple[int, int], int] = {}

    def bring(self, kind: str, values: Sequence[Any], wait_for: Sequence[int]) -> Brought:
        """Bring *values* to the next step, and get references of what *wait_for* brought."""
        refs = [put(value) for value in values]
        found = self._ask("bring", next(self._steps), kind, self.rank, refs, [*wait_for], PATIENCE)
        brought: Brought = found
        return brought

    def everybody(self) -> range:
        """All ranks."""
        return range(self.world_size)

    def send(self, value: Any, to: int) -> None:
        """Send to one member."""
        self._ask("post", self.rank, to, self._count(self.rank, to), [put(value)])

    def receive(self, sender: int) -> Any:
        """Receive from one member."""
        number = self._count(sender, self.rank)
        return get(self._ask("fetch", sender, self.rank, number, PATIENCE)[0])

    def leave(self) -> None:
        """End the membership; the last one ends the meeting."""
        with contextlib.suppress(RayActorError):  # it has ended before
            if _asked(self._meeting, "leave", self.rank):
                kill(self._meeting)

    def _count(self, sender: int, receiver: int) -> int:
        number = self._sent.get((sender, receiver), 0)
        self._sent[sender, receiver] = number + 1
        return number

    def _ask(self, method: str, *args: Any) -> Any:
        try:
            answer = _asked(self._meeting, method, *args)
        except RayActorError as error:
            founder = "the member that founded it died"
            raise RuntimeError(f"in the collective group {self.name!r}, {founder}") from error
        if isinstance(answer, str):
            raise RuntimeError(f"in the collective group {self.name!r}, {answer}")
        return answer


class _Memberships:
    """Those of this process, by who runs there and the group's name."""

    def __init__(self) -> None:
        self.handles: dict[tuple[str, str], GroupHandle] = {}
        self.declared: dict[str, Any] = {}
        """Meetings that this driver has declared; held, for they end with their last handle."""


_memberships = _Memberships()


def _asked(meeting: Any, method: str, *args: Any) -> Any:
    return get(_asking(meeting, method, *args))


def _asking(meeting: Any, method: str, *args: Any) -> Any:
    token = session.cell.set(OWN_CELL)  # not the user's work, which bars count
    try:
        return getattr(meeting, method).remote(*args)
    finally:
        session.cell.reset(token)


def _joined(meeting: Any, rank: int, world_size: int) -> str:
    """Join; why not, if that is so."""
    token = f"{drawn():x}"
    why: str = _asked(
        meeting, "join", rank, world_size, token, [_asking(meeting, "stay", token)]
    )
    return why


def _here() -> str:
    """Who asks: the actor's id ('' in a task).

    Raises:
        RuntimeError: neither a task nor an actor runs here.
    """
    engine = session.current()
    runtime = engine.context.runtime() if engine is not None else None
    if runtime is None or not (runtime.actor_id or runtime.task_id):
        raise RuntimeError(
            "The collective APIs shall be only used inside a Ray actor or task."
        )
    return runtime.actor_id


def _actor_name(group_name: str) -> str:
    return f"info_{group_name}"


def _refuse(backend: str) -> None:
    if Backend(backend) == Backend.NCCL:
        raise RuntimeError(
            "Backend NCCL is not available: nbray's groups exchange arrays by the object store "
            "(backend='gloo'), not between GPUs"
        )


def nccl_available() -> bool:
    """Whether groups may use NCCL: never."""
    return False


def gloo_available() -> bool:
    """Whether groups may be called 'gloo': always; arrays go by the object store."""
    return True


def is_backend_available(backend: str) -> bool:
    """Whether groups may have this backend."""
    return backend.upper() in {"GLOO", "TORCH_GLOO"}


def is_group_initialized(group_name: str = "default") -> bool:
    """Whether this process is a member of the group already (a driver never is)."""
    try:
        here = _here()
    except RuntimeError:
        return False
    return (here, group_name) in _memberships.handles


def init_collective_group(
    world_size: int, rank: int, backend: str = Backend.GLOO, group_name: str = "default",
    gloo_timeout: int = 30000,
) -> None:  # fmt: skip
    """Make this task or actor a member of a group.

    Args:
        world_size: how many members it has.
        rank: which of them this is, from 0.
        gloo_timeout: milliseconds for which an earlier group of the name may still end, and
            for which those who have joined wait for the others to join.

    Raises:
        RuntimeError: it is a member already, or the rank is taken; the backend is NCCL.
        ValueError: no name, or an unknown backend.
    """
    here = _here()
    if not group_name:
        raise ValueError(f"group_name '{group_name}' needs to be a string.")
    if (here, group_name) in _memberships.handles:
        raise RuntimeError("Trying to initialize a group a second time.")
    _refuse(backend)
    if not 0 <= rank < world_size:
        raise AssertionError(f"rank {rank} must be less than world size {world_size}")
    until = time.monotonic() + gloo_timeout / 1000
    while True:
        meeting = _meeting(group_name).options(get_if_exists=True).remote(
            world_size, None, gloo_timeout / 1000
        )
        try:
            why = _joined(meeting, rank, world_size)
        except RayActorError:  # that of an earlier group, which ends
            why = "an earlier group of the name has not ended"
        if not why:
            break
        if time.monotonic() > until or why.startswith("its size"):
            raise RuntimeError(f"rank {rank} cannot join the group {group_name!r}: {why}")
        time.sleep(0.02)
    _memberships.handles[here, group_name] = GroupHandle(meeting, group_name, rank, world_size)


def create_collective_group(
    actors: list[Any], world_size: int, ranks: list[int], backend: str = Backend.GLOO,
    group_name: str = "default", gloo_timeout: int = 30000,
) -> None:  # fmt: skip
    """Declare *actors* as a group, from outside; they need not call `init_collective_group`.

    Raises:
        RuntimeError: there is a group of this name, or *ranks* do not fit.
    """
    try:
        get_actor(_actor_name(group_name))
    except ValueError:
        pass
    else:
        raise RuntimeError("Trying to initialize a group twice.")
    if len(ranks) != len(actors):
        raise RuntimeError(
            f"Each actor should correspond to one rank. Got '{len(ranks)}' ranks but "
            f"'{len(actors)}' actors"
        )
    if set(ranks) != set(range(len(ranks))):
        raise RuntimeError(
            f"Ranks must be a permutation from 0 to '{len(ranks)}'. Got "
            f"'{''.join(str(rank) for rank in ranks)}'."
        )
    if world_size <= 0:
        raise RuntimeError(f"World size must be greater than zero. Got '{world_size}'.")
    if any(rank >= world_size for rank in ranks):
        raise RuntimeError("Ranks cannot be greater than world_size.")
    _refuse(backend)
    by_actor = {str(actor._info.hex()): rank for actor, rank in zip(actors, ranks, strict=True)}
    meeting = _meeting(group_name).remote(world_size, by_actor, gloo_timeout / 1000)
    _asked(meeting, "declared", "")
    _memberships.declared[group_name] = meeting


def _meeting(group_name: str) -> Any:
    return remote(num_cpus=0)(CollectiveGroup).options(name=_actor_name(group_name))


def destroy_collective_group(group_name: str = "default") -> None:
    """End this process's membership; the group ends with its last member's."""
    handle = _memberships.handles.pop((_here(), group_name), None)
    if handle is not None:
        handle.leave()


def get_group_handle(group_name: str = "default") -> GroupHandle:
    """This process's membership; joins a group that was declared.

    Raises:
        RuntimeError: it is no member.
    """
    here = _here()
    handle = _memberships.handles.get((here, group_name))
    if handle is not None:
        return handle
    missing = f"The collective group '{group_name}' is not initialized in the process."
    try:
        meeting = get_actor(_actor_name(group_name))
        rank, world_size = _asked(meeting, "declared", here)
    except (ValueError, RayActorError):
        raise RuntimeError(missing) from None
    if rank < 0:
        raise RuntimeError(missing)
    _joined(meeting, rank, world_size)
    handle = GroupHandle(meeting, group_name, rank, world_size)
    _memberships.handles[here, group_name] = handle
    return handle


def get_rank(group_name: str = "default") -> int:
    """This process's rank in the group; -1 if it is no member (yet)."""
    handle = _memberships.handles.get((_here(), group_name))
    return -1 if handle is None else handle.rank


def get_collective_group_size(group_name: str = "default") -> int:
    """How many members the group has; -1 if this process is none of them (yet)."""
    handle = _memberships.handles.get((_here(), group_name))
    return -1 if handle is None else handle.world_size


# -- operations ------------------------------------------------------------------------


def allreduce(tensor: Any, group_name: str = "default", op: ReduceOp = ReduceOp.SUM) -> None:
    """Reduce the members' arrays, and write the result into each."""
    array = _array(tensor)
    group = get_group_handle(group_name)
    brought = group.bring("allreduce", [array], group.everybody())
    array[...] = _reduced(brought, 0, op)


def barrier(group_name: str = "default") -> None:
    """Wait until all members have come here."""
    group = get_group_handle(group_name)
    group.bring("barrier", [], group.everybody())


def reduce(
    tensor: Any, dst_rank: int = 0, group_name: str = "default", op: ReduceOp = ReduceOp.SUM
) -> None:
    """Reduce the members' arrays, and write the result into that of *dst_rank*."""
    array = _array(tensor)
    group = get_group_handle(group_name)
    _check_rank(group, dst_rank)
    receives = group.rank == dst_rank
    brought = group.bring("reduce", [array], group.everybody() if receives else ())
    if receives:
        array[...] = _reduced(brought, 0, op)


def broadcast(tensor: Any, src_rank: int = 0, group_name: str = "default") -> None:
    """Write the array of *src_rank* into those of all others."""
    array = _array(tensor)
    group = get_group_handle(group_name)
    _check_rank(group, src_rank)
    if group.rank == src_rank:
        group.bring("broadcast", [array], ())
    else:
        array[...] = get(group.bring("broadcast", [], [src_rank])[src_rank][0])


def allgather(tensor_list: list[Any], tensor: Any, group_name: str = "default") -> None:
    """Write the members' arrays into those of *tensor_list*, in the order of ranks."""
    array, gathered = _array(tensor), _arrays(tensor_list)
    group = get_group_handle(group_name)
    if len(gathered) != group.world_size:
        raise RuntimeError(
            "The length of the tensor list operands to allgather must be equal to world_size."
        )
    brought = group.bring("allgather", [array], group.everybody())
    for rank, into in enumerate(gathered):
        into[...] = get(brought[rank][0])


def reducescatter(
    tensor: Any, tensor_list: list[Any], group_name: str = "default", op: ReduceOp = ReduceOp.SUM
) -> None:
    """Reduce the members' lists, place by place, and write this rank's place into *tensor*."""
    array, scattered = _array(tensor), _arrays(tensor_list)
    group = get_group_handle(group_name)
    if len(scattered) != group.world_size:
        raise RuntimeError(
            "The length of the tensor list operands to reducescatter must be equal to world_size."
        )
    brought = group.bring("reducescatter", scattered, group.everybody())
    array[...] = _reduced(brought, group.rank, op)


def send(tensor: Any, dst_rank: int, group_name: str = "default") -> None:
    """Send an array to another member, which calls `recv`."""
    array = _array(tensor)
    group = get_group_handle(group_name)
    _check_rank(group, dst_rank)
    if dst_rank == group.rank:
        raise RuntimeError(f"The destination rank '{dst_rank}' is self.")
    group.send(array, dst_rank)


def recv(tensor: Any, src_rank: int, group_name: str = "default") -> None:
    """Write what another member sends into *tensor*."""
    array = _array(tensor)
    group = get_group_handle(group_name)
    _check_rank(group, src_rank)
    if src_rank == group.rank:
        raise RuntimeError(f"The destination rank '{src_rank}' is self.")
    array[...] = group.receive(src_rank)


def _reduced(brought: Brought, place: int, op: ReduceOp) -> Any:
    combine = REDUCES[op]
    ranks = sorted(brought)
    total = np.array(get(brought[ranks[0]][place]))
    for rank in ranks[1:]:
        combine(total, get(brought[rank][place]), out=total)
    return total


def _array(tensor: Any) -> Any:
    """*tensor* as an array of numpy's that shares its memory."""
    if isinstance(tensor, np.ndarray):
        return tensor
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(tensor, torch.Tensor):
        return tensor.detach().numpy()
    raise RuntimeError(
        f"Unrecognized tensor type '{type(tensor)}'. Supported types are: np.ndarray, torch.Tensor."
    )


def _arrays(tensors: Any) -> list[Any]:
    if not isinstance(tensors, list):
        raise RuntimeError(f"The input must be a list of tensors. Got '{type(tensors)}'.")
    if not tensors:
        raise RuntimeError("Got an empty list of tensors.")
    return [_array(one) for one in tensors]


def _check_rank(group: GroupHandle, rank: int) -> None:
    if rank < 0:
        raise ValueError(f"rank '{rank}' is negative.")
    if rank >= group.world_size:
        raise ValueError(f"rank '{rank}' must be less than world size '{group.world_size}'")
