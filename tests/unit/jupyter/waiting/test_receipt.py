"""When receipts are shown."""

from __future__ import annotations

import threading
from typing import Any

import msgspec
import pytest

from nbray.events import CellView, NodeCounts, Snapshot
from nbray.exceptions import RaySystemError
from nbray.jupyter.waiting import receipt
from nbray.jupyter.waiting.receipt import Receipts

DONE = CellView(
    "c", 10, (NodeCounts(1, "n", 10, work=9.0),), 0.0, 5.0, measured=10, workers=2, longest=1.0
)


class Cells:
    """Takes displays instead of a kernel."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, str, bool, str]] = []

    def quiet(self, _cell: str) -> bool:
        return False

    def display(self, cell: str, data: Any, *, display_id: str = "", update: bool = False) -> None:
        assert set(data) == {"text/html", "text/plain"}
        self.shown.append((cell, display_id, update, data["text/plain"]))


class World:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(receipt, "LOOK", 0.0)
        monkeypatch.setattr(threading.Thread, "start", lambda _self: None)
        self.cells = Cells()
        self.snapshot: Snapshot | None = Snapshot()
        self.receipts = Receipts(self.cells, self.look)  # type: ignore[arg-type]
        self.fails = False

    def look(self) -> Snapshot | None:
        if self.fails:
            raise RaySystemError("gone")
        return self.snapshot

    def work(self, view: CellView) -> None:
        self.snapshot = Snapshot(cells={view.cell: view})


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_a_cell_that_launched_work_ends_with_its_receipt(world: World) -> None:
    world.work(DONE)
    world.receipts.cell_ended("c")
    ((cell, place, update, text),) = world.cells.shown
    assert (cell, place, update) == ("c", "", False)
    assert text.startswith("Receipt: 10 tasks on 1 node in 5 s")


def test_cheap_cells_show_nothing(world: World) -> None:
    world.receipts.cell_ended("c")
    world.work(msgspec.structs.replace(DONE, updated=0.5))
    world.receipts.cell_ended("c")
    world.receipts.cell_ended("other")
    world.snapshot = None
    world.receipts.cell_ended("c")
    world.fails = True
    world.receipts.cell_ended("c")
    assert world.cells.shown == []


def test_work_that_outlives_its_cell_fills_a_place_that_was_kept(world: World) -> None:
    world.work(msgspec.structs.replace(DONE, submitted=12))
    world.receipts.cell_ended("c")
    ((_, place, update, text),) = world.cells.shown
    assert place
    assert (update, text) == (False, "")
    assert world.receipts.tick()
    world.work(DONE)
    assert not world.receipts.tick()
    assert world.cells.shown[1][:3] == ("c", place, True)
    assert world.cells.shown[1][3].startswith("Receipt: 10 tasks")


def test_a_place_is_given_up_with_its_engine(world: World) -> None:
    world.work(msgspec.structs.replace(DONE, submitted=12))
    world.receipts.cell_ended("c")
    world.fails = True
    assert not world.receipts.tick()
    assert len(world.cells.shown) == 1


def test_the_thread_ends_when_no_place_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipt, "LOOK", 0.0)
    views = [Snapshot(cells={"c": msgspec.structs.replace(DONE, submitted=12)})] * 3
    views.append(Snapshot(cells={"c": DONE}))
    shown = Cells()
    receipts = Receipts(shown, lambda: views.pop(0) if len(views) > 1 else views[0])  # type: ignore[arg-type]
    receipts.cell_ended("c")
    thread = receipts._thread
    if thread is not None:
        thread.join(60)
        assert not thread.is_alive()
    assert receipts._thread is None
    assert len(shown.shown) == 2
