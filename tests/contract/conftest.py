"""The contract's engines: each test runs on every one that `NBRAY_TEST_ENGINES` names.

One cluster of four CPUs a module and engine. What needs tasks that run at the
same time is marked `concurrent`, and left out for engines that cannot. An engine
without actors, the scripted one, has to pass what is said of work and objects.

With NBRAY_TEST_ENGINES=real the real Ray runs what is written against its API. Tests of
what only nbray has, marked `own`, are left out, and so are those of the table in
`differences.py`: they show what nbray does otherwise.
"""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from api import ENGINES, REAL, ray
from differences import DIFFERENCES
from harness import eventually
from over_ray import LACKS

from nbray import session
from nbray.engine import Capabilities, load
from nbray.engines.inline import InlineEngine
from nbray.engines.scripted import ScriptedEngine

CAPABILITIES = {one.capabilities.name: one.capabilities for one in (InlineEngine, ScriptedEngine)}
NAMESPACE = "contract"
SOON = 3.0
"""Seconds in which CPUs are free again after a module's last test."""
WORK_AND_OBJECTS = {"test_tasks", "test_objects"}


def _capabilities(name: str) -> Capabilities | None:
    """What the engine says that it can do; None: everything. Another package's module has them."""
    if REAL:
        return None
    return CAPABILITIES.get(name) or getattr(load(name), "capabilities", None)


@pytest.fixture(scope="module", params=ENGINES, autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """The engine's name; it runs during the module."""
    name: str = request.param
    if name == "ray":
        yield from _over_ray(request.getfixturevalue("ray_cluster"))
        return
    ray.shutdown()
    asks = REAL and request.path.stem in {"test_state", "test_environments", "test_job_submission"}
    started = start(name, **{"include_dashboard": True} if asks else {})  # Ray's answers those
    if asks:  # by address, for there may be others on this machine
        os.environ["RAY_ADDRESS"] = started.address_info["gcs_address"]
    yield name
    if asks:
        del os.environ["RAY_ADDRESS"]
    ray.shutdown()


def _over_ray(address: str) -> Iterator[str]:
    """One driver for all modules: Ray starts workers anew for each, which takes a second of CPU.

    A module that leaves something at work ends it.
    """
    running = session.current()
    if running is None or running.ended or running.context.namespace != NAMESPACE:
        ray.shutdown()
        start("ray", address=address)
    yield "ray"
    running = session.current()
    if running is not None and not running.ended:
        gc.collect()
        if not eventually(_free, SOON):
            ray.shutdown()


def _free() -> bool:
    """Whether nothing has a CPU, or what else tests ask for."""
    free, all_of_it = ray.available_resources(), ray.cluster_resources()
    return all(free.get(name) == all_of_it.get(name) for name in ("CPU", "special"))


def start(name: str, **options: Any) -> Any:
    """`init` of the engine *name* with four CPUs and two of the resource 'special'."""
    given: dict[str, Any] = {"num_cpus": 4, "resources": {"special": 2}, "namespace": NAMESPACE}
    # 'local': Ray joins a cluster that it finds, and there may be others on this machine.
    given |= {"include_dashboard": False, "address": "local"} if REAL else {"engine": name}
    given |= options
    if options.get("address") and name == "ray":  # whose sizes are its own
        del given["num_cpus"], given["resources"]
    if REAL:  # it gives up where a machine is busy
        for _ in range(2):
            with contextlib.suppress(Exception):
                return ray.init(**given)
            ray.shutdown()
    return ray.init(**given)


def _called(item: pytest.Item) -> str:
    """The test as the tables of differences name it."""
    return f"{item.path.stem}::{getattr(item, 'originalname', item.name)}"


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave out what an engine says that it cannot do."""
    kept, left_out = [], []
    differs = {test for one in DIFFERENCES for test in one.tests}
    over_ray = {test for one in LACKS for test in one.tests}
    for item in items:
        if REAL:
            # Ray opens more than it closes, and warns of its own deprecations.
            item.add_marker(pytest.mark.filterwarnings("ignore"))
            own = item.get_closest_marker("own") is not None
            if own or _called(item) in differs or item.path.stem in differs:
                left_out.append(item)
                continue
        parameters = getattr(item, "callspec", None)
        name = parameters.params.get("engine") if parameters is not None else None
        if name == "ray":
            item.add_marker(pytest.mark.filterwarnings("ignore"))
        if name == "ray" and {_called(item), item.path.stem} & over_ray:
            left_out.append(item)
            continue
        able = _capabilities(name) if isinstance(name, str) else None
        impossible = able is not None and (
            (not able.concurrent and item.get_closest_marker("concurrent") is not None)
            or (not able.actors and item.path.stem not in WORK_AND_OBJECTS)
        )
        (left_out if impossible else kept).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


@pytest.fixture(scope="module", autouse=True)
def _by_value(request: pytest.FixtureRequest) -> None:
    """Ray's workers cannot import the tests: what a module has at its top travels by value."""
    if REAL:
        ray.cloudpickle.register_pickle_by_value(request.module)


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
