"""Graphs of calls: what is nbray's own."""

from __future__ import annotations

import sys

import pytest

import nbray as ray
from nbray import dag
from nbray.dag.dag_node import nodes_in, replaced
from nbray.dag.vis_utils import edges


@pytest.fixture(autouse=True)
def inline():
    ray.init(engine="inline", num_cpus=2)
    yield
    ray.shutdown()


@ray.remote
def add(a, b=1):
    return a + b


def test_a_long_chain_needs_no_recursion():
    node = add.bind(0)
    for _ in range(3000):
        node = add.bind(node)
    assert len(node._in_order()) == 3001


def test_containers_without_nodes_stay_what_they_are():
    node = add.bind(1)
    plain = [1, {"a": (2,)}]
    assert replaced(plain, {}) is plain
    assert replaced({"a": [node]}, {node: 7}) == {"a": [7]}
    assert list(nodes_in(({node}, {1: node}))) == [node, node]


def test_results_can_be_kept():
    node = add.bind(1)
    node.execute(_ray_cache_refs=True)
    assert ray.get(node.cache_from_last_execute[node.get_stable_uuid()]) == 2


def test_what_it_looks_like():
    with dag.InputNode() as x:
        assert "2" in repr(add.bind(2))
        assert "[" not in repr(x)
        assert x["a"].key == "a"
        with pytest.raises(TypeError, match="iterated"):
            iter(x)


@ray.remote
class Account:
    def read(self):
        return 1

    @ray.method(num_returns=2)
    def pair(self):
        return 1, 2


def test_what_nodes_refer_to():
    account = Account.bind()
    first, second = account.read.bind(), account.read.bind()
    assert second.get_other_args_to_resolve() == {
        dag.PARENT_CLASS_NODE_KEY: account, dag.PREV_CLASS_METHOD_CALL_KEY: first,
    }  # fmt: skip
    one, _ = Account.remote().pair.bind()
    assert one.get_other_args_to_resolve() == {dag.IS_CLASS_METHOD_OUTPUT_KEY: True}
    assert add.bind(1).get_other_args_to_resolve() == {}


def test_a_picture(monkeypatch):
    with dag.InputNode() as x:
        graph = add.bind(add.bind(x), x)
    assert edges(graph) == (
        ["InputNode", "RemoteFunction(add)", "RemoteFunction(add)_2"],
        [
            ("InputNode", "RemoteFunction(add)"),
            ("RemoteFunction(add)", "RemoteFunction(add)_2"),
            ("InputNode", "RemoteFunction(add)_2"),
        ],
    )
    monkeypatch.setitem(sys.modules, "pydot", None)
    with pytest.raises(ImportError, match="pip install pydot"):
        dag.plot(graph)


def test_what_serves_channels_is_not_here():
    with pytest.raises(AttributeError, match="compiled graphs"):
        dag.DAGContext  # noqa: B018 - the error is the point
    assert ray.dag is dag
