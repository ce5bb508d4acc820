"""Real Ray clusters for tests of the engine over Ray, which run where Ray is: `make test-ray`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import eventually

from nbray import session
from nbray.events import CellView, Display, Output

pytest.importorskip("ray", reason="Ray is not installed here: make test-ray has it")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ray opens more than it closes, and warns of its own deprecations."""
    here = str(Path(__file__).parent)
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.filterwarnings("ignore"))


@pytest.fixture
def cluster(ray_cluster: str) -> str:
    """The address of a Ray cluster that all tests share."""
    return ray_cluster


@pytest.fixture
def joined(cluster: str) -> Iterator[str]:
    """The same, with nbray a driver of it."""
    import nbray

    nbray.shutdown()
    nbray.init(cluster, engine="ray", namespace="tests", log_to_driver=False)
    yield cluster
    nbray.shutdown()


@pytest.fixture(scope="module")
def engine(ray_cluster: str) -> Iterator[Any]:
    """The engine of a driver of the cluster."""
    import nbray

    nbray.shutdown()
    nbray.init(ray_cluster, engine="ray")
    yield session.require()
    nbray.shutdown()


class Notebook:
    """One cell of a notebook, and what came under it."""

    def __init__(self, engine: Any, cell: str) -> None:
        self.engine = engine
        self.cell = cell
        self.events: list[Output | Display] = []
        engine.cells.on_output(self.take)

    def take(self, event: Output | Display) -> None:
        """What the engine gives."""
        if event.cell == self.cell:
            self.events.append(event)

    @property
    def text(self) -> str:
        """All that was printed."""
        return "".join(one.text for one in self.events if isinstance(one, Output))

    @property
    def view(self) -> CellView:
        """What bars show."""
        found = self.engine.cells.view(self.cell)
        assert found is not None
        return found

    def settled(self, until: Callable[[CellView], bool] = lambda view: view.finished) -> CellView:
        """The counts, once they are as they are to be."""
        assert eventually(lambda: until(self.view)), self.view
        return self.view


@pytest.fixture
def notebook(engine: Any, request: pytest.FixtureRequest) -> Iterator[Notebook]:
    """Work of this test is a cell's."""
    token = session.cell.set(request.node.name)
    yield Notebook(engine, request.node.name)
    session.cell.reset(token)
    engine.cells.on_output(None)
