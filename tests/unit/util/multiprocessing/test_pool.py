"""What is nbray's own of a pool: errors, who gets what, processes that die."""

from __future__ import annotations

import os
import pickle
import threading

import pytest

import nbray as ray
from nbray.exceptions import ActorDiedError, RayTaskError
from nbray.util.multiprocessing import Pool
from nbray.util.multiprocessing.pool import _forget_ended


@pytest.fixture(autouse=True)
def inline():
    ray.init(engine="inline", num_cpus=2)
    yield
    ray.shutdown()


def picky(x):
    if x == 3:
        raise ValueError("not 3")
    return x


def test_an_error_says_where_it_was_raised():
    with Pool(2) as pool, pytest.raises(ValueError, match="not 3") as raised:
        pool.map(picky, range(5))
    assert isinstance(raised.value.__cause__, RayTaskError)
    assert "not 3" in raised.value.__cause__.traceback_str


def test_imap_goes_on_after_an_item_that_failed():
    with Pool(2) as pool:
        results = pool.imap(picky, range(2, 5))
        assert next(results) == 2
        with pytest.raises(ValueError, match="not 3"):
            next(results)
        assert next(results) == 4


def test_imap_raises_what_reading_the_items_raised_where_it_came():
    def items():
        yield 1
        raise KeyError("source")

    with Pool(1) as pool:
        results = pool.imap(picky, items())
        assert next(results) == 1
        with pytest.raises(KeyError, match="source"):
            next(results)


def test_a_pool_is_not_pickled():
    with Pool(1) as pool, pytest.raises(NotImplementedError, match="pickled"):
        pickle.dumps(pool)


def test_a_process_that_died_is_replaced():
    with Pool(1) as pool:
        ray.kill(pool._processes[0].actor)
        assert pool.apply(picky, (1,)) == 1
        assert len(pool._processes) == 1


def test_an_initializer_that_fails():
    with pytest.raises(ActorDiedError, match="division by zero"):
        Pool(1, initializer=lambda: 1 / 0)
    with pytest.raises(TypeError, match="initializer must be a callable"):
        Pool(1, initializer=1)


def test_a_batch_goes_to_the_process_with_fewest_before_it():
    with Pool(2) as pool:
        results = [pool.apply_async(picky, (i,)) for i in range(2)]
        assert [len(one.waiting) for one in pool._processes] == [1, 1]
        _forget_ended(pool._processes[0])
        assert [len(one.waiting) for one in pool._processes] == [0, 1]
        results.append(pool.apply_async(picky, (2,)))
        assert len(pool._processes[0].waiting) == 1


def test_starmap_async_in_the_standard_librarys_order():
    with Pool(1) as pool:
        came = []
        assert pool.starmap_async(pow, [(2, 3), (3, 2)], 1, came.append).get() == [8, 9]
        assert came == [[8, 9]]
        with pytest.raises(TypeError, match="too many"):
            pool.starmap_async(pow, [], 1, print, print, print)


def test_context_has_no_effect():
    with pytest.warns(RuntimeWarning, match="context"), Pool(1, context="spawn") as pool:
        assert pool.apply(os.getpid)


def test_what_a_callback_raises_is_shown(monkeypatch):
    shown = []
    monkeypatch.setattr(threading, "excepthook", shown.append)
    with Pool(1) as pool:
        assert pool.apply_async(picky, (1,), callback=lambda _: 1 / 0).get() == 1
    assert [one.exc_type for one in shown] == [ZeroDivisionError]


def test_batches_have_at_least_one_item():
    with Pool(1) as pool, pytest.raises(ValueError, match="Chunksize"):
        pool.map(picky, [1], chunksize=0)
