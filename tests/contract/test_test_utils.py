"""`_private.test_utils`: what tests of Ray's users wait with; Ray moves it now and then."""

from __future__ import annotations

import asyncio

import pytest
from api import load, ray

pytestmark = pytest.mark.own


@pytest.fixture(scope="module")
def utils():
    return load("_private.test_utils")


@pytest.mark.concurrent
def test_a_task_goes_on_when_it_is_told(utils):
    signal = utils.SignalActor.remote()

    @ray.remote(num_cpus=0)
    def waits(signal):
        ray.get(signal.wait.remote())
        return "went on"

    ref = waits.remote(signal)
    utils.wait_for_condition(
        lambda: ray.get(signal.cur_num_waiters.remote()) == 1, retry_interval_ms=10
    )
    assert ray.wait([ref], timeout=0.05)[0] == []
    ray.get(signal.send.remote())
    assert ray.get(ref) == "went on"


def test_a_semaphore(utils):
    one = utils.Semaphore.remote(1)
    ray.get(one.acquire.remote())
    assert ray.get(one.locked.remote())
    ray.get(one.release.remote())
    assert not ray.get(one.locked.remote())


def test_conditions(utils):
    seen = iter([False, True])
    utils.wait_for_condition(lambda: next(seen), retry_interval_ms=1)
    utils.wait_for_condition(lambda given: given == 3, given=3)
    with pytest.raises(RuntimeError, match="wasn't met.*ZeroDivisionError"):
        utils.wait_for_condition(lambda: 1 / 0, timeout=0.02, retry_interval_ms=1)
    with pytest.raises(ZeroDivisionError):
        utils.wait_for_condition(lambda: 1 / 0, raise_exceptions=True)

    async def true():
        return True

    asyncio.run(utils.async_wait_for_condition(true))
    with pytest.raises(RuntimeError, match="wasn't met"):
        asyncio.run(utils.async_wait_for_condition(lambda: False, timeout=0.02))
    assert utils.same_elements([1, 2, 2], [2, 1, 2])
    assert not utils.same_elements([1, 2, 2], [2, 1, 1])
