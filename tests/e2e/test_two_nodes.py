"""Two nodes, for real: objects cross machines, references are counted across them, nodes die."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from e2e.cli import NBRAY, environment, worker_line
from harness import eventually

import nbray as ray
from nbray import session
from nbray.engines import native

STORE = 200_000_000


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A driver's own node, and a second one that has the resource `far`."""
    ray.init(
        engine="native", num_cpus=2, object_store_memory=STORE, infeasible="raise"
    )
    engine = session.current()
    join()
    yield engine
    ray.shutdown()


def join() -> None:
    """Add a node with two CPUs and 4 `far`, as a user does."""
    engine = session.current()
    assert engine is not None
    before = len(alive())
    line = worker_line(engine.cluster.join_line())
    extra = ["--num-cpus=2", '--resources={"far": 4}', f"--object-store-memory={STORE}"]
    done = subprocess.run(
        [*NBRAY, *line, *extra], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert eventually(lambda: len(alive()) == before + 1)


def alive() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def store_used() -> int:
    engine = session.current()
    assert engine is not None
    return sum(node.figures.store_used for node in engine.insight.snapshot().nodes)


@ray.remote(resources={"far": 1})
def far_arange(count: int) -> Any:
    return np.arange(count)


@ray.remote(resources={"far": 1})
def far_sum(values: Any) -> tuple[float, bool, str]:
    return float(values.sum()), values.flags.writeable, ray.get_runtime_context().get_node_id()


@ray.remote(resources={"far": 1})
def far_puts(count: int) -> list[Any]:
    return [ray.put(number) for number in range(count)]


@ray.remote(resources={"far": 1})
def far_total(refs: list[Any]) -> int:
    return sum(ray.get(refs))


MANY = 20_000


def test_thousands_of_references_from_the_other_node(cluster: Any) -> None:
    refs = ray.get(far_puts.remote(MANY))
    assert sum(ray.get(refs)) == MANY * (MANY - 1) // 2
    del refs
    assert ray.get(far_total.remote([])) == 0


def test_thousands_of_references_are_dropped_as_they_come(cluster: Any) -> None:
    for _ in range(3):
        assert len(ray.get(far_puts.remote(MANY // 2))) == MANY // 2
    assert ray.get(far_total.remote([])) == 0


def test_thousands_of_references_to_the_other_node(cluster: Any) -> None:
    refs = [ray.put(number) for number in range(MANY)]
    assert ray.get(far_total.remote(refs)) == MANY * (MANY - 1) // 2


def test_a_map_runs_on_both_nodes_and_counts_its_items_there(cluster: Any) -> None:
    token = session.cell.set("the map's cell")
    try:
        table = np.arange(100_000)

        def work(x: int) -> tuple[int, str]:
            time.sleep(0.002)
            return int(table[x]), ray.get_runtime_context().get_node_id()

        found = list(ray.util.map(work, range(2000)))
        assert [value for value, _ in found] == list(range(2000))
        used = [node_id for _, node_id in found]
        view = cluster.insight.snapshot().cells["the map's cell"]
    finally:
        session.cell.reset(token)
    assert sorted(node.done for node in view.nodes) == sorted(map(used.count, set(used)))
    assert len(set(used)) == 2
    assert view.submitted == view.done == 2000


def test_cancelling_a_cell_ends_its_tasks_on_both_nodes_and_no_others(
    cluster: Any, tmp_path: Path
) -> None:
    @ray.remote
    def nap(name: str, seconds: float) -> str:
        node = ray.get_runtime_context().get_node_id()
        (tmp_path / f"{name}.began").write_text(node)
        try:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                time.sleep(0.02)
        except KeyboardInterrupt:
            (tmp_path / f"{name}.ended").write_text(node)
            raise
        return name

    def nodes(ending: str) -> list[str]:
        return [path.read_text() for path in tmp_path.glob(f"stopped-*.{ending}")]

    far = nap.options(num_cpus=0, resources={"far": 1})
    near = nap.options(num_cpus=0)
    other = far.remote("other", 3)
    token = session.cell.set("stopped")
    try:
        refs = [far.remote(f"stopped-{i}", 60) for i in range(2)]
        refs += [near.remote(f"stopped-{i}", 60) for i in range(2, 4)]
    finally:
        session.cell.reset(token)
    assert eventually(lambda: len(nodes("began")) == 4)
    assert len(set(nodes("began"))) == 2
    assert cluster.cells.cancel("stopped", False) == 4
    assert eventually(lambda: sorted(nodes("ended")) == sorted(nodes("began")))
    for ref in refs:
        with pytest.raises(ray.exceptions.TaskCancelledError):
            ray.get(ref, timeout=60)
    assert ray.get(other, timeout=60) == "other"


def test_a_large_result_comes_from_the_other_node(cluster: Any) -> None:
    values = ray.get(far_arange.remote(2_000_000), timeout=60)
    assert values[-1] == 1_999_999
    assert not values.flags.writeable


def test_a_large_argument_goes_to_the_other_node(cluster: Any) -> None:
    put = ray.put(np.ones(3_000_000))
    total, writeable, node = ray.get(far_sum.remote(put), timeout=60)
    assert (total, writeable) == (3_000_000.0, False)
    assert node != ray.get_runtime_context().get_node_id()
    assert ray.get(far_sum.remote(np.ones(100_000)), timeout=60)[0] == 100_000.0


def test_an_object_for_which_there_is_no_room_here_comes_all_the_same(cluster: Any) -> None:
    ref = far_arange.remote(STORE // 16)
    ray.wait([ref], timeout=60, fetch_local=False)
    held = ray.get(ray.put(np.ones(STORE // 8 * 3 // 4)))
    assert ray.get(ref, timeout=60)[-1] == STORE // 16 - 1
    assert (held == 1).all()


def test_what_lies_on_the_other_nodes_disk_comes_from_there(cluster: Any) -> None:
    @ray.remote(resources={"far": 1})
    def several() -> list[Any]:
        return [ray.put(np.full(STORE // 32, number)) for number in range(8)]

    refs = ray.get(several.remote(), timeout=60)
    for number, value in enumerate(ray.get(refs, timeout=60)):
        assert (value == number).all()


def test_references_inside_containers_cross(cluster: Any) -> None:
    @ray.remote(resources={"far": 1})
    def inside(box: Any) -> float:
        return float(ray.get(box["key"][0]).sum())

    @ray.remote(resources={"far": 1})
    def made() -> Any:
        return [ray.put(np.ones(50_000)), ray.put("small")]

    assert ray.get(inside.remote({"key": [ray.put(np.ones(70_000))]}), timeout=60) == 70_000.0
    large, small = ray.get(made.remote(), timeout=60)
    assert ray.get(small) == "small"
    assert ray.get(large).sum() == 50_000.0


def test_everything_is_freed_everywhere(cluster: Any) -> None:
    held = [far_arange.remote(500_000) for _ in range(4)]
    values = ray.get(held, timeout=60)
    assert eventually(lambda: store_used() >= 4 * 4_000_000)
    del held, values
    gc.collect()
    assert eventually(lambda: store_used() == 0), store_used()


def test_actors_on_the_other_node(cluster: Any) -> None:
    @ray.remote(resources={"far": 1})
    class Far:
        def __init__(self) -> None:
            self.seen: list[int] = []

        def add(self, number: int) -> None:
            self.seen.append(number)

        def all(self) -> list[int]:
            return self.seen

    actor = Far.remote()
    for number in range(500):
        actor.add.remote(number)
    assert ray.get(actor.all.remote(), timeout=60) == list(range(500))


def test_both_nodes_work(cluster: Any) -> None:
    @ray.remote
    def where() -> str:
        time.sleep(0.002)
        node: str = ray.get_runtime_context().get_node_id()
        return node

    ran = ray.get([where.remote() for _ in range(1000)], timeout=60)
    shares = sorted(ran.count(node) / len(ran) for node in set(ran))
    assert len(shares) == 2
    assert shares[0] > 0.25, shares


def test_a_node_that_dies_is_survived(cluster: Any, tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    @ray.remote(resources={"far": 1}, max_retries=0)
    def long() -> None:
        begun.touch()
        time.sleep(60)

    lost = far_arange.options(max_retries=0).remote(300_000)
    ray.wait([lost], timeout=60, fetch_local=False)
    running = long.remote()
    assert eventually(begun.exists)
    (record,) = [record for record in native.records() if not record.head]
    os.kill(record.root_pid, signal.SIGKILL)
    with pytest.raises(ray.exceptions.WorkerCrashedError, match="node 2"):
        ray.get(running, timeout=60)
    with pytest.raises(ray.exceptions.ObjectLostError, match="max_retries=0"):
        ray.get(lost, timeout=60)
    assert eventually(lambda: len(alive()) == 1)
    with pytest.raises(ray.exceptions.TaskUnschedulableError, match="far"):
        ray.get(far_arange.remote(1), timeout=60)

    @ray.remote
    def here() -> str:
        return "here"

    assert ray.get(here.remote(), timeout=60) == "here"
    join()
    assert ray.get(far_arange.remote(3), timeout=60).tolist() == [0, 1, 2]


def test_a_node_that_leaves_gently_lets_its_task_end(cluster: Any, tmp_path: Path) -> None:
    @ray.remote(resources={"far": 1}, max_retries=0)
    def patient() -> str:
        (tmp_path / "began").touch()
        while not (tmp_path / "go").exists():
            time.sleep(0.02)
        return "done in peace"

    (number,) = [node["NodeNumber"] for node in alive() if not node["IsHead"]]
    running = patient.remote()
    assert eventually((tmp_path / "began").exists)
    cluster.cluster.end_node(number, True)
    assert eventually(lambda: any(node.leaving for node in cluster.insight.snapshot().nodes))
    with pytest.raises(ray.exceptions.TaskUnschedulableError, match="far"):
        ray.get(far_arange.remote(1), timeout=60)
    (tmp_path / "go").touch()
    assert ray.get(running, timeout=60) == "done in peace"
    assert eventually(lambda: len(alive()) == 1)
    shown = cluster.insight.snapshot
    assert eventually(lambda: number not in [node.number for node in shown().nodes])
    with pytest.raises(ValueError, match="left the cluster already"):
        cluster.cluster.end_node(number, True)
    with pytest.raises(ValueError, match="the head's node"):
        cluster.cluster.end_node(1, False)
    assert eventually(lambda: all(record.head for record in native.records()))
    join()
    (number,) = [node["NodeNumber"] for node in alive() if not node["IsHead"]]
    cluster.cluster.end_node(number, False)
    assert eventually(lambda: len(alive()) == 1)


@pytest.mark.parametrize("size", [20_000_000, 60_000_000])
def test_moving_is_not_work(cluster: Any, size: int) -> None:
    if len(alive()) == 1:
        join()  # the one of the other tests has left

    @ray.remote(resources={"far": 1})
    def looks(array: Any) -> int:
        return len(array)

    token = session.cell.set(f"moving-{size}")
    try:
        assert ray.get(looks.remote(np.ones(size, np.uint8)), timeout=60) == size
        view = cluster.insight.snapshot().cells[f"moving-{size}"]
    finally:
        session.cell.reset(token)
    assert view.moved > 0.001
    assert view.longest <= view.work < view.moved + 1
