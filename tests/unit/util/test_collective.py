"""What members of a group meet in, and what collectives refuse."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from nbray.exceptions import OwnerDiedError
from nbray.util import collective
from nbray.util.collective.meeting import CollectiveGroup
from nbray.util.collective.types import Backend


def test_all_wait_for_all():
    async def main():
        group = CollectiveGroup(2, None)
        both = [group.bring(0, "barrier", rank, [rank], [0, 1], 60) for rank in (0, 1)]
        assert await asyncio.gather(*both) == [{0: [0], 1: [1]}] * 2
        assert group.steps == {}

    asyncio.run(main())


def test_one_that_does_not_come_or_calls_something_else():
    async def main():
        group = CollectiveGroup(3, None)
        why = await group.bring(0, "barrier", 0, [], [0, 1, 2], 0.01)
        assert why == "barrier waited 0.01 s for ranks 1, 2"
        why = await group.bring(0, "allreduce", 1, [], [0], 1)
        assert why == "rank 1 calls allreduce where others call barrier"
        assert await group.fetch(1, 0, 0, 0.01) == "recv waited 0.01 s for rank 1"

    asyncio.run(main())


def test_one_that_does_not_join():
    async def main():
        group = CollectiveGroup(2, None, 0.05)
        life = asyncio.get_running_loop().create_future()
        await group.join(0, 2, "0", [life])
        why = await group.bring(0, "barrier", 0, [], [0, 1], 60)
        assert why == "barrier waited 0.05 s for rank 1 to join"
        assert await group.fetch(1, 0, 0, 60) == "recv waited 0.05 s for rank 1 to join"
        waits = asyncio.create_task(group.bring(1, "barrier", 0, [], [0, 1], 60))
        await asyncio.sleep(0)
        await group.join(1, 2, "1", [life])
        await asyncio.sleep(0.1)
        assert not waits.done()  # it has joined, and may take its time
        await group.bring(1, "barrier", 1, [], [], 60)
        assert await waits == {0: [], 1: []}
        life.set_result(None)

    asyncio.run(main())


def test_members():
    async def main():
        group = CollectiveGroup(2, {"a": 1})
        assert await group.declared("a") == (1, 2)
        assert await group.declared("b") == (-1, 2)
        stays = [asyncio.create_task(group.stay(str(n))) for n in range(4)]
        assert await group.join(0, 3, "0", stays[:1]) == "its size is 2, not 3"
        assert await group.join(0, 2, "1", stays[1:]) == ""
        assert await group.join(0, 2, "2", stays[2:]) == "rank 0 is taken"
        assert await group.join(1, 2, "3", stays[3:]) == ""
        await asyncio.gather(stays[0], stays[2])
        assert not stays[1].done()
        assert await group.leave(0) is False
        assert await group.bring(0, "barrier", 1, [], [0, 1], 60) == (
            "barrier waits in vain: rank 0 left the group"
        )
        assert await group.leave(1) is True
        await asyncio.gather(*stays)
        assert not group._watches

    asyncio.run(main())


def test_a_member_that_dies():
    async def main():
        group = CollectiveGroup(3, None)
        lives = [asyncio.get_running_loop().create_future() for _ in range(2)]
        for rank, life in enumerate(lives):
            await group.join(rank, 3, str(rank), [life])
        waits = [
            asyncio.create_task(group.bring(0, "allreduce", 0, [], [0, 1, 2], 60)),
            asyncio.create_task(group.fetch(1, 0, 0, 60)),
        ]
        await asyncio.sleep(0)
        lives[1].set_exception(OwnerDiedError("it died"))
        assert await asyncio.gather(*waits) == [
            "allreduce waits in vain: rank 1 died", "recv waits in vain: rank 1 died",
        ]  # fmt: skip
        await group.post(2, 0, 0, ["sent"])
        assert await group.fetch(2, 0, 0, 60) == ["sent"]
        assert await group.leave(0) is True  # rank 2 has not come yet

    asyncio.run(main())


def test_what_is_sent_waits():
    async def main():
        group = CollectiveGroup(2, None)
        fetching = asyncio.create_task(group.fetch(0, 1, 0, 60))
        await asyncio.sleep(0)
        await group.post(0, 1, 0, ["ref"])
        assert await fetching == ["ref"]
        assert group.posts == {}

    asyncio.run(main())


def test_backends():
    assert Backend("torch_gloo") == Backend("gloo") == Backend.GLOO == "GLOO"
    with pytest.raises(ValueError, match="Unrecognized backend: 'mpi'"):
        Backend("mpi")
    assert collective.gloo_available()
    assert not collective.nccl_available()
    assert not collective.is_group_initialized("of a driver")
    assert not collective.is_backend_available("nccl")


def test_what_is_refused():
    with pytest.raises(RuntimeError, match="inside a Ray actor or task"):
        collective.allreduce(np.ones(1))
    with pytest.raises(RuntimeError, match="Unrecognized tensor type"):
        collective.allreduce([1])
    with pytest.raises(RuntimeError, match="Multigpu"):
        collective.allreduce_multigpu([])
    with pytest.raises(NotImplementedError, match="MINE"):
        collective.register_collective_backend("MINE", object)
