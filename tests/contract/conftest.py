"""The contract's engines: each test runs on every one that `NBRAY_TEST_ENGINES` names.

One cluster of four CPUs a module and engine. What needs tasks that run at the
same time is marked `concurrent`, and left out for the inline engine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness import eventually

import nbray as ray

ENGINES = os.environ.get("NBRAY_TEST_ENGINES", "inline,native").split(",")


@pytest.fixture(scope="module", params=ENGINES, autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """The engine's name; it runs during the module."""
    name: str = request.param
    ray.shutdown()
    ray.init(engine=name, num_cpus=4, resources={"special": 2}, namespace="contract")
    yield name
    ray.shutdown()


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave out what the inline engine cannot do."""
    kept, left_out = [], []
    for item in items:
        parameters = getattr(item, "callspec", None)
        inline = parameters is not None and parameters.params.get("engine") == "inline"
        impossible = inline and item.get_closest_marker("concurrent") is not None
        (left_out if impossible else kept).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """`until(condition)`: wait until it holds; fail if it does not in time."""

    def wait(condition: Callable[[], object]) -> None:
        assert eventually(condition), "the condition did not come to hold in time"

    return wait


@pytest.fixture
def Counter() -> Any:
    """An actor class."""

    @ray.remote
    class Counter:
        """Counts."""

        def __init__(self, start=0):
            self.n = start

        def add(self, amount=1):
            """Add and tell."""
            self.n += amount
            return self.n

        def read(self):
            return self.n

    return Counter
