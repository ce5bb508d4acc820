"""The whole cluster under a seeded virtual clock: 260 stories, with and without faults.

A failing seed prints itself and its story; `python -m tests.sim SEED KIND` tells it again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sim.scenario import Scenario

from nbray.options import UNIT

pytestmark = pytest.mark.timeout(300)  # ten stories take six seconds of a CPU, which others may use

GROUP = 10
SEEDS = {
    "calm": 30, "workers": 30, "nodes": 20, "drivers": 20, "links": 30, "pauses": 20, "cuts": 20,
    "storm": 30, "memory": 20, "disk": 20, "leaves": 20,
}  # fmt: skip
GROUPS = [(kind, first) for kind, count in SEEDS.items() for first in range(0, count, GROUP)]


@pytest.mark.parametrize(("kind", "first"), GROUPS)
def test_seeds(kind: str, first: int) -> None:
    for seed in range(first, first + GROUP):
        Scenario(seed, kind).run()


@pytest.mark.parametrize(
    ("seed", "kind"),
    [
        (3000074, "storm"),  # one machine cut off, and with it the detour of another
        (3000098, "workers"),  # a task with a third's handle cancelled before it was started
        (5006, "pauses"),  # the head asleep for longer than a minute while an actor gets its name
        (20261783, "workers"),  # a stream is cut off while its reader waits for what has just come
    ],
)
def test_seeds_that_found_something(seed: int, kind: str) -> None:
    Scenario(seed, kind).run()


def test_faults_are_more_than_names() -> None:
    """A disk refuses writes, a node that leaves hands objects over, the guard ends workers."""
    disk, leaves, memory = Scenario(7, "disk"), Scenario(9, "leaves"), Scenario(0, "memory")
    for scenario in (disk, leaves, memory):
        scenario.run()
    assert sum(node.disk.refused for node in disk.world.nodes.values())
    left = [node for node in leaves.world.nodes.values() if not node.alive]
    assert any(node.brain.drain._safe for node in left)
    assert sum(node.brain.guard.ended for node in memory.world.nodes.values())


def test_what_a_killed_driver_has_detached_does_not_hold_the_cluster_for_ever() -> None:
    """Nor would a person leave a group that has every CPU: somebody ends it."""
    scenario = Scenario(1, "drivers")
    killed = scenario.drivers[-1]
    assert scenario.world.run(lambda: hasattr(killed.api, "engine"), 1.0)
    nodes = scenario.world.nodes.values()
    every = [{"CPU": node.brain.ledger.total["CPU"] / UNIT} for node in nodes]
    scenario.programs[-1].hold(every, "STRICT_SPREAD", True)
    scenario.world.rest(0.1)
    scenario.break_something("a driver is killed")
    killed.end("was killed by SIGKILL")
    scenario.run()


def test_a_seed_tells_the_same_story_every_time() -> None:
    first, second = Scenario(7, "workers"), Scenario(7, "workers")
    first.run()
    second.run()
    assert first.world.steps == second.world.steps
    assert first.world.notes == second.world.notes


def test_a_seed_tells_the_same_story_in_every_process() -> None:
    told = {
        subprocess.run(
            [sys.executable, "-m", "sim", "3", "storm"], cwd=Path(__file__).parents[1],
            env={**os.environ, "PYTHONHASHSEED": chance}, capture_output=True, check=True,
        ).stdout
        for chance in ("1", "2")
    }  # fmt: skip
    assert len(told) == 1
