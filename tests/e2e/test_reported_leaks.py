"""What users of Ray reported as leaks or early frees, by the number of the issue there.

Each program ends with nothing in any store, no object of anybody's and no actor alive.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from harness import eventually

import nbray as ray
from nbray import session
from nbray.details import ACTOR_STATES, ACTORS, OBJECTS

SIZE = 100_000
"""Numbers of an array: 800 kB, which lie in the store."""


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False)
    yield
    ray.shutdown()


@pytest.fixture(autouse=True)
def clean(cluster: None) -> Iterator[None]:
    yield
    left = eventually(lambda: not remains(), 20.0)
    assert left, remains()


def remains() -> list[Any]:
    """What lies in stores, what anybody owns, who lives."""
    gc.collect()
    engine = session.require()
    used = [node.figures.store_used for node in engine.insight.snapshot().nodes]
    found = engine.insight.complete(OBJECTS | ACTORS, 10.0)
    alive = [one for one in found.actors if ACTOR_STATES[one.state] != "dead"]
    return [*(size for size in used if size), *found.objects, *alive]


def array(value: float = 1.0) -> np.ndarray[Any, Any]:
    return np.full(SIZE, value)


@ray.remote
def total(value: Any) -> float:
    return float(value.sum())


@ray.remote
def opened(refs: list[Any]) -> float:
    return float(ray.get(refs[0]).sum())


@ray.remote
def made() -> Any:
    return array()


@ray.remote(num_cpus=0)
class Keeper:
    def __init__(self, *held: Any) -> None:
        self.held: Any = list(held)

    def keep(self, value: Any) -> None:
        self.held = value

    def get(self) -> Any:
        return self.held

    def opened(self) -> float:
        return float(ray.get(self.held[0]).sum())

    def put(self) -> list[Any]:
        return [ray.put(array())]

    def same(self, value: Any) -> Any:
        return value


def test_2213_a_large_value_put_again_and_again() -> None:
    for index in range(5):
        ref = ray.put([{"index": index, "data": array(index)}])
        assert ray.get([opened_list.remote(ref) for _ in range(3)]) == [index * SIZE] * 3


@ray.remote
def opened_list(value: Any) -> float:
    return float(value[0]["data"].sum())


def test_6370_handles_passed_to_an_actor_s_method() -> None:
    first, second = Keeper.remote(), Keeper.remote()
    for _ in range(20):
        ray.get(first.same.remote(second))


def test_7326_an_actor_made_in_a_task_and_passed_to_another() -> None:
    @ray.remote
    def child(_handle: Any) -> None:
        return None

    @ray.remote
    def parent() -> None:
        ray.get(child.remote(Keeper.remote()))

    ray.get(parent.remote())


def test_7815_the_handle_that_an_actor_returned_is_used_and_not_kept() -> None:
    parent = Keeper.remote()
    ray.get(parent.keep.remote([Keeper.remote()]))
    assert ray.get(ray.get(parent.get.remote())[0].same.remote("hello")) == "hello"


def test_7887_many_tasks_take_the_same_result() -> None:
    upstream = made.remote()
    assert ray.get([total.remote(upstream) for _ in range(20)]) == [SIZE] * 20


def test_10151_results_that_nobody_fetches() -> None:
    keeper = Keeper.remote()
    for _ in range(10):
        keeper.put.remote()
        made.remote()
    ray.get(keeper.same.remote(1))


def test_17553_an_argument_comes_back_inside_the_result() -> None:
    @ray.remote
    def nested() -> list[Any]:
        return [ray.put(array(index)) for index in range(3)]

    @ray.remote
    def calls(function: Any) -> Any:
        return function()

    def passed(found: list[Any]) -> Any:
        return calls.remote(lambda: found)

    @ray.remote
    def whole() -> list[float]:
        ref = nested.remote()
        again = passed(ray.get(ref))
        del ref
        time.sleep(0.2)
        return [float(one.sum()) for one in ray.get(ray.get(again))]

    assert ray.get(whole.remote()) == [0, SIZE, 2 * SIZE]


def test_17717_references_returned_through_several_actors() -> None:
    @ray.remote(num_cpus=0)
    class Middle:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def pass_on(self) -> Any:
            return self.inner.put.remote()

    inner = Keeper.remote()
    middle = Middle.remote(inner)
    ref = ray.get(middle.pass_on.remote())
    time.sleep(0.1)
    assert ray.get(ray.get(ref)[0]).sum() == SIZE


def test_18456_a_reference_handed_on_by_a_worker_that_dies() -> None:
    keeper = Keeper.remote()

    @ray.remote(max_retries=0)
    def hands_on(refs: list[Any]) -> None:
        ray.get(keeper.keep.remote(refs))
        os._exit(1)

    ref = ray.put(array())
    with pytest.raises(ray.exceptions.WorkerCrashedError):
        ray.get(hands_on.remote([ref]))
    del ref
    time.sleep(0.2)
    assert ray.get(keeper.opened.remote()) == SIZE


def test_18552_a_box_let_go_of_as_soon_as_it_was_read() -> None:
    @ray.remote
    def reads(boxes: list[Any]) -> float:
        inner = ray.get(boxes[0])[0]
        del boxes[:]
        return float(ray.get(inner).sum())

    for _ in range(10):
        box = ray.put([ray.put(array())])
        found = reads.remote([box])
        del box
        assert ray.get(found) == SIZE


def test_19905_an_async_actor_that_passes_values_through() -> None:
    @ray.remote(num_cpus=0)
    class Through:
        async def call(self, value: Any) -> Any:
            return await made_of.remote(value)

    @ray.remote
    def made_of(value: Any) -> Any:
        return value + 1

    through = Through.remote()
    assert all(one[0] == 2 for one in ray.get([through.call.remote(array()) for _ in range(5)]))


def test_20018_what_a_task_put_outlives_the_idleness_of_its_worker() -> None:
    @ray.remote
    def parts() -> list[Any]:
        return [ray.put(array()), ray.put(array(2))]

    refs = ray.get(parts.remote())
    other = Keeper.remote()
    ray.get(other.same.remote(1))
    del other
    time.sleep(0.3)
    assert ray.get([total.remote(ref) for ref in refs]) == [SIZE, 2 * SIZE]


def test_20554_a_worker_that_owns_objects_does_not_become_an_actor() -> None:
    refs = [ray.get(puts.remote()) for _ in range(3)]
    for _ in range(3):
        actor = Keeper.remote()
        ray.get(actor.same.remote(1))
        del actor
    assert [ray.get(one[0])[0] for one in refs] == [1.0] * 3


@ray.remote
def puts() -> list[Any]:
    return [ray.put(array())]


def test_22154_a_handle_captured_by_a_function() -> None:
    keeper = Keeper.remote()

    @ray.remote
    def asks() -> int:
        found: int = ray.get(keeper.same.remote(5))
        return found

    assert ray.get(asks.remote()) == 5


def test_24216_state_that_an_actor_replaces() -> None:
    keeper = Keeper.remote()
    for index in range(5):
        ray.get(keeper.keep.remote([ray.put(array(index))]))
    ray.get(keeper.keep.remote(None))
    assert eventually(lambda: not session.require().insight.complete(OBJECTS, 10.0).object_bytes)


@pytest.mark.parametrize("explicit", [True, False])
def test_27297_references_of_an_actor_that_is_never_placed(explicit: bool) -> None:
    ref = ray.put(array())
    never = Keeper.options(resources={"nonexistent": 1}).remote({"foo": ref})
    if explicit:
        ray.kill(never)
    del never, ref


def test_31421_a_loop_that_puts_and_reads() -> None:
    @ray.remote
    def process(data: Any) -> bytes:
        return bytes(len(data))

    for _ in range(5):
        data = ray.put(bytes(1_000_000))
        ref = process.remote(data)
        assert len(ray.get(ref)) == 1_000_000


def test_32956_references_for_an_actor_s_constructor() -> None:
    ref = ray.put(array())
    keeper = Keeper.remote([ref], ref)
    del ref
    assert ray.get(keeper.get.remote())[1].sum() == SIZE
    ray.get(keeper.keep.remote(None))
    assert eventually(lambda: not session.require().insight.complete(OBJECTS, 10.0).object_bytes)


def test_35712_a_stream_that_is_read_at_once_and_one_that_is_left() -> None:
    @ray.remote(num_returns="streaming")
    def yields() -> Iterator[Any]:
        for index in range(6):
            yield array(index)

    assert [ray.get(ref)[0] for ref in yields.remote()] == list(range(6))
    left = yields.remote()
    assert ray.get(next(left))[0] == 0
    del left


def test_38216_a_task_that_raises_over_its_arguments() -> None:
    @ray.remote
    def raises(values: Any, refs: list[Any]) -> None:
        data = ray.get(refs[0])
        raise ValueError(len(values), len(data))

    ref = ray.put(array())
    for _ in range(3):
        with pytest.raises(ValueError, match="100000"):
            ray.get(raises.remote(ref, [ref]))


def test_40731_a_reference_in_a_list_is_read_by_a_task_of_a_task() -> None:
    @ray.remote
    def outer(refs: list[Any]) -> float:
        inner: float = ray.get(opened.remote(refs))
        return inner

    assert ray.get(outer.remote([ray.put(array())])) == SIZE


def test_45704_an_actor_that_is_passed_its_own_handle() -> None:
    actor = Keeper.remote()
    ray.get(actor.same.remote(actor))


def test_46157_a_borrower_of_what_is_cancelled() -> None:
    @ray.remote(num_cpus=0)
    def sleeps() -> None:
        time.sleep(3600)

    @ray.remote(num_cpus=0)
    def borrows(refs: list[Any]) -> str:
        try:
            ray.get(refs[0])
        except ray.exceptions.RayError as error:
            return type(error).__name__
        return ""

    ref = sleeps.remote()
    found = borrows.remote([ref])
    ray.cancel(ref, force=True)
    del ref
    assert ray.get(found, timeout=60)


def test_53260_results_of_an_actor_that_were_read() -> None:
    keeper = Keeper.remote()
    for _ in range(20):
        value = ray.get(ray.get(keeper.put.remote())[0])
        assert value[0] == 1.0
    del value
    assert eventually(lambda: not session.require().insight.complete(OBJECTS, 10.0).object_bytes)


def test_58080_what_lies_in_values_that_an_actor_yields() -> None:
    @ray.remote(num_cpus=0)
    class Producer:
        def run(self) -> Iterator[Any]:
            for index in range(10):
                yield [ray.put(array(index)) for _ in range(2)]

    producer, consumer = Producer.remote(), Keeper.remote()
    for index, ref in enumerate(producer.run.options(num_returns="streaming").remote()):
        ray.get(consumer.keep.remote(ray.get(ref)))
        del ref
        assert ray.get(consumer.opened.remote()) == index * SIZE
