"""joblib's work on a cluster."""

from __future__ import annotations

import pytest

pytest.importorskip("joblib")
from joblib import Parallel, delayed, parallel_config

import nbray as ray
from nbray.util import joblib


@pytest.fixture(autouse=True, params=["ray", "nbray"])
def inline(request):
    ray.init(engine="inline", num_cpus=2)
    joblib.register_ray()
    with parallel_config(backend=request.param, n_jobs=-1):
        yield
    ray.shutdown()


def picky(x):
    if x == 3:
        raise ValueError("not 3")
    return x


def test_results_come_in_order():
    assert Parallel()(delayed(pow)(i, 2) for i in range(50)) == [i * i for i in range(50)]
    assert list(Parallel(return_as="generator")(delayed(abs)(-i) for i in range(3))) == [0, 1, 2]


def test_what_a_call_raises():
    with pytest.raises(ValueError, match="not 3") as raised:
        Parallel()(delayed(picky)(i) for i in range(6))
    assert type(raised.value) is ValueError


def test_a_large_argument_is_stored_once(monkeypatch):
    stored = []

    def put(value):
        stored.append(value)
        return ray.put(value)

    monkeypatch.setattr(joblib, "put", put)
    large = b"x" * 1_000_000
    assert Parallel()(delayed(len)(large) for _ in range(5)) == [1_000_000] * 5
    assert len(stored) == 1


def test_how_many_processes():
    backend = joblib.RayBackend(nesting_level=0)
    assert [backend.effective_n_jobs(n) for n in (None, 1, 7, -1, -2)] == [1, 1, 7, 2, 1]
    with pytest.raises(ValueError, match="n_jobs == 0"):
        backend.effective_n_jobs(0)


def test_calls_within_calls():
    def inner(n):
        return sum(Parallel(n_jobs=2)(delayed(abs)(j) for j in range(n)))

    assert Parallel()(delayed(inner)(i) for i in range(4)) == [0, 0, 1, 3]
