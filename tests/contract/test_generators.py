"""Generator tasks: streams of references, their errors, their ends."""

from __future__ import annotations

import asyncio
import os
import pickle
import time

import pytest
from api import ray


@ray.remote
def numbers(n):
    for index in range(n):  # noqa: UP028 - through `yield from` Ray sends into it
        yield index


@ray.remote
def breaks(n):
    for index in range(n):  # noqa: UP028 - through `yield from` Ray sends into it
        yield index
    raise ValueError("broken")


@ray.remote
def noted(n, path, seconds=0.0):
    """Yields numbers, and notes each in a file before, and its own end."""
    try:
        for index in range(n):
            with path.open("a") as file:
                file.write(f"{index}\n")
            yield index
            time.sleep(seconds)
    finally:
        with path.open("a") as file:
            file.write("end\n")


def lines(path):
    return path.read_text().split() if path.exists() else []


def outcomes(refs):
    """The value of each, or the class of its error."""
    found = []
    for ref in refs:
        try:
            found.append(ray.get(ref))
        except Exception as error:
            found.append(type(error))
    return found


def test_a_generator_function_streams():
    stream = numbers.remote(3)
    assert isinstance(stream, ray.ObjectRefGenerator)
    assert iter(stream) is stream
    refs = list(stream)
    assert all(isinstance(ref, ray.ObjectRef) for ref in refs)
    assert ray.get(refs) == [0, 1, 2]
    with pytest.raises(StopIteration):
        next(stream)
    assert stream.is_finished()
    assert not stream.next_ready()
    assert ray.get(stream.completed()) is None


def test_streaming_by_name_and_by_default():
    for form in (
        numbers.options(num_returns="streaming"), numbers.options(num_returns=None),
        numbers.options(num_cpus=0), ray.remote(num_returns="streaming")(numbers._function),
    ):
        assert ray.get(list(form.remote(2))) == [0, 1]
    assert list(numbers.remote(0)) == []


def test_what_is_no_generator_does_not_stream():
    @ray.remote
    def one():
        return 1

    for returns in ("streaming", "dynamic"):
        with pytest.raises(ValueError, match="can only be used with generator functions"):
            one.options(num_returns=returns)
        with pytest.raises(ValueError, match="can only be used with generator functions"):
            ray.remote(num_returns=returns)(one._function)


def test_the_error_is_the_last_item():
    stream = breaks.remote(2)
    refs = list(stream)
    assert ray.get(refs[:2]) == [0, 1]
    with pytest.raises(ValueError, match="broken"):
        ray.get(refs[2])
    assert len(refs) == 3
    assert stream.is_finished()
    assert ray.get(stream.completed()) is None
    assert len(list(breaks.remote(0))) == 1


def test_an_error_before_the_first_value():
    stream = numbers.remote(breaks.options(num_returns=1, max_retries=0).remote(0))
    (ref,) = list(stream)
    with pytest.raises(ValueError, match="broken"):
        ray.get(ref)
    with pytest.raises(ValueError, match="broken"):
        ray.get(stream.completed())


@pytest.mark.concurrent
def test_items_are_there_before_the_task_ends(tmp_path):
    @ray.remote
    def slow(path):
        yield 1
        while not path.exists():
            time.sleep(0.01)
        yield 2

    stream = slow.remote(tmp_path / "go")
    assert ray.get(next(stream)) == 1
    assert not stream.next_ready()
    assert not stream.is_finished()
    assert ray.wait([stream], timeout=0) == ([], [stream])
    assert ray.wait([stream.completed()], timeout=0)[0] == []
    (tmp_path / "go").touch()
    assert ray.wait([stream]) == ([stream], [])
    assert stream.next_ready()
    assert ray.get(list(stream)) == [2]


def test_wait_takes_generators_beside_references():
    first, second, ref = numbers.remote(1), numbers.remote(1), ray.put(1)
    ready, rest = ray.wait([first, ref, second], num_returns=3)
    assert (ready, rest) == ([first, ref, second], [])
    assert ray.get(list(first)) == [0]
    assert ray.wait([first]) == ([first], [])  # it has ended
    with pytest.raises(ValueError, match=r"unique|once"):
        ray.wait([second, second])
    with pytest.raises(TypeError, match="list"):
        ray.wait(second)


def test_what_a_generator_of_references_refuses():
    stream = numbers.remote(1)
    assert ray.get(stream) is stream
    with pytest.raises(TypeError):
        ray.get([stream])
    with pytest.raises(TypeError, match="Serializing a ObjectRefGenerator is not allowed"):
        pickle.dumps(stream)
    with pytest.raises(TypeError, match="Serializing a ObjectRefGenerator is not allowed"):
        ray.put(stream)
    with pytest.raises(TypeError, match="Serializing a ObjectRefGenerator is not allowed"):
        numbers.remote(stream)
    for method in (stream.send, stream.throw):
        with pytest.raises(NotImplementedError):
            method(1)
    with pytest.raises(NotImplementedError):
        stream.close()
    with pytest.raises(TypeError):
        len(stream)


def test_asynchronous_iteration():
    async def read():
        found = [await ref async for ref in numbers.remote(3)]
        stream = breaks.remote(1)
        found.append(await (await anext(stream)))
        with pytest.raises(ValueError, match="broken"):
            await (await stream.__anext__())
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        return found

    assert asyncio.run(read()) == [0, 1, 2, 0]


def test_items_are_references_like_others():
    @ray.remote
    def plus(value, more):
        return value + more

    @ray.remote
    def total(refs):
        return sum(ray.get(refs))

    refs = list(numbers.remote(4))
    assert ray.get([plus.remote(ref, 10) for ref in refs]) == [10, 11, 12, 13]
    assert ray.get(total.remote(refs)) == 6
    assert ray.get(ray.get(ray.put(refs))) == [0, 1, 2, 3]
    assert len(set(refs)) == 4


def test_items_that_hold_references():
    @ray.remote
    def puts(n):
        for index in range(n):
            yield [ray.put(index)]

    items = [ray.get(ref) for ref in puts.remote(5)]
    assert [ray.get(ref) for (ref,) in items] == [0, 1, 2, 3, 4]


def test_large_items():
    @ray.remote
    def pieces(n):
        for index in range(n):
            yield bytes([index]) * 300_000

    assert [ray.get(ref)[-1] for ref in pieces.remote(5)] == [0, 1, 2, 3, 4]
    assert len(ray.get(list(pieces.remote(3))[2])) == 300_000


def test_a_value_that_cannot_be_pickled_is_the_error():
    @ray.remote
    def odd():
        yield 1
        yield (x for x in "a")

    assert outcomes(odd.remote())[0] == 1
    first, second = odd.remote()
    with pytest.raises(Exception, match="pickle|generator"):
        ray.get(second)
    del first


def test_a_stream_in_a_task():
    @ray.remote
    def outer(n):
        return sum(ray.get(ref) for ref in numbers.options(num_cpus=0).remote(n))

    @ray.remote
    def again(n):
        for ref in numbers.options(num_cpus=0).remote(n):
            yield ray.get(ref) * 2

    assert ray.get(outer.remote(5)) == 10
    assert ray.get(list(again.remote(3))) == [0, 2, 4]


@pytest.mark.concurrent
@pytest.mark.parametrize("most", [1, 3])
def test_back_pressure(tmp_path, until, most):
    path = tmp_path / "noted"
    form = noted.options(_generator_backpressure_num_objects=most)
    stream = form.remote(8, path)
    until(lambda: len(lines(path)) == most)
    time.sleep(0.05)
    assert len(lines(path)) == most
    refs = [next(stream)]
    until(lambda: len(lines(path)) == most + 1)
    time.sleep(0.05)
    assert len(lines(path)) == most + 1
    refs += stream
    assert ray.get(refs) == list(range(8))


def test_values_of_back_pressure():
    with pytest.raises(ValueError, match="_generator_backpressure_num_objects=0 is not allowed"):
        numbers.options(_generator_backpressure_num_objects=0).remote(1)
    for most in (1, -1):
        form = numbers.options(_generator_backpressure_num_objects=most)
        assert ray.get(list(form.remote(3))) == [0, 1, 2]


@pytest.mark.concurrent
def test_cancel_ends_a_stream(tmp_path, until):
    path = tmp_path / "noted"
    stream = noted.remote(10_000, path, 0.005)
    first = next(stream)
    until(lambda: len(lines(path)) > 5)
    ray.cancel(stream)
    (last,) = list(stream)  # what was not taken is gone
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(last)
    assert ray.get(first) == 0
    assert stream.is_finished()
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(stream.completed())
    until(lambda: lines(path)[-1] == "end")


@pytest.mark.concurrent
def test_a_crash_on_its_way():
    @ray.remote(max_retries=0)
    def dies(n):
        for index in range(n):  # noqa: UP028 - through `yield from` Ray sends into it
            yield index
        time.sleep(0.1)
        os._exit(1)

    stream = dies.remote(2)
    assert outcomes(stream) == [0, 1, ray.exceptions.WorkerCrashedError]
    with pytest.raises(ray.exceptions.WorkerCrashedError):
        ray.get(stream.completed())


@pytest.mark.concurrent
def test_a_crash_that_is_tried_again(tmp_path):
    @ray.remote(max_retries=1)
    def dies_once(path):
        again = path.exists()
        path.touch()
        yield "first", again
        if not again:
            time.sleep(0.1)
            os._exit(1)
        yield "second", again

    stream = dies_once.remote(tmp_path / "begun")
    assert ray.get(list(stream)) == [("first", False), ("second", True)]


@pytest.mark.concurrent
def test_one_that_pauses_for_its_reader_may_be_tried_again(tmp_path):
    """Whoever tries it again begins anew, and the reader is further."""

    @ray.remote(max_retries=1, _generator_backpressure_num_objects=2)
    def dies_once(path):
        for index in range(8):
            if index == 5 and not path.exists():
                path.touch()
                time.sleep(0.1)
                os._exit(1)
            yield index

    stream = dies_once.remote(tmp_path / "begun")
    assert ray.get(list(stream), timeout=30) == list(range(8))


def test_an_error_that_is_tried_again(tmp_path):
    @ray.remote(max_retries=1, retry_exceptions=True)
    def fails_once(path):
        again = path.exists()
        path.touch()
        yield "first", again
        if not again:
            raise ValueError("once")
        yield "second", again

    stream = fails_once.remote(tmp_path / "begun")
    assert ray.get(list(stream)) == [("first", False), ("second", True)]


@pytest.mark.filterwarnings("ignore")
def test_dynamic_returns():
    @ray.remote
    def reads(items):
        return [ray.get(ref) for ref in items]

    ref = numbers.options(num_returns="dynamic").remote(3)
    assert isinstance(ref, ray.ObjectRef)
    items = ray.get(ref)
    assert isinstance(items, ray.DynamicObjectRefGenerator)
    assert len(items) == 3
    assert [ray.get(one) for one in items] == [0, 1, 2]
    assert ray.get(reads.remote(ref)) == [0, 1, 2]
    assert outcomes(ray.get(breaks.options(num_returns="dynamic").remote(1)))[0] == 0
    with pytest.raises(ValueError, match="broken"):
        ray.get(list(ray.get(breaks.options(num_returns="dynamic").remote(1)))[1])


def test_a_number_of_returns():
    assert ray.get(numbers.options(num_returns=3).remote(3)) == [0, 1, 2]
    assert ray.get(numbers.options(num_returns=2).remote(3)) == [0, 1]  # others are left
    assert ray.get(numbers.options(num_returns=1).remote(3)) == 0
    assert numbers.options(num_returns=0).remote(3) is None
    few = numbers.options(num_returns=3).remote(2)
    assert ray.get(few[:2]) == [0, 1]
    with pytest.raises(ValueError, match=r"returned 2 objects, but num_returns=3"):
        ray.get(few[2])
    broken = breaks.options(num_returns=2).remote(1)
    assert ray.get(broken[0]) == 0
    with pytest.raises(ValueError, match="broken"):
        ray.get(broken[1])


@pytest.mark.concurrent
def test_a_stream_that_nobody_holds_ends_where_it_yields(tmp_path, until):
    path = tmp_path / "noted"
    stream = noted.remote(100_000, path, 0.005)
    completed, first = stream.completed(), next(stream)
    del stream
    until(lambda: lines(path)[-1:] == ["end"])
    assert ray.get(completed) is None
    assert ray.get(first) == 0
    assert len(lines(path)) < 10_000
    waiting = noted.options(_generator_backpressure_num_objects=1).remote(10, tmp_path / "paused")
    until(lambda: lines(tmp_path / "paused"))
    del waiting
    until(lambda: lines(tmp_path / "paused") == ["0", "end"])


@pytest.mark.own
@pytest.mark.concurrent
def test_what_was_not_taken_is_freed(until):
    @ray.remote
    def pieces(n):
        for index in range(n):
            yield bytes([index]) * 300_000

    def used():
        return sum(node.figures.store_used for node in engine.insight.snapshot().nodes)

    from nbray import session

    engine = session.current()
    until(lambda: used() == 0)
    stream = pieces.remote(10)
    ray.get(stream.completed())
    until(lambda: used() > 2_000_000)
    del stream
    until(lambda: used() == 0)


@pytest.mark.own
@pytest.mark.concurrent
def test_why_a_stream_waits(until):
    from nbray import session

    engine = session.current()
    token = session.cell.set("a cell")
    try:
        stream = numbers.options(_generator_backpressure_num_objects=2).remote(5)
    finally:
        session.cell.reset(token)

    def waits():
        view = engine.cells.view("a cell")
        return any("its reader" in one for one in view.waiting)

    until(waits)
    assert ray.get(list(stream)) == [0, 1, 2, 3, 4]
    until(lambda: not waits())


@pytest.mark.own
def test_a_cells_values_are_counted(until):
    from nbray import session

    token = session.cell.set("another cell")
    try:
        ray.get(list(breaks.remote(5))[:5])
        ray.get(list(numbers.options(num_returns=2).remote(2)))
    finally:
        session.cell.reset(token)
    until(lambda: session.current().cells.view("another cell").yielded == 5)


def test_an_asynchronous_generator_as_a_task():
    @ray.remote
    async def later(n):
        for index in range(n):
            yield index
            await asyncio.sleep(0)

    assert ray.get(list(later.remote(3))) == [0, 1, 2]
    paced = later.options(_generator_backpressure_num_objects=1)
    assert ray.get(list(paced.remote(3))) == [0, 1, 2]
