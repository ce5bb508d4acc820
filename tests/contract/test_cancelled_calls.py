"""A cancelled call of an actor: a coroutine is cancelled, everything else is told, and runs on."""

from __future__ import annotations

import asyncio
import time

import pytest
from api import ray

pytestmark = pytest.mark.concurrent
TaskCancelledError = ray.exceptions.TaskCancelledError


class Flag:
    def __init__(self):
        self.began = self.ended = False

    async def begin(self):
        self.began = True

    async def end(self, how):
        self.ended = how

    async def has(self):
        return self.began, self.ended


@pytest.fixture(scope="module")
def flag(engine):
    return ray.remote(num_cpus=0)(Flag)


class Looks:
    """Looks now and then whether it was cancelled."""

    def work(self, flag):
        flag.begin.remote()
        context = ray.get_runtime_context()
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if context.is_canceled():
                ray.get(flag.end.remote("saw it"))
                return "value"
            time.sleep(0.005)
        return None

    def fine(self):
        return "fine"


def cancelled(call):
    with pytest.raises(TaskCancelledError):
        ray.get(call, timeout=60)
    return True


@pytest.mark.parametrize("threads", [1, 2])
def test_a_method_that_runs_sees_it_and_is_not_interrupted(threads, flag, until):
    flag, actor = flag.remote(), ray.remote(num_cpus=0, max_concurrency=threads)(Looks).remote()
    call = actor.work.remote(flag)
    until(lambda: ray.get(flag.has.remote())[0])
    ray.cancel(call)
    assert cancelled(call)
    assert ray.get(flag.has.remote()) == (True, "saw it")
    assert ray.get(actor.fine.remote(), timeout=60) == "fine"


@pytest.mark.own  # Ray begins them, cancelled, when their turn comes
def test_calls_behind_it_that_are_cancelled_never_begin(flag, until):
    first, second = flag.remote(), flag.remote()
    actor = ray.remote(num_cpus=0)(Looks).remote()
    call, behind = actor.work.remote(first), actor.work.remote(second)
    until(lambda: ray.get(first.has.remote())[0])
    ray.cancel(behind)
    ray.cancel(call)
    assert cancelled(call)
    assert cancelled(behind)
    assert ray.get(second.has.remote()) == (False, False)


@ray.remote(num_cpus=0)
class Awaits:
    async def swallow(self, flag):
        flag.begin.remote()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await flag.end.remote("was cancelled")
        return "value"

    async def fine(self):
        return "fine"


def test_a_coroutine_that_goes_on_is_cancelled_all_the_same(flag, until):
    flag, actor = flag.remote(), Awaits.remote()
    call = actor.swallow.remote(flag)
    until(lambda: ray.get(flag.has.remote())[0])
    ray.cancel(call)
    assert cancelled(call)
    assert ray.get(flag.has.remote()) == (True, "was cancelled")
    assert ray.get(actor.fine.remote(), timeout=60) == "fine"


def test_a_coroutine_cannot_look():
    @ray.remote(num_cpus=0)
    class Looks:
        async def look(self):
            return ray.get_runtime_context().is_canceled()

    with pytest.raises(RuntimeError, match="not supported in an async actor"):
        ray.get(Looks.remote().look.remote(), timeout=60)
