"""`ray.util.multiprocessing.Pool` on every engine: the interface of `multiprocessing.Pool`."""

from __future__ import annotations

import itertools
import os
import time

import pytest
from api import load, ray

Pool = load("util.multiprocessing").Pool
TimeoutError = load("util.multiprocessing").TimeoutError  # noqa: A001 - as Ray has it


def square(x):
    return x * x


def add(a, b=1):
    return a + b


def picky(x):
    if x == 3:
        raise ValueError("not 3")
    return x


@pytest.fixture(scope="module")
def pool(engine):
    with Pool(2) as pool:
        yield pool


def test_map(pool):
    assert pool.map(square, range(10)) == [x * x for x in range(10)]
    assert pool.map(square, (x for x in range(3)), chunksize=2) == [0, 1, 4]
    assert pool.map(square, []) == []


def test_starmap(pool):
    assert pool.starmap(add, [(1, 2), (3, 4), (5,)]) == [3, 7, 6]


def test_apply(pool):
    assert pool.apply(add, (1,), {"b": 5}) == 6
    assert pool.apply_async(add, (1, 2)).get(timeout=60) == 3


def test_asynchronous_results(pool):
    result = pool.map_async(square, range(5))
    result.wait()
    assert result.ready()
    assert result.successful()
    assert result.get() == [0, 1, 4, 9, 16]


def test_callbacks(pool):
    came, failed = [], []
    result = pool.map_async(square, range(3), callback=came.append, error_callback=failed.append)
    assert result.get() == [0, 1, 4]
    result = pool.apply_async(square, (7,), callback=came.append, error_callback=failed.append)
    result.wait()
    assert [sorted(came[0]), came[1]] == [[0, 1, 4], 49]  # Ray's come as they end
    assert failed == []


def test_the_error_callback_is_called_once(pool):
    came, failed = [], []
    result = pool.map_async(picky, [3] * 9, callback=came.append, error_callback=failed.append)
    result.wait()
    assert came == []
    assert len(failed) == 1
    assert isinstance(failed[0].underlying, ValueError)
    assert not result.successful()


def test_starmap_async_with_callbacks_by_position(pool):
    came = []
    assert pool.starmap_async(add, [(1, 2), (3, 4)], came.append).get() == [3, 7]
    assert [sorted(one) for one in came] == [[3, 7]]


def test_what_a_call_raises_is_raised_as_it_was(pool):
    with pytest.raises(ValueError, match="not 3") as raised:
        pool.map(picky, range(6))
    assert type(raised.value) is ValueError
    assert str(raised.value) == "not 3"
    with pytest.raises(ValueError, match="not 3"):
        pool.apply(picky, (3,))
    with pytest.raises(TypeError, match="positional argument"):
        pool.apply(square, (1, 2))


def test_imap(pool):
    assert list(pool.imap(square, range(7))) == [0, 1, 4, 9, 16, 25, 36]
    assert list(pool.imap(square, iter(range(5)), chunksize=2)) == [0, 1, 4, 9, 16]
    assert sorted(pool.imap_unordered(square, range(7), chunksize=3)) == [0, 1, 4, 9, 16, 25, 36]


def test_imap_reads_ahead_no_more_than_it_must(pool):
    read = []

    def items():
        for item in range(100):
            read.append(item)
            yield item

    results = pool.imap(square, items())
    assert [next(results), results.next()] == [0, 1]
    assert len(read) < 10


def test_the_end_of_imap(pool):
    results = pool.imap(square, [1])
    assert results.next(timeout=60) == 1
    with pytest.raises(StopIteration):
        results.next()


@pytest.mark.concurrent
def test_time_that_runs_out(pool, tmp_path):
    go = tmp_path / "go"

    def waits():
        while not go.exists():
            time.sleep(0.01)
        return "done"

    result = pool.apply_async(waits)
    results = pool.imap(lambda wait: wait(), [waits])
    with pytest.raises(TimeoutError):
        result.get(timeout=0.05)
    with pytest.raises(TimeoutError):
        results.next(timeout=0.05)
    assert not result.ready()
    with pytest.raises(ValueError, match="not ready"):
        result.successful()
    go.touch()
    assert result.get(timeout=60) == results.next(timeout=60) == "done"


def test_initializer():
    def prepare(value):
        os.environ["NB_POOL"] = value

    with Pool(1, initializer=prepare, initargs=("made",)) as pool:
        assert pool.apply(lambda: os.environ["NB_POOL"]) == "made"
    os.environ.pop("NB_POOL", None)  # where all is in one process


@pytest.mark.concurrent
def test_a_process_makes_room_after_so_many_batches():
    with Pool(1, maxtasksperchild=2) as pool:
        assert len({pool.apply(os.getpid) for _ in range(6)}) == 3


def test_a_closed_pool():
    pool = Pool(1)
    with pytest.raises(ValueError, match="still running"):
        pool.join()
    result = pool.map_async(square, range(3))
    pool.close()
    with pytest.raises(ValueError, match="not running"):
        pool.map(square, [1])
    with pytest.raises(ValueError, match="not running"):
        pool.__enter__()
    pool.join()
    assert result.get() == [0, 1, 4]


@pytest.mark.concurrent
def test_what_a_terminated_pool_has_not_done_fails():
    with Pool(1) as pool:
        result = pool.apply_async(time.sleep, (600,))
    with pytest.raises(Exception, match=r"(?i)actor"):
        result.get(timeout=60)


def test_what_is_read_lazily_goes_on_after_close():
    pool = Pool(2)
    first, second = pool.imap(square, range(30)), pool.imap_unordered(square, range(30), 4)
    assert next(first) == 0
    pool.close()
    with pytest.raises(ValueError, match="not running"):
        pool.imap(square, [1])
    assert sorted(second) == [x * x for x in range(30)]
    pool.join()
    assert list(first) == [x * x for x in range(1, 30)]
    pool.close()
    pool.join()


def test_keyword_arguments_by_the_standard_librarys_name(pool):
    assert pool.apply(add, args=(1,), kwds={"b": 5}) == 6
    assert pool.apply_async(add, (1,), kwds={"b": 7}).get() == 8


def test_endless_iterators(pool):
    for results in (pool.imap(square, itertools.count()), pool.imap_unordered(abs, cycle())):
        assert sorted(itertools.islice(results, 5)) in ([0, 1, 4, 9, 16], [1] * 5)


def cycle():
    return itertools.cycle([1])


def test_what_can_be_gone_through(pool):
    assert sorted(pool.map(square, {1, 2, 3})) == [1, 4, 9]
    assert pool.map(str.upper, "abc") == ["A", "B", "C"]
    assert pool.starmap(add, ["ab", "cd"]) == ["ab", "cd"]
    for bad in (pool.map, pool.imap):
        with pytest.raises(TypeError, match="iter"):
            bad(square, 3)


def test_nothing_to_do(pool):
    result = pool.map_async(square, [])
    result.wait(60)
    assert result.get(timeout=60) == []
    assert list(pool.imap(square, [])) == []


@pytest.mark.parametrize("processes", [0, -1, 1000])
def test_how_many_processes_there_cannot_be(processes):
    with pytest.raises(ValueError, match="pool"):
        Pool(processes)


def test_references_stay_references(pool):
    assert pool.map(lambda ref: type(ref).__name__, [ray.put(1)]) == ["ObjectRef"]
