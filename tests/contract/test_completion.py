"""`nbray.as_completed` and `nbray.progress` on every engine."""

from __future__ import annotations

import asyncio
import time

import pytest
from api import ray


@ray.remote(num_cpus=0.1)
def after(seconds, value=None):
    time.sleep(seconds)
    return value


@ray.remote
def fails():
    raise ValueError("no")


@pytest.fixture(params=["as_completed", "progress"])
def completing(request):
    return getattr(ray, request.param)


@pytest.mark.own
def test_every_reference_comes_once(completing):
    refs = [after.remote(0, i) for i in range(300)]
    got = list(completing(refs + refs[:5]))
    assert len(got) == 300
    assert sorted(ray.get(got)) == list(range(300))


@pytest.mark.own
def test_none_of_none(completing):
    assert list(completing([])) == []


@pytest.mark.own
def test_any_iterable_of_references(completing):
    assert sorted(ray.get(list(completing(after.remote(0, i) for i in range(3))))) == [0, 1, 2]


@pytest.mark.own
def test_a_failed_task_is_complete(completing):
    (ref,) = completing([fails.remote()])
    with pytest.raises(ValueError, match="no"):
        ray.get(ref)


@pytest.mark.own
@pytest.mark.concurrent
def test_they_come_in_the_order_in_which_they_end(completing, tmp_path):
    go = tmp_path / "go"

    @ray.remote(num_cpus=0.1)
    def waits():
        while not go.exists():
            time.sleep(0.02)
        return "late"

    late, first = waits.remote(), after.remote(0.05, "first")
    came = []
    for ref in completing([late, first]):
        came.append(ray.get(ref))
        go.touch()
    assert came == ["first", "late"]


@pytest.mark.own
@pytest.mark.concurrent
def test_time_that_runs_out():
    late = after.remote(600)
    found = ray.as_completed([late, after.remote(0, "soon")], timeout=3.0)
    assert ray.get(next(found)) == "soon"
    with pytest.raises(TimeoutError, match="1 of 2 references were not ready within 3 s"):
        next(found)
    assert list(found) == []
    ray.cancel(late)


@pytest.mark.own
def test_in_a_coroutine(completing):
    async def main():
        refs = [after.remote(0.01, i) for i in range(5)]
        return [await ref async for ref in completing(refs)]

    assert sorted(asyncio.run(main())) == [0, 1, 2, 3, 4]


@pytest.mark.own
@pytest.mark.concurrent
def test_a_coroutine_that_is_cancelled_leaves_no_thread_waiting(completing):
    late = after.remote(600)

    async def main():
        async def all_of_them():
            async for _ in completing([late]):
                pass

        await asyncio.wait_for(all_of_them(), 0.3)

    with pytest.raises(TimeoutError):
        asyncio.run(main())  # would wait for the thread
    ray.cancel(late)


@pytest.mark.own
@pytest.mark.parametrize(
    ("refs", "error"), [(1, "not int"), ([1], "these is of type int"), ("ab", "is of type str")]
)
def test_what_is_no_reference(completing, refs, error):
    with pytest.raises(TypeError, match=error):
        completing(refs)


@pytest.mark.own
def test_a_single_reference_is_refused(completing):
    with pytest.raises(TypeError, match="several ObjectRefs"):
        completing(ray.put(1))


@pytest.mark.own
@pytest.mark.parametrize(("value", "kind"), [("1", TypeError), (-1, ValueError)])
def test_a_bad_time(value, kind):
    with pytest.raises(kind, match="timeout"):
        ray.as_completed([], timeout=value)
