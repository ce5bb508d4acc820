"""`ray.util.joblib` on every engine: joblib's calls on the cluster."""

from __future__ import annotations

import os
import threading

import pytest
from api import load

joblib = pytest.importorskip("joblib")
np = pytest.importorskip("numpy")
Parallel, delayed = joblib.Parallel, joblib.delayed


@pytest.fixture(autouse=True)
def backend(engine):
    load("util.joblib").register_ray()
    with joblib.parallel_config(backend="ray", n_jobs=2):
        yield


def picky(x):
    if x == 3:
        raise ValueError("not 3")
    return x


def test_results():
    with Parallel(n_jobs=2, batch_size=3) as parallel:
        assert parallel(delayed(pow)(i, 2) for i in range(20)) == [i * i for i in range(20)]
        assert parallel(delayed(lambda x, y=1: x + y)(i, y=2) for i in range(2)) == [2, 3]
        assert parallel([]) == []


def test_one_job_is_done_here():
    assert Parallel(n_jobs=1)([delayed(os.getpid)()]) == [os.getpid()]


def test_results_one_by_one():
    results = Parallel(return_as="generator")(delayed(abs)(-i) for i in range(6))
    assert next(results) == 0
    assert list(results) == [1, 2, 3, 4, 5]


def test_what_a_call_raises():
    with pytest.raises(ValueError, match="not 3"):
        Parallel()(delayed(picky)(i) for i in range(6))


def test_what_cannot_be_pickled():
    with pytest.raises(TypeError, match="pickle"):
        Parallel()(delayed(type)(threading.Lock()) for _ in range(2))


def test_arrays(tmp_path):
    large = np.ones(200_000)
    np.save(tmp_path / "large.npy", large)
    mapped = np.load(tmp_path / "large.npy", mmap_mode="r")
    total = delayed(lambda array, i: float(array.sum()) + i)
    totals = Parallel()(total(array, i) for i in range(2) for array in (large, mapped))
    assert totals == [200_000, 200_000, 200_001, 200_001]


def test_calls_within_calls():
    def inner(n):
        return sum(Parallel(n_jobs=2)(delayed(abs)(j) for j in range(n)))

    assert Parallel()(delayed(inner)(i) for i in range(3)) == [0, 0, 1]
