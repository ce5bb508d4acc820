"""Objects that move between three nodes, for real: to many at once, from those that are left."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from e2e.cli import NBRAY, environment, worker_line
from harness import eventually

import nbray as ray
from nbray import session
from nbray.engines import native

SIZE = 24_000_001
"""Bytes: several parts, the last a short one."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """The driver's node, and two that have the resources `a` and `b`."""
    ray.init(engine="native", num_cpus=1, object_store_memory=300_000_000)
    engine = session.current()
    assert engine is not None
    line = worker_line(engine.cluster.join_line())
    for name in "ab":
        extra = ["--num-cpus=1", f'--resources={{"{name}": 1}}', "--object-store-memory=200000000"]
        done = subprocess.run(
            [*NBRAY, *line, *extra], env=environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert eventually(lambda: sum(node["Alive"] for node in ray.nodes()) == 3)
    yield engine
    ray.shutdown()


def digest(array: Any) -> str:
    return hashlib.sha256(array).hexdigest()


@ray.remote(num_cpus=0)
def seen(array: Any) -> str:
    return hashlib.sha256(array).hexdigest()


@ray.remote(num_cpus=0)
def make(seed: int) -> Any:
    return np.random.default_rng(seed).bytes(SIZE)


def test_an_object_goes_to_both_at_once_and_arrives_whole(cluster: Any) -> None:
    value = np.frombuffer(np.random.default_rng(1).bytes(SIZE), np.uint8)
    ref = ray.put(value)
    found = ray.get([seen.options(resources={name: 0.1}).remote(ref) for name in "abab"])
    assert set(found) == {digest(value)}


def test_tasks_go_to_the_node_that_has_their_data(cluster: Any) -> None:
    @ray.remote
    def where(_array: Any) -> str:
        node: str = ray.get_runtime_context().get_node_id()
        return node

    nodes = {name: node["NodeID"] for name in "ab" for node in ray.nodes()
             if name in node["Resources"]}  # fmt: skip
    refs = [make.options(resources={name: 0.1}).remote(7) for name in "ab"]
    ray.wait(refs, num_returns=2, timeout=60, fetch_local=False)
    assert eventually(lambda: ray.available_resources().get("CPU") == 3)
    for _ in range(2):
        assert ray.get([where.remote(ref) for ref in refs]) == [nodes["a"], nodes["b"]]
        assert eventually(lambda: ray.available_resources().get("CPU") == 3)


def test_what_is_left_of_its_copies_is_enough(cluster: Any) -> None:
    ref = make.options(resources={"a": 0.1}).remote(3)
    expected = ray.get(seen.options(resources={"b": 0.1}).remote(ref))
    (first,) = [node for node in ray.nodes() if "a" in node["Resources"]]
    (record,) = [one for one in native.records() if one.node == first["NodeNumber"]]
    os.kill(record.root_pid, signal.SIGKILL)
    assert eventually(lambda: sum(node["Alive"] for node in ray.nodes()) == 2)
    assert digest(ray.get(ref)) == expected == digest(np.random.default_rng(3).bytes(SIZE))
