"""A value that cannot be put together again where it is read."""

from __future__ import annotations

import asyncio

import pytest
from api import ray

RaySystemError, RayTaskError = ray.exceptions.RaySystemError, ray.exceptions.RayTaskError


def broken():
    raise RuntimeError("not here")


class Broken:
    """It can be pickled."""

    def __reduce__(self):
        return broken, ()


@ray.remote(max_retries=0)
def take(*values, **named):
    return len(values) + len(named)


@ray.remote(max_retries=0)
def give():
    return Broken()


@ray.remote(max_retries=0)
def give_some():
    yield Broken()


@ray.remote(num_cpus=0)
class Actor:
    def __init__(self, *values):
        self.values = values

    def take(self, *values):
        return len(values)

    def give(self):
        return Broken()


READ = {
    "put": lambda: ray.put(Broken()), "in a list": lambda: ray.put([1, Broken()]),
    "result": give.remote, "of a method": lambda: Actor.remote().give.remote(),
    "yielded": lambda: next(give_some.remote()),
}  # fmt: skip
TAKEN = {
    "argument": lambda: take.remote(Broken()), "keyword": lambda: take.remote(named=Broken()),
    "in a list": lambda: take.remote([Broken()]), "put": lambda: take.remote(ray.put(Broken())),
    "result": lambda: take.remote(give.remote()),
    "of a method": lambda: Actor.remote().take.remote(Broken()),
}  # fmt: skip


@pytest.mark.parametrize("make", READ.values(), ids=READ)
def test_whoever_reads_it_is_told(make):
    with pytest.raises(RaySystemError, match="System error: not here") as caught:
        ray.get(make(), timeout=60)
    assert not isinstance(caught.value, RayTaskError)
    assert "traceback: " in str(caught.value)


@pytest.mark.parametrize("make", TAKEN.values(), ids=TAKEN)
def test_a_task_that_takes_it_fails(make):
    with pytest.raises(RaySystemError, match="System error: not here") as caught:
        ray.get(make(), timeout=60)
    assert isinstance(caught.value, RayTaskError)
    assert isinstance(caught.value.cause, RaySystemError)


def test_an_actor_that_takes_it_is_never_made():
    with pytest.raises(ray.exceptions.ActorDiedError, match="not here"):
        ray.get(Actor.remote(Broken()).take.remote(), timeout=60)


def test_whoever_awaits_it_is_told():
    async def read():
        return await ray.put(Broken())

    with pytest.raises(RaySystemError, match="not here"):
        asyncio.run(read())
    with pytest.raises(RaySystemError, match="not here"):
        ray.put(Broken()).future().result(timeout=60)


def test_others_are_read():
    with pytest.raises(RaySystemError, match="not here"):
        ray.get([ray.put(1), ray.put(Broken())])
    assert ray.get(take.remote(1, named=2), timeout=60) == 2
