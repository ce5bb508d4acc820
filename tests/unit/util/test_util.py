"""The small conveniences."""

from __future__ import annotations

import pytest

import nbray as ray


@pytest.fixture(autouse=True)
def engine():
    ray.shutdown()
    ray.init(engine="inline", namespace="mine")
    yield
    ray.shutdown()


def test_the_nodes_address():
    assert ray.util.get_node_ip_address() == ray.nodes()[0]["NodeManagerAddress"]


def test_named_actors():
    made = ray.remote(type("A", (), {"one": lambda self: 1}))
    actors = [
        made.options(name="a").remote(),
        made.options(name="b", namespace="theirs").remote(),
        made.remote(),
    ]
    assert ray.util.list_named_actors() == ["a"]
    assert ray.util.list_named_actors(all_namespaces=True) == [
        {"namespace": "mine", "name": "a"},
        {"namespace": "theirs", "name": "b"},
    ]
    assert len(actors) == 3


def test_unknown_names():
    with pytest.raises(AttributeError, match="nothing"):
        ray.util.nothing  # noqa: B018 - the error is the point
