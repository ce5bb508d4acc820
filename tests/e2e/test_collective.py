"""Groups of actors and tasks that exchange arrays."""

from __future__ import annotations

import numpy as np
import pytest

import nbray as ray
from nbray.util import collective
from nbray.util.collective import ReduceOp


@pytest.fixture(scope="module", autouse=True)
def cluster():
    ray.init(num_cpus=2)
    yield
    ray.shutdown()


@ray.remote(num_cpus=0)
class Member:
    def join(self, size, rank, group="default", backend="gloo"):
        collective.init_collective_group(size, rank, backend, group)

    def rank(self, group="default"):
        return collective.get_rank(group), collective.get_collective_group_size(group)

    def call(self, name, value, *args, **kwargs):
        array = np.full(2, float(value))
        getattr(collective, name)(array, *args, **kwargs)
        return array.tolist()

    def gather(self, value):
        gathered = [np.zeros(2) for _ in range(2)]
        collective.allgather(gathered, np.full(2, float(value)))
        return [one.tolist() for one in gathered]

    def scatter(self, value):
        array = np.zeros(2)
        collective.reducescatter(array, [np.full(2, float(value + place)) for place in range(2)])
        return array.tolist()

    def barrier(self):
        collective.barrier()

    def leave(self, group="default"):
        collective.destroy_collective_group(group)


@pytest.fixture(scope="module")
def members():
    made = [Member.remote() for _ in range(2)]
    ray.get([one.join.remote(2, rank) for rank, one in enumerate(made)])
    return made


def each(members, name, *args, **kwargs):
    return ray.get([one.call.remote(name, n + 1, *args, **kwargs) for n, one in enumerate(members)])


def test_operations(members):
    assert ray.get([one.rank.remote() for one in members]) == [(0, 2), (1, 2)]
    assert each(members, "allreduce") == [[3, 3], [3, 3]]
    assert each(members, "allreduce", op=ReduceOp.PRODUCT) == [[2, 2], [2, 2]]
    assert each(members, "allreduce", op=ReduceOp.MIN) == [[1, 1], [1, 1]]
    assert each(members, "reduce", 1) == [[1, 1], [3, 3]]
    assert each(members, "broadcast", 1) == [[2, 2], [2, 2]]
    assert ray.get([one.gather.remote(n) for n, one in enumerate(members)]) == [
        [[0, 0], [1, 1]], [[0, 0], [1, 1]],
    ]  # fmt: skip
    assert ray.get([one.scatter.remote(n) for n, one in enumerate(members)]) == [[1, 1], [3, 3]]
    sent = members[0].call.remote("send", 7, 1)
    assert ray.get(members[1].call.remote("recv", 0, 0)) == [7, 7]
    ray.get([sent, *(one.barrier.remote() for one in members)])


def test_what_members_may_not(members):
    with pytest.raises(RuntimeError, match="a second time"):
        ray.get(members[0].join.remote(2, 0))
    with pytest.raises(RuntimeError, match="is self"):
        ray.get(members[0].call.remote("send", 1, 0))
    with pytest.raises(ValueError, match="must be less than world size"):
        ray.get(members[0].call.remote("broadcast", 1, 5))
    with pytest.raises(RuntimeError, match="not initialized"):
        ray.get(members[0].call.remote("allreduce", 1, "nothing"))
    with pytest.raises(RuntimeError, match="NCCL is not available"):
        ray.get(members[0].join.remote(2, 0, "gpus", "nccl"))


def test_a_declared_group_and_its_end():
    members = [Member.remote() for _ in range(2)]
    for _ in range(2):
        collective.create_collective_group(members, 2, [1, 0], "gloo", "declared")
        with pytest.raises(RuntimeError, match="twice"):
            collective.create_collective_group(members, 2, [0, 1], "gloo", "declared")
        assert each(members, "allreduce", "declared") == [[3, 3], [3, 3]]
        assert ray.get(members[0].rank.remote("declared")) == (1, 2)
        ray.get([one.leave.remote("declared") for one in members])


def test_the_death_of_a_member_is_told():
    members = [Member.remote() for _ in range(3)]
    ray.get([one.join.remote(3, rank, "dies") for rank, one in enumerate(members)])
    waits = [
        members[0].call.remote("allreduce", 1, "dies"),
        members[1].call.remote("recv", 1, 2, "dies"),
    ]
    ray.kill(members[2])
    for ref in waits:
        with pytest.raises(RuntimeError, match=r"in vain: rank 2 died|that founded it died"):
            ray.get(ref, timeout=60)
    ray.get([one.leave.remote("dies") for one in members[:2]])
    members[2] = Member.remote()
    ray.get([one.join.remote(3, rank, "dies") for rank, one in enumerate(members)])
    assert each(members, "allreduce", "dies") == [[6, 6]] * 3


def test_kinds_of_arrays():
    kinds = ["uint8", "int8", "int32", "int64", "float16", "float32", "float64", "bool"]

    @ray.remote(num_cpus=0)
    def member(rank):
        found = []
        collective.init_collective_group(2, rank, "gloo", "kinds")
        for kind in kinds:
            summed = np.array([[rank, 1]], dtype=kind)
            collective.allreduce(summed, "kinds")
            spread = np.full((2, 3), rank, dtype=kind)
            collective.broadcast(spread, 1, "kinds")
            found.append((summed.dtype.name, summed.tolist(), spread.tolist()))
        collective.destroy_collective_group("kinds")
        return found

    expected = [(kind, [[1, 1 if kind == "bool" else 2]], [[1, 1, 1]] * 2) for kind in kinds]
    assert ray.get([member.remote(rank) for rank in range(2)]) == [expected] * 2


def test_tasks():
    @ray.remote(num_cpus=0.5)
    def member(rank):
        collective.init_collective_group(2, rank, "gloo", "tasks")
        array = np.full(1, float(rank))
        collective.allreduce(array, "tasks")
        collective.destroy_collective_group("tasks")
        return array[0]

    assert ray.get([member.remote(rank) for rank in range(2)]) == [1, 1]
