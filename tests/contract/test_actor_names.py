"""Named actors: looking up, taking, freeing names."""

from __future__ import annotations

import gc

import pytest
from api import ray


def test_a_named_actor(Counter):
    counter = Counter.options(name="named").remote(1)
    same = ray.get_actor("named")
    assert ray.get(same.add.remote()) == 2
    assert ray.get(counter.read.remote()) == 2
    assert "named" in ray.util.list_named_actors()


def test_a_missing_name(Counter):
    held = Counter.options(name="there").remote()
    with pytest.raises(ValueError, match="missing") as caught:
        ray.get_actor("missing")
    assert "there" in str(caught.value)
    assert ray.get(held.read.remote()) == 0


def test_an_empty_name_is_refused():
    with pytest.raises(ValueError, match="get_actor"):
        ray.get_actor("")


def test_a_name_that_is_taken(Counter):
    first = Counter.options(name="once").remote()
    with pytest.raises(ValueError, match="once"):
        Counter.options(name="once").remote()
    assert ray.get(first.read.remote()) == 0


def test_get_if_exists(Counter):
    options = {"name": "shared", "get_if_exists": True}
    first = Counter.options(**options).remote(5)
    second = Counter.options(**options).remote(9)
    assert first == second
    assert ray.get([first.add.remote(), second.add.remote()]) == [6, 7]


def test_get_if_exists_without_a_name(Counter):
    with pytest.raises(ValueError, match="name"):
        Counter.options(get_if_exists=True)


def test_namespaces_keep_names_apart(Counter):
    here = Counter.options(name="same").remote(1)
    there = Counter.options(name="same", namespace="elsewhere").remote(2)
    assert ray.get(ray.get_actor("same").read.remote()) == 1
    assert ray.get(ray.get_actor("same", namespace="elsewhere").read.remote()) == 2
    assert {"namespace": "elsewhere", "name": "same"} in ray.util.list_named_actors(True)
    assert ray.get([here.read.remote(), there.read.remote()]) == [1, 2]


def test_a_name_is_free_after_the_last_handle(Counter, until):
    counter = Counter.options(name="short").remote()
    assert ray.get(counter.read.remote()) == 0
    del counter
    gc.collect()
    until(lambda: "short" not in ray.util.list_named_actors())
    assert ray.get(Counter.options(name="short").remote(8).read.remote()) == 8


def test_a_name_is_free_after_kill(Counter, until):
    counter = Counter.options(name="killed").remote()
    assert ray.get(counter.read.remote()) == 0
    ray.kill(counter)
    until(lambda: "killed" not in ray.util.list_named_actors())


def test_a_detached_actor_outlives_its_handles(Counter):
    ray.get(Counter.options(name="lasting", lifetime="detached").remote(4).add.remote())
    gc.collect()
    lasting = ray.get_actor("lasting")
    assert ray.get(lasting.read.remote()) == 5
    ray.kill(lasting)


def test_redefining_a_named_actor_many_times():
    for version in range(10):

        @ray.remote
        class Again:
            def __init__(self, number):
                self.number = number

            def read(self):
                return self.number

        again = Again.options(name=f"again-{version}").remote(version)
        assert ray.get(again.read.remote()) == version
