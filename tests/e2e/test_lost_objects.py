"""A node that is killed takes nothing with it that can be made again, and one that leaves, nothing.

A chain of five stages with 20 tasks each, 5 MB a result, on two nodes beside the head's, one of
which goes at a random moment: every result is right, and only what was lost has run again.
`make lost` does each 30 times over, with the figures.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import eventually

import nbray as ray
from nbray import session
from nbray.cluster_utils import Cluster

RUNS = int(os.environ.get("NBRAY_LOST_RUNS", "2"))
STAGES, WIDTH = 5, 20
ITEMS = 655_360
"""Numbers of 8 bytes in a result: 5 MiB."""
STORE = 900_000_000

pytestmark = pytest.mark.timeout(60 * RUNS + 120)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    made = Cluster(
        initialize_head=True, connect=True,
        head_node_args={"num_cpus": 0, "object_store_memory": STORE},
    )  # fmt: skip
    for _ in range(2):
        made.add_node(num_cpus=1, object_store_memory=STORE)
    yield made
    ray.shutdown()
    made.shutdown()


def stage(runs: str, number: int, place: int, *before: Any) -> Any:
    """The sum of *before*, and one; the run is noted before and after."""
    here = ray.get_runtime_context().get_node_id()
    value = np.full(ITEMS, 1, np.int64)
    for one in before:
        value += one
    time.sleep(0.01)
    with Path(runs, f"{number}-{place}").open("a") as log:
        log.write(f"{here}\n")
    return value


def begin(runs: Path) -> list[list[Any]]:
    """All references, a list for each stage."""
    task = ray.remote(stage)
    rows: list[list[Any]] = [[task.remote(str(runs), 0, place) for place in range(WIDTH)]]
    for number in range(1, STAGES):
        last = rows[-1]
        rows.append(
            [
                task.remote(str(runs), number, place, last[place], last[(place + 1) % WIDTH])
                for place in range(WIDTH)
            ]
        )
    return rows


def ran(runs: Path) -> dict[str, list[str]]:
    """The nodes on which each task has run to its end, as often."""
    return {path.name: path.read_text().split() for path in runs.iterdir()}


def look(rows: list[list[Any]], first: int = 0) -> None:
    """Every value of the stages from *first* on is right."""
    for number in range(first, STAGES):
        expected = 2 ** (number + 1) - 1
        for ref in rows[number]:
            value = ray.get(ref, timeout=120)
            assert value.shape == (ITEMS,)
            assert (value == expected).all()
            del value


def kill(cluster: Cluster) -> str:
    """Kill all of a further node, by SIGKILL; its id."""
    node = random.choice(sorted(cluster.worker_nodes, key=lambda one: one.node_id))
    os.kill(node._record.root_pid, signal.SIGKILL)
    cluster.worker_nodes.discard(node)
    return node.node_id


def refill(cluster: Cluster) -> None:
    """Two further nodes, whatever became of those there were."""
    while len(cluster.worker_nodes) < 2:
        cluster.add_node(num_cpus=1, object_store_memory=STORE)
    cluster.wait_for_nodes(60)


def moment(runs: Path, most: int) -> int:
    """Wait until a random number of tasks have ended; how many."""
    wanted = random.randint(1, most)
    assert eventually(lambda: len(list(runs.iterdir())) >= wanted)
    time.sleep(0.05 * random.random())
    return wanted


@pytest.mark.parametrize("run", range(RUNS))
def test_a_killed_node_costs_only_what_was_there(
    cluster: Cluster, tmp_path: Path, run: int
) -> None:
    refill(cluster)
    began = time.monotonic()
    rows = begin(tmp_path)
    when = moment(tmp_path, STAGES * WIDTH)
    dead = kill(cluster)
    look(rows)
    seconds = time.monotonic() - began
    counts = ran(tmp_path)
    assert len(counts) == STAGES * WIDTH
    again = {name for name, nodes in counts.items() if len(nodes) > 1}
    for name, nodes in counts.items():
        assert Counter(nodes)[dead] <= 1, (name, nodes)
        assert len(nodes) - Counter(nodes)[dead] <= 1, ("nothing that is there is made", name)
    lost = {name for name, nodes in counts.items() if dead in nodes}
    assert again <= lost
    print(
        f"run {run}: a node was killed after {when} of {STAGES * WIDTH} tasks; {len(lost)} had "
        f"run there, {len(again)} ran again; {seconds:.1f} s"
    )


@pytest.mark.parametrize("run", range(RUNS))
def test_a_node_that_leaves_gently_takes_nothing_with_it(
    cluster: Cluster, tmp_path: Path, run: int
) -> None:
    refill(cluster)
    engine = session.require()
    rows = begin(tmp_path)
    when = moment(tmp_path, STAGES * WIDTH)
    leaver = random.choice(sorted(cluster.worker_nodes, key=lambda one: one.node_id))
    (number,) = [one["NodeNumber"] for one in ray.nodes() if one["NodeID"] == leaver.node_id]
    engine.cluster.end_node(number, True)
    cluster.worker_nodes.discard(leaver)
    assert eventually(lambda: not any(n["Alive"] for n in ray.nodes() if n["NodeNumber"] == number))
    look(rows)
    counts = ran(tmp_path)
    assert len(counts) == STAGES * WIDTH
    assert all(len(nodes) == 1 for nodes in counts.values()), "nothing runs again"
    there = sum(leaver.node_id in nodes for nodes in counts.values())
    print(f"run {run}: a node left after {when} of {STAGES * WIDTH} tasks; {there} had run there")


def test_what_only_recipes_know_is_made_again(cluster: Cluster, tmp_path: Path) -> None:
    """References to all stages but the last are dropped: their values have ended long ago."""
    refill(cluster)
    rows = begin(tmp_path)
    for row in rows[:-1]:
        row.clear()
    ray.wait(rows[-1], num_returns=WIDTH, timeout=120, fetch_local=False)
    dead = kill(cluster)
    look(rows, STAGES - 1)
    counts = ran(tmp_path)
    assert any(len(nodes) > 1 for nodes in counts.values())
    assert all(Counter(nodes)[dead] <= 1 for nodes in counts.values())
