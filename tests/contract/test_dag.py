"""Graphs of calls: `bind` and `execute`."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from api import load, ray

dag = load("dag")
ClassMethodNode, ClassNode = dag.ClassMethodNode, dag.ClassNode
DAGNode, FunctionNode = dag.DAGNode, dag.FunctionNode
InputNode, MultiOutputNode = dag.InputNode, dag.MultiOutputNode

pytestmark = pytest.mark.filterwarnings("ignore:.*execute.*deprecated")


@ray.remote
def add(a, b=1):
    return a + b


@ray.remote
def total(values):
    return sum(ray.get(values))


@ray.remote
class Account:
    def __init__(self, n=0):
        self.n = n

    def add(self, amount=1):
        self.n += amount
        return self.n

    def read(self):
        return self.n

    @ray.method(num_returns=2)
    def pair(self, x):
        return x, x + 1


def test_a_node_is_an_argument_of_another():
    assert ray.get(add.bind(add.bind(1, 2), b=add.bind(3)).execute()) == 7


def test_kinds_of_nodes():
    account = Account.bind()
    assert isinstance(add.bind(1), FunctionNode)
    assert isinstance(account, ClassNode)
    assert isinstance(account.add.bind(), ClassMethodNode)
    assert isinstance(InputNode(), DAGNode)
    assert add.bind(1, b=2).get_args() == (1,)
    assert add.bind(1, b=2).get_kwargs() == {"b": 2}


def test_the_input():
    with InputNode() as x:
        graph = add.bind(x, 10)
    assert ray.get([graph.execute(1), graph.execute(2)]) == [11, 12]


def test_parts_of_the_input():
    with InputNode() as x:
        by_place, by_name, mixed = add.bind(x[0], x[1]), add.bind(x.a, x["b"]), add.bind(x[0], x.y)
    with InputNode() as y:
        attributes = add.bind(y.a, y.b)
    assert ray.get(by_place.execute(1, 2)) == ray.get(by_place.execute([1, 2])) == 3
    assert ray.get(by_name.execute(a=1, b=2)) == 3
    assert ray.get(mixed.execute(1, y=5)) == 6
    assert ray.get(attributes.execute(SimpleNamespace(a=1, b=2))) == 3


def test_nodes_within_containers():
    assert ray.get(total.bind([add.bind(1), add.bind(2)]).execute()) == 5


def test_a_node_runs_once_for_each_execute(tmp_path):
    @ray.remote
    def touch():
        (tmp_path / str(len(list(tmp_path.iterdir())))).touch()
        return len(list(tmp_path.iterdir()))

    shared = touch.bind()
    graph = add.bind(shared, shared)
    assert ray.get(graph.execute()) == 2
    assert ray.get(graph.execute()) == 4


def test_an_actor_is_made_for_each_execute_and_called_in_order():
    account = Account.bind(10)
    account.add.bind()
    last = account.add.bind(5)
    assert ray.get(last.execute()) == 16
    assert ray.get(last.execute()) == 16
    assert ray.get(account.execute().read.remote()) == 10
    assert ray.get(Account.bind(add.bind(1)).read.bind().execute()) == 2


def test_a_living_actor():
    account = Account.remote(1)
    node = account.add.bind(3)
    assert [ray.get(node.execute()), ray.get(node.execute())] == [4, 7]


def test_several_outputs():
    account = Account.remote()
    with InputNode() as x:
        graph = MultiOutputNode([account.add.bind(x), add.bind(x)])
        pair = account.pair.bind(x)
    assert ray.get(graph.execute(2)) == [2, 3]
    assert isinstance(pair, tuple)
    assert ray.get(MultiOutputNode(list(pair)).execute(3)) == [3, 4]


def test_options():
    assert ray.get(add.options(num_cpus=0.5).bind(1).execute()) == 2
    assert ray.get(Account.bind(3).read.options(name="reading").bind().execute()) == 3


def test_options_are_told():
    node = add.options(num_cpus=0.5, name="adding").bind(1)
    assert node.get_options().items() >= {"num_cpus": 0.5, "name": "adding"}.items()
    assert Account.options(name="an account").bind().get_options()["name"] == "an account"


def test_a_compiled_graph_is_run_again_and_again():
    first, second = Account.remote(1), Account.remote(10)
    with InputNode() as x:
        graph = second.add.bind(first.add.bind(x))
    compiled = graph.experimental_compile()
    assert [ray.get(compiled.execute(amount)) for amount in (1, 2)] == [12, 16]
    for wrong in ((), (1, 2)):
        with pytest.raises(ValueError, match="must be called with 1 positional args"):
            compiled.execute(*wrong)
    with pytest.raises(ValueError, match="multiple times"):
        graph.experimental_compile()
    compiled.teardown()
    with pytest.raises(ray.exceptions.RayChannelError, match="closed"):
        ray.get(compiled.execute(1))


def test_a_compiled_graph_of_several_outputs_and_inputs():
    first, second = Account.remote(1), Account.remote(10)
    with InputNode() as x:
        graph = MultiOutputNode([first.add.bind(x[0]), second.add.bind(x.more)])
    compiled = graph.experimental_compile(enable_asyncio=True)

    async def main():
        first, second = await compiled.execute_async(1, more=5)
        return await first, await second

    assert asyncio.run(main()) == (2, 15)
    with pytest.raises(ValueError, match="execute_async"):
        compiled.execute(1, more=5)
    compiled.teardown()


def test_what_cannot_be_compiled():
    with pytest.raises(ValueError, match="No InputNode found"):
        add.bind(1).experimental_compile()
    with InputNode() as x:
        graph = add.bind(x)
    with pytest.raises(NotImplementedError, match="only support actor method nodes"):
        graph.experimental_compile()


def test_applied_to_each_node():
    with InputNode() as x:
        last = add.bind(add.bind(x[0]), Account.bind(3).add.bind(add.bind(x[1])))
    seen = []
    same = last.apply_recursive(lambda node: seen.append(type(node).__name__) or node)
    assert sorted(seen) == [
        "ClassMethodNode", "ClassNode", "FunctionNode", "FunctionNode", "FunctionNode",
        "InputAttributeNode", "InputAttributeNode", "InputNode",
    ]  # fmt: skip
    assert seen[-1] == "FunctionNode"
    assert ray.get(same.execute(1, 2)) == ray.get(last.execute(1, 2)) == 8


def test_a_living_actors_method_is_given_what_it_takes():
    with pytest.raises(TypeError, match="too many positional arguments"):
        Account.remote().add.bind(1, 2, 3)


def test_an_error():
    with pytest.raises(TypeError, match="str"):
        ray.get(add.bind("a").execute())


def test_what_nodes_have_not():
    node = add.bind(1)
    with pytest.raises(AttributeError, match="cannot be used again"):
        node.bind()
    with pytest.raises(AttributeError, match=r"use \.execute"):
        node.remote()
    with pytest.raises(AttributeError, match="nothing"):
        Account.bind().nothing  # noqa: B018 - the error is the point
    with pytest.raises(AttributeError, match=r"Use \.bind\(\) instead"):
        Account.bind().add.remote()


def test_where_the_input_cannot_be():
    with pytest.raises(AssertionError, match="context manager"):
        add.bind(InputNode()).execute(1)
    with InputNode() as x, pytest.raises(ValueError, match="ClassNode constructor"):
        Account.bind(x)
    with InputNode() as x, InputNode() as y:
        graph = add.bind(x, y)
    with pytest.raises(AssertionError, match="one unique InputNode"):
        graph.execute(1)
    with pytest.raises(ValueError, match="should not take any args"):
        InputNode(1)
    with pytest.raises(ValueError, match="Invalid input type"):
        MultiOutputNode(add.bind(1))
