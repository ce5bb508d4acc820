"""When bars appear, move and come to rest."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator

import msgspec
import pytest
from fake_kernel import Kernel, Shell

from nbray import session
from nbray.engines.scripted import ScriptedEngine
from nbray.events import CellView, NodeCounts, Output, Snapshot
from nbray.exceptions import RaySystemError
from nbray.jupyter.notebook import Notebook
from nbray.jupyter.waiting import progress
from nbray.jupyter.waiting.bars import Bars
from nbray.jupyter.waiting.progress import DELAY, DRAW, LINGER, LOOK, WorkWatch
from nbray.jupyter.waiting.terminal import TerminalBars


class Surface:
    def __init__(self, cell: str, eager: bool) -> None:
        self.cell = cell
        self.eager = eager
        self.did: list[tuple[str, int]] = []

    def draw(self, view: CellView, now: float, rate: float) -> None:
        self.did.append(("draw", view.done))

    def keep(self, view: CellView, now: float, rate: float) -> None:
        self.did.append(("keep", view.done))

    def end(self, view: CellView, now: float, rate: float) -> None:
        self.did.append(("end", view.done))

    def erase(self) -> None:
        self.did.append(("erase", -1))


class Still(WorkWatch):
    """A watch without its thread: the tests call `tick` by hand."""

    def wake(self) -> None:
        self.parked = False


class World:
    """An engine, a clock and the surfaces, moved by hand; no thread runs."""

    def __init__(self, eager: bool = False) -> None:
        self.now = 100.0
        self.snapshot: Snapshot | None = Snapshot()
        self.surfaces: list[Surface] = []
        self.watch = Still(lambda: self.snapshot, self.surface, lambda: self.now)
        self._eager = eager

    def surface(self, cell: str) -> Surface:
        self.surfaces.append(Surface(cell, self._eager))
        return self.surfaces[-1]

    def work(self, done: int, of: int, cell: str = "c", failed: int = 0) -> None:
        assert self.snapshot is not None
        view = CellView(cell, of, (NodeCounts(1, "n", done, 0, failed),), 99.0, self.now)
        cells = {**self.snapshot.cells, cell: view}
        self.snapshot = msgspec.structs.replace(self.snapshot, cells=cells)

    def tick(self, seconds: float = DRAW) -> float | None:
        self.now += seconds
        return self.watch.tick()

    @property
    def did(self) -> list[tuple[str, int]]:
        (surface,) = self.surfaces
        return surface.did


@pytest.fixture(autouse=True)
def in_cell_c(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(progress, "SETTLE", 0.0)
    token = session.cell.set("c")
    yield
    session.cell.reset(token)


def test_short_waits_bring_nothing_up() -> None:
    world = World()
    world.work(1, 10)
    with world.watch():
        assert world.tick(DELAY / 2) == LOOK
    assert world.tick(DELAY) is None
    assert world.surfaces == []


def test_a_long_wait_brings_bars_up_that_move() -> None:
    world = World()
    with world.watch():
        world.work(1, 10)
        assert world.tick(DELAY) == DRAW
        world.work(4, 10)
        assert world.tick() == DRAW
    assert world.did == [("draw", 1), ("draw", 4)]


def test_bars_go_on_after_the_wait_and_end_with_the_work() -> None:
    world = World()
    world.work(1, 10)
    with world.watch():
        world.tick(DELAY)
    world.tick()
    world.work(10, 10)
    assert world.tick() == DRAW
    assert world.tick(LINGER) is None
    assert world.did[-1] == ("end", 10)
    assert world.watch.bars == {}


def test_the_cells_end_brings_finished_bars_to_rest_at_once() -> None:
    world = World()
    world.work(1, 10)
    with world.watch():
        world.tick(DELAY)
        world.work(10, 10)
    world.watch.cell_ended("c")
    assert world.did[-1] == ("end", 10)
    assert world.tick() is None


def test_a_cell_that_ends_before_its_work_keeps_moving_bars() -> None:
    world = World()
    world.work(1, 10)
    with world.watch():
        world.tick(DELAY)
    world.watch.cell_ended("c")
    assert world.did[-1] == ("keep", 1)
    world.work(9, 10, failed=1)
    assert world.tick() is None
    assert world.did[-1] == ("end", 9)


def test_a_second_long_wait_uses_the_same_place() -> None:
    world = World()
    world.work(5, 5)
    with world.watch():
        world.tick(DELAY)
    world.tick(LINGER)
    world.tick(LINGER)
    assert world.did[-1] == ("end", 5)
    with world.watch():
        world.work(6, 10)
        world.tick(DELAY)
    assert world.did[-1] == ("draw", 6)


def test_nothing_to_show_shows_nothing() -> None:
    world = World()
    with world.watch():
        world.tick(DELAY)
        world.tick()
        assert world.did == []
    assert world.tick() is None
    assert world.watch.bars == {}


def test_an_engine_that_ends_ends_the_bars() -> None:
    world = World()
    world.work(1, 10)
    with world.watch():
        world.tick(DELAY)
    world.snapshot = None
    world.tick()
    world.tick(LINGER)
    assert world.did[-1] == ("end", 1)


def test_an_engine_that_fails_counts_as_ended() -> None:
    def fails() -> Snapshot:
        raise RaySystemError("gone")

    watch = WorkWatch(fails, lambda cell: Surface(cell, False), lambda: 0.0)
    assert watch._look() is None


def test_in_a_terminal_bars_end_with_the_wait() -> None:
    world = World(eager=True)
    world.work(1, 10)
    with world.watch():
        world.tick(DELAY)
        world.work(10, 10)
    assert world.did == [("draw", 1), ("end", 10)]
    assert world.watch.bars == {}


def test_in_a_terminal_unfinished_bars_are_erased() -> None:
    world = World(eager=True)
    world.work(1, 10)
    with pytest.raises(KeyboardInterrupt), world.watch():
        world.tick(DELAY)
        raise KeyboardInterrupt
    assert world.did[-1] == ("erase", -1)


def test_bars_may_come_up_at_once() -> None:
    world = World()
    world.work(1, 10)
    with world.watch(at_once=True):
        world.tick()
    assert world.did == [("draw", 1)]


def test_bars_in_a_terminal_make_room_while_the_caller_does_something_else() -> None:
    world = World(eager=True)
    world.work(1, 10)
    with world.watch(at_once=True) as wait:
        world.tick()
        wait.pause()
        assert world.did[-1] == ("erase", -1)
        world.work(2, 10)
        world.tick()
        assert world.did[-1] == ("erase", -1)
        wait.resume()
        world.tick()
        assert world.did[-1] == ("draw", 2)
        world.work(10, 10)
    assert world.did[-1] == ("end", 10)


def test_two_cells_have_bars_of_their_own() -> None:
    world = World()
    world.work(1, 10)
    world.work(2, 20, "d")
    with world.watch():
        session.cell.set("d")
        with world.watch():
            world.tick(DELAY)
    assert sorted(surface.cell for surface in world.surfaces) == ["c", "d"]


def test_the_thread_draws_and_parks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "DELAY", 0.0)
    drawn = threading.Event()

    class Seen(Surface):
        def draw(self, view: CellView, now: float, rate: float) -> None:
            drawn.set()

    snapshot = Snapshot(cells={"c": CellView("c", 5, (NodeCounts(1, "n", 1),))})
    watch = WorkWatch(lambda: snapshot, lambda cell: Seen(cell, True))
    with watch():
        assert drawn.wait(60)
    pause = threading.Event()
    while not watch.parked:
        assert not pause.wait(0.05)
    thread = watch._thread
    assert thread is not None
    watch.stop()
    assert not thread.is_alive()


def test_the_thread_ends_when_long_idle_and_starts_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "IDLE", 0.0)
    monkeypatch.setattr(progress, "LOOK", 0.0)
    watch = WorkWatch(Snapshot, lambda cell: Surface(cell, True))
    for _ in range(3):
        with watch():
            thread = watch._thread
        assert thread is not None
        thread.join(60)
        assert not thread.is_alive()


def test_a_failing_drawing_never_reaches_the_work(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "DELAY", 0.0)

    def broken(_cell: str) -> Surface:
        raise ValueError("no screen")

    watch = WorkWatch(lambda: Snapshot(cells={}), broken)
    with watch():
        assert watch._thread is not None
        watch._thread.join(60)
    assert "progress bars stopped: ValueError('no screen')" in capfd.readouterr().err


def test_install_in_a_script_without_a_terminal_does_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    own = progress.Watching(Notebook())
    assert own.install(Snapshot) is False
    assert session.watcher() is None
    own.uninstall()


def test_install_in_a_notebook_and_uninstall(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = Notebook()
    cells = notebook.cells
    cells.attach(Shell(Kernel()))
    own = progress.Watching(notebook)
    try:
        assert own.install(Snapshot)
        assert own.install(Snapshot)
        assert session.watcher() is own.watch
        assert len(cells.on_end) == 2
    finally:
        own.uninstall()
        cells.detach()
    assert session.watcher() is None
    assert cells.on_end == []


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_prints_pass_by_the_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    both = Screen()
    monkeypatch.setattr("sys.stderr", both)
    monkeypatch.setattr("sys.stdout", both)
    engine = ScriptedEngine()
    own = progress.Watching(Notebook())
    try:
        assert own.install(Snapshot)
        session.install(engine)
        assert own.watch is not None
        bars = Bars("c", TerminalBars())
        bars.look(Snapshot(cells={"c": CellView("c", 5, (NodeCounts(1, "n", 1),))}), True)
        bars.draw(1.0)
        own.watch.bars["c"] = bars
        sink = engine.cells.sink
        assert sink is not None
        sink(Output("c", 1, "n", 7, "task", "stdout", "hello"))
        bars.draw(2.0)
        del own.watch.bars["c"]
        sink(Output("c", 1, "n", 7, "task", "stdout", "more"))
    finally:
        session.install(None)
        own.uninstall()
    text = both.getvalue()
    assert "\x1b[3F\x1b[J(task pid=7) hello\n1 of 5" in text
    assert text.endswith("(task pid=7) more")
    assert own._print_aside not in session.on_install
