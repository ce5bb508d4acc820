"""Objects: put, get, wait, references, arrays."""

from __future__ import annotations

import asyncio
import gc
import pickle
import time

import numpy as np
import pytest
from api import ray

SIZES = [10, 100_000]
"""Numbers in an array that rides in a message, and in one that does not."""


@pytest.mark.parametrize(
    "value",
    [None, 0, True, "text", b"bytes", [1, [2]], {"a": (1, 2)}, {1, 2}, 1.5, 2**100, range(3)],
    ids=repr,
)
def test_put_and_get(value):
    assert ray.get(ray.put(value)) == value


def test_get_of_a_list_keeps_the_order():
    refs = [ray.put(i) for i in range(50)]
    assert ray.get(refs[::-1]) == list(range(50))[::-1]


def test_get_of_an_empty_list():
    assert ray.get([]) == []


def test_the_same_reference_twice_in_one_get():
    ref = ray.put("x")
    assert ray.get([ref, ref]) == ["x", "x"]


def test_put_takes_a_copy():
    items = [1, 2]
    ref = ray.put(items)
    items.append(3)
    assert ray.get(ref) == [1, 2]


@pytest.mark.parametrize(
    "wrong", [5, "ref", None, {"a": 1}, object()], ids=lambda x: type(x).__name__
)
def test_get_of_no_reference_is_refused(wrong):
    with pytest.raises(ValueError, match="ObjectRef"):
        ray.get(wrong)


def test_get_of_a_list_with_something_else_is_refused():
    with pytest.raises(TypeError, match="item 1"):
        ray.get([ray.put(1), 2])


def test_put_of_a_reference_is_refused():
    with pytest.raises(TypeError, match="ObjectRef"):
        ray.put(ray.put(1))


def test_get_of_a_function_says_what_to_do():
    @ray.remote
    def one():
        return 1

    with pytest.raises(ValueError, match="remote"):
        ray.get(one)


@pytest.mark.parametrize("size", SIZES)
def test_arrays_come_back_read_only(size):
    sent = np.arange(size, dtype=np.float64)
    got = ray.get(ray.put(sent))
    np.testing.assert_array_equal(got, sent)
    assert not got.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        got[0] = 1


@pytest.mark.parametrize("size", SIZES)
def test_arrays_are_read_only_in_a_task(size):
    @ray.remote
    def look(array):
        return array.flags.writeable, float(array.sum())

    array = np.ones(size)
    assert ray.get(look.remote(array)) == (False, size)
    assert ray.get(look.remote(ray.put(array))) == (False, size)


@pytest.mark.parametrize("size", SIZES)
def test_arrays_that_tasks_return_are_read_only(size):
    @ray.remote
    def make():
        return {"array": np.full(size, 7)}

    array = ray.get(make.remote())["array"]
    assert array[-1] == 7
    assert not array.flags.writeable


def test_large_text_and_bytes():
    @ray.remote
    def both():
        return "a" * 500_000, b"b" * 500_000

    text, data = ray.get(both.remote())
    assert text == "a" * 500_000
    assert data == b"b" * 500_000


def test_an_array_stays_whole_after_its_reference_is_gone():
    ref = ray.put(np.arange(200_000))
    array = ray.get(ref)
    del ref
    gc.collect()
    others = [ray.put(np.zeros(200_000)) for _ in range(5)]
    assert array[123_456] == 123_456
    assert len(others) == 5


def test_arrays_of_every_kind():
    arrays = [
        np.array([], dtype=np.int32),
        np.array(5.0),
        np.arange(12).reshape(3, 4).T,
        np.array(["a", "bc"]),
        np.array([1, None, "x"], dtype=object),
        np.array(["2020-01-01"], dtype="datetime64[D]"),
        np.arange(20)[::3],
    ]
    for sent, got in zip(arrays, ray.get(ray.put(arrays)), strict=True):
        assert got.dtype == sent.dtype
        assert got.shape == sent.shape
        assert (got == sent).all()


def test_a_reference_inside_a_value_keeps_its_object():
    inner = ray.put("kept")
    outer = ray.put({"inner": inner})
    del inner
    gc.collect()
    assert ray.get(ray.get(outer)["inner"]) == "kept"


def test_a_reference_that_a_task_put_and_returned():
    @ray.remote
    def make():
        return [ray.put(np.arange(50_000)), ray.put("small")]

    large, small = ray.get(make.remote())
    assert ray.get(large)[-1] == 49_999
    assert ray.get(small) == "small"


def test_a_reference_passed_through_two_tasks():
    @ray.remote
    def read(box):
        return ray.get(box[0])

    @ray.remote
    def pass_on(box):
        return ray.get(read.remote(box))

    assert ray.get(pass_on.remote([ray.put(42)])) == 42


def test_references_are_equal_by_identity_of_their_object():
    ref = ray.put(1)
    assert ray.get(ray.put([ref]))[0] == ref
    assert hash(ray.get(ray.put([ref]))[0]) == hash(ref)
    assert ref != ray.put(1)


def test_a_reference_cannot_be_pickled_by_others():
    with pytest.raises(TypeError, match="ObjectRef"):
        pickle.dumps(ray.put(1))


def test_a_reference_is_not_iterable():
    with pytest.raises(TypeError, match="num_returns"):
        _a, _b = ray.put((1, 2))


def test_await_of_a_reference():
    @ray.remote
    def one():
        return 1

    async def main():
        return await one.remote(), await asyncio.gather(ray.put(2), one.remote())

    assert asyncio.run(main()) == (1, [2, 1])


def test_a_future_of_a_reference():
    @ray.remote
    def fail():
        raise KeyError("nothing")

    assert ray.put(3).future().result(timeout=60) == 3
    assert isinstance(fail.remote().future().exception(timeout=60), KeyError)


def test_wait_returns_ready_and_rest():
    refs = [ray.put(i) for i in range(4)]
    ready, rest = ray.wait(refs, num_returns=4)
    assert ready == refs
    assert rest == []


def test_wait_returns_at_most_num_returns_in_order():
    refs = [ray.put(i) for i in range(5)]
    ready, rest = ray.wait(refs, num_returns=2)
    assert ready == refs[:2]
    assert rest == refs[2:]
    assert len(ray.wait(refs)[0]) == 1


def test_wait_for_tasks():
    @ray.remote
    def one():
        return 1

    refs = [one.remote() for _ in range(10)]
    ready, rest = ray.wait(refs, num_returns=10, timeout=60)
    assert (len(ready), len(rest)) == (10, 0)


def test_a_failed_task_is_ready():
    @ray.remote
    def fail():
        raise ValueError

    ready, rest = ray.wait([fail.remote()], timeout=60)
    assert (len(ready), len(rest)) == (1, 0)


def test_wait_for_nothing():
    assert ray.wait([]) == ([], [])


def test_wait_refuses_duplicates():
    ref = ray.put(1)
    with pytest.raises(ValueError, match="duplicates"):
        ray.wait([ref, ref])


@pytest.mark.parametrize("count", [0, -1, 3])
def test_wait_refuses_impossible_counts(count):
    with pytest.raises(ValueError, match="num_returns"):
        ray.wait([ray.put(1), ray.put(2)], num_returns=count)


def test_wait_refuses_a_single_reference():
    with pytest.raises(TypeError, match="list"):
        ray.wait(ray.put(1))


def test_wait_refuses_other_things():
    with pytest.raises(TypeError, match="item 0"):
        ray.wait([1])


def test_negative_times_are_refused():
    ref = ray.put(1)
    with pytest.raises(ValueError, match="timeout"):
        ray.get(ref, timeout=-1)
    with pytest.raises(ValueError, match="timeout"):
        ray.wait([ref], timeout=-0.5)


def test_get_with_time_to_spare():
    assert ray.get(ray.put(1), timeout=0) == 1
    assert ray.get([ray.put(1)], timeout=60) == [1]


@pytest.mark.concurrent
def test_get_runs_out_of_time():
    @ray.remote
    def slow():
        time.sleep(1.5)
        return "done"

    ref = slow.remote()
    with pytest.raises(ray.exceptions.GetTimeoutError):
        ray.get(ref, timeout=0.1)
    with pytest.raises(TimeoutError):
        ray.get([ref], timeout=0)
    assert ray.get(ref) == "done"


@pytest.mark.concurrent
def test_wait_with_some_ready():
    @ray.remote
    def sleep(seconds):
        time.sleep(seconds)
        return seconds

    slow, fast = sleep.remote(3), sleep.remote(0)
    ready, rest = ray.wait([slow, fast], num_returns=1)
    assert (ready, rest) == ([fast], [slow])
    ready, rest = ray.wait([slow, fast], num_returns=2, timeout=0.1)
    assert (ready, rest) == ([fast], [slow])
    assert ray.get(slow) == 3


@pytest.mark.concurrent
def test_wait_without_time():
    @ray.remote
    def sleep():
        time.sleep(1)

    ref = sleep.remote()
    assert ray.wait([ref], timeout=0) == ([], [ref])
    assert ray.wait([ref]) == ([ref], [])


def test_classes_of_the_user_travel():
    class Point:
        def __init__(self, x):
            self.x = x

        def doubled(self):
            return Point(2 * self.x)

    @ray.remote
    def double(point):
        return point.doubled()

    assert ray.get(double.remote(Point(21))).x == 42
    assert isinstance(ray.get(ray.put(Point(1))), Point)
