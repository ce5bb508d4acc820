"""`wait`: how many are ready, and that nobody is lost."""

from __future__ import annotations

import pytest
from api import ray

KINDS = ["put", "task", "method", "failed", "mixed"]


@ray.remote
def one():
    return 1


@ray.remote(max_retries=0)
def fail():
    raise ValueError("why")


@ray.remote(num_cpus=0)
class Actor:
    def one(self):
        return 1


@pytest.fixture(scope="module")
def actor(engine):
    return Actor.remote()


def made(kind, count, actor):
    makers = {
        "put": lambda: ray.put(1), "task": one.remote, "method": actor.one.remote,
        "failed": fail.remote,
    }  # fmt: skip
    kinds = list(makers) if kind == "mixed" else [kind]
    return [makers[kinds[i % len(kinds)]]() for i in range(count)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 4])
def test_all_of_them(kind, count, actor):
    refs = made(kind, count, actor)
    ready, rest = ray.wait(refs, num_returns=count, timeout=60)
    assert sorted(ready, key=refs.index) == refs
    assert rest == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_some_of_four(kind, count, actor):
    refs = made(kind, 4, actor)
    ready, rest = ray.wait(refs, num_returns=count, timeout=60)
    assert len(ready) == count
    assert set(ready) | set(rest) == set(refs)
    assert len(ready) + len(rest) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_until_none_is_left(kind, actor):
    rest = made(kind, 5, actor)
    seen = []
    while rest:
        ready, rest = ray.wait(rest, timeout=60)
        assert len(ready) == 1
        seen += ready
    assert len(set(seen)) == 5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fetch_local", [True, False])
def test_with_and_without_their_values(kind, fetch_local, actor):
    refs = made(kind, 2, actor)
    ready, _ = ray.wait(refs, num_returns=2, timeout=60, fetch_local=fetch_local)
    assert len(ready) == 2


@pytest.mark.parametrize("timeout", [0, 0.01, 1.5, None])
def test_what_is_ready_is_so_at_any_timeout(timeout):
    refs = [ray.put(1)]
    assert ray.wait(refs, timeout=timeout) == (refs, [])


@pytest.mark.parametrize("wrong", [1, "ref", None, {}], ids=str)
def test_what_is_no_list(wrong):
    with pytest.raises(TypeError):
        ray.wait(wrong)


@pytest.mark.parametrize("wrong", [1, "ref", None, [1]], ids=str)
def test_what_is_no_reference_in_a_list(wrong):
    with pytest.raises(TypeError):
        ray.wait([ray.put(1), wrong])


@pytest.mark.parametrize("count", [0, -1, 3])
def test_counts_that_cannot_be(count):
    with pytest.raises(ValueError):
        ray.wait([ray.put(1), ray.put(2)], num_returns=count)


def test_one_of_them_twice():
    ref = ray.put(1)
    with pytest.raises(ValueError):
        ray.wait([ref, ref])


@pytest.mark.parametrize("wrong", [1, "ref", None, object()], ids=["int", "text", "none", "object"])
def test_get_of_what_is_no_reference(wrong):
    with pytest.raises(ValueError):
        ray.get(wrong)


@pytest.mark.parametrize("count", [0, 1, 5, 200])
def test_get_of_many(count):
    assert ray.get([ray.put(i) for i in range(count)]) == list(range(count))
