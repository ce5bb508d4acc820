"""`nbray.util.map`: order, streaming, laziness, errors, cancelling, on every engine."""

from __future__ import annotations

import asyncio
import functools
import gc
import itertools
import os
import time

import numpy as np
import pytest
from api import ray

from nbray import session
from nbray.util import map as nmap

pytestmark = pytest.mark.own


def double(x):
    return 2 * x


def cell_counts():
    """(submitted, done, failed, cancelled, by node) of this cell."""
    view = session.current().insight.snapshot().cells[session.cell.get()]
    return view.submitted, view.done, view.failed - view.cancelled, view.cancelled, view.nodes


@pytest.fixture
def cell():
    """A cell of its own, so that its counts are those of the test."""
    token = session.cell.set(f"cell-{time.monotonic_ns()}")
    yield
    session.cell.reset(token)


# -- results -------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 2, 50, 20_000])
def test_results_come_in_order(count):
    results = nmap(double, range(count))
    assert len(results) == count
    assert list(results) == [2 * i for i in range(count)]
    assert list(results) == []


@pytest.mark.parametrize("kind", [range, list, tuple, iter, dict.fromkeys, np.array])
def test_any_iterable(kind):
    items = range(5, 12_000, 3) if kind is range else kind(range(5, 12_000, 3))
    assert list(nmap(double, items)) == [2 * i for i in range(5, 12_000, 3)]


def test_a_slow_loop_bounds_what_is_read_ahead():
    read = 0

    def number(n):
        nonlocal read
        read = n
        return n

    results = iter(nmap(double, map(number, range(10**9))))
    for _ in range(60_000):
        next(results)
    assert read < 700_000
    del results


def test_any_order():
    assert sorted(nmap(double, range(5000), ordered=False)) == [2 * i for i in range(5000)]


def test_several_iterables_end_with_the_shortest():
    results = nmap(lambda x, y, z: (x, y, z), "abc", range(9), itertools.count(5))
    assert list(results) == [("a", 0, 5), ("b", 1, 6), ("c", 2, 7)]
    assert len(nmap(max, [1, 2], (3, 4, 5))) == 2


@pytest.mark.parametrize("fn", [str, float, functools.partial(pow, 2), abs, lambda x: x or None])
def test_whatever_can_be_called(fn):
    assert list(nmap(fn, [1, 0, 3])) == [fn(1), fn(0), fn(3)]


def test_a_callable_object_and_a_method():
    class Scale:
        def __init__(self, by):
            self.by = by

        def __call__(self, x):
            return self.by * x

    assert list(nmap(Scale(3), [1, 2])) == [3, 6]
    assert list(nmap("a-b".split, ["-"])) == [["a", "b"]]


def test_a_remote_function_keeps_its_options():
    @ray.remote(resources={"special": 1}, name="renamed")
    def where(x):
        context = ray.get_runtime_context()
        return context.get_assigned_resources(), context.get_task_name()

    for held, name in nmap(where, range(3)):
        assert held["special"] == 1
        assert name == "renamed"


def test_references_are_replaced_by_their_values():
    refs = [ray.put(i) for i in range(4)]
    assert list(nmap(double, refs)) == [0, 2, 4, 6]
    assert list(nmap(lambda x, y: x + y, refs, [10] * 4)) == [10, 11, 12, 13]


def test_references_in_results_and_captured_ones():
    ref = ray.put(5)
    found = list(nmap(lambda x: ray.put(ray.get(ref) + x), range(3)))
    assert ray.get(found) == [5, 6, 7]


def test_a_map_inside_a_map():
    def inner(n):
        return sum(nmap(double, range(n)))

    assert list(nmap(inner, range(6))) == [n * (n - 1) for n in range(6)]


def test_in_a_plain_task():
    @ray.remote
    def total(n):
        return sum(nmap(double, range(n)))

    assert ray.get(total.remote(1000)) == 999_000


def test_async_for():
    async def gather():
        return [x async for x in nmap(double, range(3000))]

    assert asyncio.run(gather()) == [2 * i for i in range(3000)]


def test_async_for_goes_on_after_an_error():
    async def gather():
        results = nmap(lambda x: 1 // x, [1, 0, 1])
        found = []
        while True:
            try:
                found.append(await anext(results))
            except ZeroDivisionError:
                found.append("error")
            except StopAsyncIteration:
                return found

    assert asyncio.run(gather()) == [1, "error", 1]


# -- laziness --------------------------------------------------------------------


def test_an_endless_generator_is_read_as_far_as_needed():
    read = 0

    def number(n):
        nonlocal read
        read = n
        return n

    results = nmap(double, map(number, itertools.count(1)), max_in_flight=40)
    with pytest.raises(TypeError):
        len(results)
    assert next(results) == 2
    assert read <= 41
    assert [next(results) for _ in range(200)] == [2 * i for i in range(2, 202)]
    assert read <= 201 + 40 + 40
    results.cancel()


def test_without_a_limit_reading_ahead_is_bounded_too():
    read = 0

    def number(n):
        nonlocal read
        read = n
        return n

    numbers = (number(n) for n in range(1, 10**9))
    results = nmap(lambda x: time.sleep(0.001) or x, numbers)
    for _, _ in zip(results, range(50), strict=False):
        pass
    assert read < 20_000
    results.cancel()


def test_a_slow_generator_holds_no_result_back():
    seen = []

    def items():
        for i in range(6):
            seen.append(("read", i))
            time.sleep(0.2)
            yield i

    seen.extend(("got", x) for x in nmap(lambda x: x, items()))
    assert seen.index(("got", 0)) < seen.index(("read", 5))


def test_an_error_of_the_generator_comes_at_its_place():
    def items():
        yield from range(30)
        raise LookupError("no more")

    results = nmap(double, items())
    found = []
    with pytest.raises(LookupError, match="no more"):
        found.extend(results)
    assert found == [2 * i for i in range(30)]
    assert list(results) == []


# -- errors ----------------------------------------------------------------------


def test_an_error_is_raised_at_its_place_and_iteration_may_go_on():
    results = nmap(lambda x: 100 // x, [1, 2, 0, 4, 0, 5])
    found = []
    while True:
        try:
            found.append(next(results))
        except StopIteration:
            break
        except ray.exceptions.RayTaskError as error:
            found.append(f"{type(error)} {error}")
    assert found[:2] + found[3:4] + found[5:] == [100, 50, 25, 20]
    assert "(item 2: 0)" in found[2]
    assert "(item 4: 0)" in found[4]
    assert "100 // x" in found[2]
    assert "ZeroDivisionError" in found[4]


def test_a_loop_ends_with_the_error_and_another_goes_on():
    results = nmap(lambda x: 1 // x, [1, 0, 1, 1])
    with pytest.raises(ZeroDivisionError):
        list(results)
    assert list(results) == [1, 1]


def test_errors_as_results():
    found = list(nmap(lambda x: 6 // x, [3, 0, 2] * 50, return_exceptions=True))
    assert [x for x in found if isinstance(x, int)] == [2, 3] * 50
    assert all(isinstance(x, ZeroDivisionError) for x in found[1::3])
    assert "(item 148: 0)" in str(found[148])


def test_a_result_that_cannot_be_pickled_is_its_items_error():
    found = list(nmap(lambda x: (i for i in x) if x == "b" else x, "aba" * 20,
                      return_exceptions=True))  # fmt: skip
    assert [x for x in found if isinstance(x, str)] == ["a", "a"] * 20
    assert all(isinstance(x, TypeError) for x in found[1::3])


def test_an_item_that_cannot_be_pickled_is_its_own_error():
    items = [1, (i for i in "x"), 2] * 10
    found = list(nmap(lambda x: x, items, return_exceptions=True))
    assert found[::3] + found[2::3] == [1] * 10 + [2] * 10
    assert all(isinstance(x, TypeError) for x in found[1::3])


@pytest.mark.parametrize("source", [list, iter])
def test_a_slow_moment_loses_no_item(source, monkeypatch):
    """All of them come, however long it takes to hand out the next ones."""
    monkeypatch.setattr("nbray.util.map_run.READING", -1.0)

    async def gather(results):
        return [x async for x in results]

    items = [1, (i for i in "x"), 2] * 10
    for take in (list, lambda results: asyncio.run(gather(results))):
        found = take(nmap(lambda x: x, source(items), return_exceptions=True))
        assert found[::3] + found[2::3] == [1] * 10 + [2] * 10
        assert all(isinstance(x, TypeError) for x in found[1::3])


def test_items_are_tried_again_as_the_options_say(tmp_path):
    @ray.remote(max_retries=2, retry_exceptions=[KeyError])
    def flaky(name):
        path = tmp_path / name
        tries = int(path.read_text()) + 1 if path.exists() else 1
        path.write_text(str(tries))
        if tries < 3:
            raise KeyError(name)
        return tries

    assert list(nmap(flaky, ["a", "b"])) == [3, 3]


def test_what_must_not_run_twice_runs_alone():
    @ray.remote(max_retries=0)
    def once(x):
        return ray.get_runtime_context().get_task_id()

    assert len(set(nmap(once, range(20)))) == 20


@pytest.mark.concurrent
def test_an_item_that_kills_its_worker_fails_alone():
    @ray.remote(max_retries=1)
    def f(x):
        if x == 700:
            os._exit(3)
        return x

    found = list(nmap(f, range(1000), return_exceptions=True))
    assert isinstance(found[700], ray.exceptions.WorkerCrashedError)
    del found[700]
    assert found == [*range(700), *range(701, 1000)]


def gives(x):
    yield x


async def awaits(x):
    return x


@pytest.mark.parametrize(
    ("kind", "message", "call"),
    [
        (TypeError, "missing a required argument", lambda: nmap(lambda x, y: 0, [1])),
        (TypeError, "not int", lambda: nmap(3, [1])),
        (TypeError, "not iterable", lambda: nmap(double, 3)),
        (ValueError, "generator", lambda: nmap(gives, [1])),
        (ValueError, "async", lambda: nmap(functools.partial(awaits), [1])),
        (TypeError, "max_in_flight", lambda: nmap(double, [1], max_in_flight=1.5)),
        (ValueError, "max_in_flight", lambda: nmap(double, [1], max_in_flight=0)),
        (ValueError, "chunk_seconds", lambda: nmap(double, [1], chunk_seconds=0)),
        (TypeError, "chunk_seconds", lambda: nmap(double, [1], chunk_seconds="1")),
    ],
)
def test_mistakes(kind, message, call):
    with pytest.raises(kind, match=message):
        call()


def test_an_actor_is_sent_to_its_pool(Counter):
    with pytest.raises(TypeError, match="ActorPool"):
        nmap(Counter.remote().add, [1])


# -- what is large -----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["closure", "partial"])
def test_large_captured_values_are_put_once(kind, monkeypatch):
    engine = session.current()
    puts = []
    put = type(engine).put
    monkeypatch.setattr(type(engine), "put", lambda self, value: puts.append(1) or put(self, value))
    table = np.arange(200_000)
    if kind == "closure":
        fn = lambda i: int(table[i])  # noqa: E731
    else:
        fn = functools.partial(lambda data, i: int(data[i]), table)
    assert list(nmap(fn, range(3000))) == list(range(3000))
    assert puts == [1]


def test_large_items_and_results():
    found = list(nmap(lambda a: a + 1, [np.full(50_000, i) for i in range(20)]))
    assert [int(a[0]) for a in found] == list(range(1, 21))


# -- counting -----------------------------------------------------------------------


def test_items_are_counted_not_chunks(cell):
    found = list(nmap(lambda x: 1 // (x % 100), range(1000), return_exceptions=True))
    assert len(found) == 1000
    submitted, done, failed, cancelled, nodes = cell_counts()
    assert (submitted, done, failed, cancelled) == (1000, 990, 10, 0)
    assert sum(node.done for node in nodes) == 990


def test_the_total_is_known_from_the_start(cell):
    results = nmap(double, range(100_000))
    assert cell_counts()[0] == 100_000
    assert sum(results) == 2 * sum(range(100_000))


def test_generators_count_as_they_are_read(cell):
    assert len(list(nmap(double, (i for i in range(500))))) == 500
    assert cell_counts()[:4] == (500, 500, 0, 0)


def test_cancelled_items_end_the_count(cell, until):
    results = nmap(double, range(10_000))
    next(results)
    results.cancel()
    until(lambda: cell_counts()[0] == sum(cell_counts()[1:4]))
    assert cell_counts()[0] < 10_000


# -- leaving early --------------------------------------------------------------------


def test_cancel():
    results = nmap(double, itertools.count())
    assert next(results) == 0
    results.cancel()
    assert results.cancel() == 0
    with pytest.raises(ray.exceptions.TaskCancelledError, match="the map of double was cancelled"):
        for _ in range(100_000):
            next(results)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        next(results)


def test_the_end_of_a_with_block_cancels():
    with nmap(double, itertools.count()) as results:
        assert next(results) == 0
    with pytest.raises(ray.exceptions.TaskCancelledError):
        list(results)


@pytest.mark.concurrent
def test_cancelling_interrupts_a_chunk_between_its_items(tmp_path, until):
    marks = tmp_path / "marks"

    def touch(x):
        with marks.open("a") as file:
            file.write(".")
        time.sleep(0.002 if x > 200 else 0)
        return x

    results = nmap(touch, range(100_000), chunk_seconds=5)
    for _ in range(150):
        next(results)
    until(lambda: marks.stat().st_size > 400)
    results.cancel()

    def at_rest():
        size = marks.stat().st_size
        time.sleep(0.3)  # a chunk that went on would have written a hundred marks
        return marks.stat().st_size == size

    until(at_rest)
    assert marks.stat().st_size < 100_000


@pytest.mark.concurrent
@pytest.mark.parametrize("how", ["break", "error", "drop"])
def test_leaving_a_loop_cancels_the_rest(how, tmp_path, until, cell):
    def nap(x):
        if x:
            time.sleep(60)
        return x

    if how == "break":
        for x in nmap(nap, range(100)):
            assert x == 0
            break
    elif how == "error":
        with pytest.raises(KeyError):
            for x in nmap(nap, range(100)):
                raise KeyError(x)
    else:
        results = nmap(nap, range(100))
        assert next(results) == 0
        del results
    gc.collect()
    until(lambda: cell_counts()[0] == sum(cell_counts()[1:4]))
    # The workers are free again.
    assert list(nmap(double, range(10))) == [2 * i for i in range(10)]


@pytest.mark.concurrent
def test_an_interrupt_while_it_waits_cancels_the_rest(until, cell):
    import signal
    import threading

    results = nmap(lambda x: time.sleep(60), range(8))
    threading.Timer(0.5, signal.raise_signal, (signal.SIGINT,)).start()
    with pytest.raises(KeyboardInterrupt):
        next(results)
    with pytest.raises(ray.exceptions.TaskCancelledError, match="KeyboardInterrupt"):
        next(results)
    until(lambda: cell_counts()[0] == sum(cell_counts()[1:4]))
    assert list(nmap(double, range(10))) == [2 * i for i in range(10)]


# -- slow items -------------------------------------------------------------------------


def wait_for(path):
    """What a slow item does: it ends when *path* is there."""
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, "this item held back what it waits for"
        time.sleep(0.005)


@pytest.mark.concurrent
@pytest.mark.parametrize("ordered", [True, False])
def test_what_is_behind_a_slow_item_is_run_elsewhere(tmp_path, ordered):
    behind = tmp_path / "behind"

    def work(x):
        if x == 3:
            wait_for(behind)
        if x == 5:
            behind.touch()
        return x

    # From a generator, so that the first chunk of several items is as large as it can be.
    found = list(nmap(work, (i for i in range(200)), ordered=ordered))
    assert sorted(found) == list(range(200))
    assert found == sorted(found) or not ordered


@pytest.mark.concurrent
@pytest.mark.parametrize("kind", ["small", "large", "references"])
def test_results_before_a_slow_item_do_not_wait_for_it(tmp_path, kind):
    seen = tmp_path / "seen"

    def work(x):
        if x == 6 and kind != "references":
            wait_for(seen)
        return {"small": x, "large": np.full(9000, x), "references": ray.put(x)}[kind]

    results = nmap(work, (i for i in range(50)), chunk_seconds=0.02)
    first = [next(results) for _ in range(6)]
    seen.touch()
    found = [*first, *results]
    if kind == "references":
        found = ray.get(found)
    assert [int(np.max(x)) for x in found] == list(range(50))


@pytest.mark.concurrent
def test_a_crash_behind_early_results_is_blamed_on_its_item(tmp_path):
    seen = tmp_path / "seen"

    @ray.remote(max_retries=1)
    def work(x):
        if x == 6:
            wait_for(seen)
            os._exit(3)
        return x

    results = nmap(work, (i for i in range(50)), return_exceptions=True, chunk_seconds=0.02)
    first = [next(results) for _ in range(6)]
    seen.touch()
    found = [*first, *results]
    assert isinstance(found[6], ray.exceptions.WorkerCrashedError)
    assert found[:6] + found[7:] == [*range(6), *range(7, 50)]
