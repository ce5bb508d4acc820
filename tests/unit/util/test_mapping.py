"""What users hold of a map."""

from __future__ import annotations

import pytest

import nbray as ray
from nbray.util.mapping import map as nmap


@pytest.fixture(autouse=True)
def engine():
    ray.shutdown()
    ray.init(engine="inline")
    yield
    ray.shutdown()


def test_it_loads_when_asked_for():
    assert ray.util.map is nmap


def test_it_says_how_far_it_is():
    results = nmap(str, range(2000))
    assert repr(results).startswith("<map of str: ")
    assert repr(results).endswith(" of 2,000 done>")
    list(results)
    assert repr(results) == "<map of str: 2,000 of 2,000 done>"
    assert repr(nmap(str, iter([]))) == "<map of str: 0 done>"


def test_loops_share_one_pass():
    results = nmap(abs, range(10))
    assert [x for x, _ in zip(results, range(3), strict=False)] == [0, 1, 2]
    assert next(results) == 4  # zip has taken one more than it gave
    assert list(results) == [5, 6, 7, 8, 9]
