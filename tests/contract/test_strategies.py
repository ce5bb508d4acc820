"""Where work runs: strategies by name, by node, by label; selectors; kinds of accelerators."""

from __future__ import annotations

import pytest
from api import load, ray

strategies = load("util.scheduling_strategies")
DoesNotExist, Exists = strategies.DoesNotExist, strategies.Exists
In, NotIn = strategies.In, strategies.NotIn
NodeAffinitySchedulingStrategy = strategies.NodeAffinitySchedulingStrategy
NodeLabelSchedulingStrategy = strategies.NodeLabelSchedulingStrategy
NODE_ID = "ray.io/node-id"


@ray.remote
def here():
    return ray.get_runtime_context().get_node_id()


@ray.remote
class Resident:
    def here(self):
        return ray.get_runtime_context().get_node_id()


def node():
    return ray.nodes()[0]["NodeID"]


def other():
    """The id of a node that is not there."""
    return "ab" * (len(node()) // 2)


def both(**options):
    """Where a task and an actor run with these options."""
    task = ray.get(here.options(**options).remote(), timeout=30)
    actor = Resident.options(**options).remote()
    return [task, ray.get(actor.here.remote(), timeout=30)]


def test_nodes_have_labels():
    assert ray.nodes()[0]["Labels"][NODE_ID] == node()


@pytest.mark.parametrize("strategy", ["DEFAULT", "SPREAD"])
def test_by_name(strategy):
    assert both(scheduling_strategy=strategy) == [node()] * 2


def test_on_a_node():
    for soft in (True, False):
        strategy = NodeAffinitySchedulingStrategy(node(), soft)
        assert both(scheduling_strategy=strategy) == [node()] * 2
    elsewhere = NodeAffinitySchedulingStrategy(other(), True)
    assert both(scheduling_strategy=elsewhere) == [node()] * 2


def test_on_a_node_that_is_not_there():
    strategy = NodeAffinitySchedulingStrategy(other(), False)
    with pytest.raises(ray.exceptions.TaskUnschedulableError, match="soft=False was specified"):
        ray.get(here.options(scheduling_strategy=strategy).remote(), timeout=30)
    actor = Resident.options(scheduling_strategy=strategy).remote()
    with pytest.raises(ray.exceptions.ActorUnschedulableError, match="soft=False was specified"):
        ray.get(actor.here.remote(), timeout=30)


def test_what_is_no_node():
    with pytest.raises(ValueError, match="Invalid node_id 'nowhere'"):
        NodeAffinitySchedulingStrategy("nowhere", False)
    with pytest.raises(ValueError, match="_spill_on_unavailable"):
        NodeAffinitySchedulingStrategy(node(), False, _spill_on_unavailable=True)
    with pytest.raises(ValueError, match="_fail_on_unavailable"):
        NodeAffinitySchedulingStrategy(node(), True, _fail_on_unavailable=True)


def test_by_labels():
    for hard in ({NODE_ID: In(node())}, {NODE_ID: Exists()}, {"zone": DoesNotExist()},
                 {"zone": NotIn("x")}):  # fmt: skip
        assert both(scheduling_strategy=NodeLabelSchedulingStrategy(hard)) == [node()] * 2
    wished = NodeLabelSchedulingStrategy({}, soft={"zone": In("x")})
    assert both(scheduling_strategy=wished) == [node()] * 2


def test_selectors():
    for asked in ({NODE_ID: node()}, {"zone": "!x"}, {"zone": "!in(x, y)"}):
        assert both(label_selector=asked) == [node()] * 2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: NodeLabelSchedulingStrategy({}), "cannot both be empty"),
        (lambda: NodeLabelSchedulingStrategy({"zone": "a"}), "must be one of"),
        (lambda: NodeLabelSchedulingStrategy(["zone"]), "must be a map"),
        (lambda: NodeLabelSchedulingStrategy({1: Exists()}), "must be of type str"),
        (lambda: In(), "non-empty tuple"),
        (lambda: NotIn(1), "must be str"),
        (lambda: here.options(label_selector={"zone": "-x"}).remote(), "Invalid label selector"),
        (lambda: here.options(label_selector={"-zone": "x"}).remote(), "Invalid label key"),
    ],
)
def test_what_says_nothing_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_selector_is_a_dictionary():
    with pytest.raises(TypeError, match="label_selector"):
        here.options(label_selector="zone=a").remote()
    with pytest.raises(TypeError, match="accelerator_type"):
        here.options(accelerator_type=3).remote()


@pytest.mark.concurrent
@pytest.mark.parametrize(
    "options",
    [
        {"num_cpus": 100}, {"resources": {"unobtainium": 1}}, {"accelerator_type": "A100"},
        {"label_selector": {"zone": "x"}},
    ],
    ids=str,
)  # fmt: skip
def test_what_no_node_can_do_waits(options):
    ref = here.options(**options).remote()
    actor = Resident.options(**options).remote()
    call = actor.here.remote()
    assert ray.wait([ref, call], timeout=0.2) == ([], [ref, call])
    ray.cancel(ref)
    assert ray.get(here.remote(), timeout=30) == node()


def test_names_of_accelerators():
    accelerators = load("util.accelerators")
    assert accelerators.NVIDIA_TESLA_V100 == "V100"
    assert accelerators.NVIDIA_A100 == "A100"
    assert accelerators.GOOGLE_TPU_V4 == "TPU-V4"


def test_a_fallback_strategy_takes_the_next_selector():
    lacking, anywhere = {"label_selector": {"lacks": "this"}}, {"label_selector": {}}
    options = {**lacking, "fallback_strategy": [lacking, anywhere]}
    assert both(**options) == [node(), node()]
    assert both(fallback_strategy=[lacking]) == [node(), node()]  # nothing to fall back from


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({}, TypeError), ([1], ValueError), ([{}], ValueError), ([{"num_cpus": 1}], ValueError),
        ([{"label_selector": 1}], ValueError),
    ],
    ids=str,
)  # fmt: skip
def test_a_fallback_strategy_is_checked(given, error):
    with pytest.raises(error):
        here.options(fallback_strategy=given).remote()
    with pytest.raises(error):
        Resident.options(fallback_strategy=given).remote()


def test_store_memory_is_reserved_for_actors_alone():
    with pytest.raises(ValueError, match="object_store_memory"):
        here.options(object_store_memory=1)
    assert ray.get(here.options(object_store_memory=None).remote()) == node()
    actor = Resident.options(object_store_memory=1000).remote()
    assert ray.get(actor.here.remote(), timeout=30) == node()
    with pytest.raises(ValueError, match="object_store_memory"):
        Resident.options(object_store_memory=-1).remote()
