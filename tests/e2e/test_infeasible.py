"""What no node can do: an error at once where that is asked for, else it waits for a node."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from e2e.cli import NBRAY, environment, worker_line
from harness import eventually

import nbray as ray
from nbray import session
from nbray.exceptions import ActorUnschedulableError, TaskUnschedulableError
from nbray.util.placement_group import (
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from nbray.util.scheduling_strategies import (
    In,
    NodeAffinitySchedulingStrategy,
    NodeLabelSchedulingStrategy,
    PlacementGroupSchedulingStrategy,
)


@ray.remote
def where() -> str:
    return str(ray.get_runtime_context().get_node_id())


@ray.remote
class Resident:
    def where(self) -> str:
        return str(ray.get_runtime_context().get_node_id())


@pytest.mark.parametrize(
    "options",
    [{"num_cpus": 100}, {"num_gpus": 1000}, {"resources": {"unobtainium": 1}}, {"memory": 2**60},
     {"label_selector": {"zone": "x"}}],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("engine", ["native", "inline"])
def test_impossible_requests_are_explained(
    raising: Any, engine: str, options: dict[str, Any]
) -> None:
    raising(engine)
    named = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
    word = named.get(next(iter(options)), "unobtainium|zone")
    with pytest.raises(TaskUnschedulableError, match=word):
        ray.get(where.options(**options).remote(), timeout=60)
    with pytest.raises(ActorUnschedulableError, match=word):
        ray.get(Resident.options(**options).remote().where.remote(), timeout=60)
    assert ray.get(where.remote(), timeout=60)


@pytest.fixture(scope="module")
def raising() -> Iterator[Any]:
    """Has the engine run with errors for what no node can do."""
    running = []

    def start(engine: str) -> None:
        if running != [engine]:
            ray.shutdown()
            ray.init(engine=engine, num_cpus=2, infeasible="raise")
            running[:] = [engine]

    yield start
    ray.shutdown()


def test_a_group_that_no_node_can_hold(raising: Any) -> None:
    raising("native")
    group = placement_group([{"CPU": 1}, {"far": 1}], name="far off")
    assert eventually(
        lambda: placement_group_table(group)["stats"]["scheduling_state"] == "INFEASIBLE"
    )
    inside = PlacementGroupSchedulingStrategy(group)
    words = "no node can hold placement group .*far"
    with pytest.raises(TaskUnschedulableError, match=words):
        ray.get(group.ready(), timeout=30)
    with pytest.raises(TaskUnschedulableError, match=words):
        group.wait(30)
    for _ in range(2):
        with pytest.raises(TaskUnschedulableError, match=words):
            ray.get(where.options(scheduling_strategy=inside).remote(), timeout=30)
    with pytest.raises(ActorUnschedulableError, match="placement group.*far"):
        resident = Resident.options(scheduling_strategy=inside).remote()
        ray.get(resident.where.remote(), timeout=30)
    remove_placement_group(group)


def test_other_words_are_refused() -> None:
    with pytest.raises(ValueError, match="infeasible"):
        ray.init(infeasible="perhaps")


@pytest.fixture(scope="module")
def waiting() -> Iterator[None]:
    ray.shutdown()
    ray.init(engine="native", num_cpus=2, labels={"zone": "a"})
    yield
    ray.shutdown()


def join(*more: str) -> None:
    engine = session.current()
    assert engine is not None
    before = len(alive())
    line = worker_line(engine.cluster.join_line())
    command = [*NBRAY, *line, "--num-cpus=2", "--object-store-memory=100000000", *more]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert eventually(lambda: len(alive()) == before + 1)


def alive() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def test_work_and_groups_wait_for_a_node_that_can(waiting: None) -> None:
    label = NodeLabelSchedulingStrategy({"zone": In("b")})
    refs = [
        where.options(resources={"far": 1}).remote(),
        where.options(scheduling_strategy=label).remote(),
        where.options(label_selector={"zone": "b"}).remote(),
        Resident.options(resources={"far": 1}).remote().where.remote(),
        Resident.options(label_selector={"zone": "!a"}).remote().where.remote(),
    ]
    group = placement_group([{"CPU": 1}] * 2, strategy="STRICT_SPREAD")
    selected = placement_group([{"CPU": 1}], bundle_label_selector=[{"zone": "b"}])
    inside = PlacementGroupSchedulingStrategy(group, 1)
    refs.append(where.options(scheduling_strategy=inside).remote())
    assert ray.wait(refs, timeout=0.3)[0] == []
    assert not group.wait(0.1)
    with pytest.raises(ray.exceptions.GetTimeoutError, match="no node has that much.*far"):
        ray.get(refs[0], timeout=0.1)
    join("--labels=zone=b", '--resources={"far": 2}')
    assert group.wait(60)
    assert selected.wait(60)
    remove_placement_group(selected)
    found = ray.get(refs, timeout=60)
    far = next(node["NodeID"] for node in ray.nodes() if node["Labels"].get("zone") == "b")
    assert found[:5] == [far] * 5
    places = placement_group_table(group)["bundles_to_node_id"]
    assert len(set(places.values())) == 2
    assert found[5] == places[1]
    remove_placement_group(group)


def test_strategies_on_two_nodes(waiting: None) -> None:
    ids = {node["Labels"]["zone"]: node["NodeID"] for node in ray.nodes()}
    for zone in "ab":
        on = NodeAffinitySchedulingStrategy(ids[zone], False)
        assert ray.get(where.options(scheduling_strategy=on).remote(), timeout=60) == ids[zone]
        actor = Resident.options(scheduling_strategy=on).remote()
        assert ray.get(actor.where.remote(), timeout=60) == ids[zone]
    spread = [where.options(scheduling_strategy="SPREAD").remote() for _ in range(6)]
    assert set(ray.get(spread, timeout=60)) == set(ids.values())
    actors = [Resident.options(scheduling_strategy="SPREAD").remote() for _ in range(4)]
    assert set(ray.get([one.where.remote() for one in actors], timeout=60)) == set(ids.values())


@pytest.mark.parametrize(
    ("strategy", "nodes"), [("PACK", 1), ("SPREAD", 2), ("STRICT_PACK", 1), ("STRICT_SPREAD", 2)]
)
def test_groups_on_two_nodes(waiting: None, strategy: str, nodes: int) -> None:
    assert eventually(lambda: ray.available_resources().get("CPU", 0) == 4)
    group = placement_group([{"CPU": 1}] * 2, strategy=strategy)
    assert group.wait(60)
    places = placement_group_table(group)["bundles_to_node_id"]
    assert len(set(places.values())) == nodes
    refs = [
        where.options(scheduling_strategy=PlacementGroupSchedulingStrategy(group, index)).remote()
        for index in places
    ]
    assert ray.get(refs, timeout=60) == list(places.values())
    remove_placement_group(group)


def test_a_bundle_whose_node_is_gone_is_placed_again(waiting: None) -> None:
    assert eventually(lambda: ray.available_resources().get("CPU", 0) == 4)
    group = placement_group([{"CPU": 1}] * 2, strategy="STRICT_SPREAD")
    assert group.wait(60)
    places = placement_group_table(group)["bundles_to_node_id"]
    (there,) = [index for index, node in places.items() if node != ray.nodes()[0]["NodeID"]]
    inside = PlacementGroupSchedulingStrategy(group, there)
    actor = Resident.options(
        num_cpus=1, max_restarts=-1, max_task_retries=-1, scheduling_strategy=inside
    ).remote()
    assert ray.get(actor.where.remote(), timeout=60) == places[there]
    engine = session.current()
    assert engine is not None
    engine.cluster.end_node(2, False)
    assert eventually(lambda: placement_group_table(group)["state"] == "RESCHEDULING")
    assert not group.wait(0)
    task = where.options(scheduling_strategy=inside).remote()
    call = actor.where.remote()
    join()
    assert group.wait(60)
    after = placement_group_table(group)["bundles_to_node_id"]
    assert after[1 - there] == places[1 - there]
    assert ray.get(call, timeout=60) == after[there] not in places.values()
    ray.kill(actor)
    assert ray.get(task, timeout=60) == after[there]
    remove_placement_group(group)
    assert eventually(lambda: ray.available_resources().get("CPU", 0) == 4)


SCRIPT = """
import nbray as ray

ray.init(num_cpus=1)
big = ray.remote(num_cpus=9)(lambda: None)
refs = [big.options(name="big").remote() for _ in range(2)]
ray.wait(refs, timeout=0.2)
"""


def test_a_script_is_told_once_what_no_node_has() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment(), capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stderr.count("big needs 9 CPUs, but no node has that much") == 1, done.stderr
