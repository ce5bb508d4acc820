"""The random programs of `sim.ownership` on real processes, in one cluster of two CPUs."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from typing import Any

import pytest
from harness import eventually
from hypothesis import HealthCheck, given, settings
from sim import ownership_tasks as tasks
from sim.ownership import Model, Step, programs

import nbray
from nbray import session
from nbray.details import OBJECTS, ObjectRecord

EXAMPLES = 50 if os.environ.get("NBRAY_PROPERTIES") else 8


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    nbray.init(num_cpus=2, include_dashboard=False)
    yield
    nbray.shutdown()


class Doer(tasks.Voice):
    """What the driver does besides what tasks can."""

    def __init__(self) -> None:
        self._voice = tasks.Voice()

    def submit(self, name: str, *args: Any) -> Any:
        function = nbray.remote(getattr(tasks, name)).options(max_retries=0)
        return function.remote(self._voice, *args)

    def stream(self, name: str, *args: Any) -> Any:
        function = nbray.remote(getattr(tasks, name)).options(num_returns="streaming")
        return iter(function.remote(self._voice, *args))

    def actor(self, refs: list[Any]) -> Any:
        return nbray.remote(tasks.Shelf).options(num_cpus=0).remote(self._voice, refs)

    def call(self, handle: Any, method: str, *args: Any) -> Any:
        return getattr(handle, method).remote(*args)

    def kill(self, handle: Any) -> None:
        nbray.kill(handle)

    def stored(self, expected: int) -> int:
        count = -1

        def right() -> bool:
            nonlocal count
            count = sum(bool(one.nodes) for one in listed())
            return count == expected

        eventually(right, 10.0)
        return count


def listed() -> tuple[ObjectRecord, ...]:
    """Every object that any process owns."""
    return session.require().insight.complete(OBJECTS, 10.0).objects


def used() -> int:
    return sum(node.figures.store_used for node in session.require().insight.snapshot().nodes)


@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(steps=programs)
def test_nothing_leaks_and_nothing_goes_early(steps: list[Step]) -> None:
    Model(Doer()).run(steps)
    gc.collect()
    assert eventually(lambda: not used())
