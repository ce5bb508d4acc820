"""The Stop button's two steps."""

import asyncio
import os
import signal
import threading
import time
from types import SimpleNamespace

import pytest

from nbray import session
from nbray.engines.parts import PlainCells
from nbray.engines.scripted import ScriptedEngine
from nbray.exceptions import RaySystemError
from nbray.jupyter.cells.stop import GRACE, CellStopped, InterruptHook, Run, stop


class Unfinished(PlainCells):
    """So many tasks are."""

    def __init__(self, left, error):
        super().__init__()
        self.left = left
        self.error = error
        self.forced = threading.Event()

    def cancel(self, cell, force):
        super().cancel(cell, force)
        if force:
            self.forced.set()
            if self.error:
                raise self.error
        return self.left


def Cancels(count=2, error=None):
    engine = ScriptedEngine()
    engine.cells = Unfinished(count, error)
    return engine


@pytest.fixture
def installed():
    before = session.current()

    def install(engine):
        session.install(engine)
        return engine

    yield install
    session.install(before)


def test_asks_first_and_forces_later(installed):
    engine = installed(Cancels())
    assert stop("cell", grace=0.01) == 2
    assert engine.cells.forced.wait(60)
    assert engine.cells.cancelled == [("cell", False), ("cell", True)]


def test_force_leaves_time_for_all_to_be_over_within_a_second():
    assert GRACE <= 0.5


def test_nothing_left_is_not_forced(installed):
    engine = installed(Cancels(count=0))
    assert stop("cell", grace=0) == 0
    assert not engine.cells.forced.wait(0.1)


def test_without_an_engine_there_is_nothing_to_stop(installed):
    installed(None)
    assert stop("cell") == 0


def test_a_cluster_that_ends_meanwhile_is_no_error(installed):
    engine = installed(Cancels(error=RaySystemError("gone")))
    stop("cell", grace=0.01)
    assert engine.cells.forced.wait(60)


def run_cell(hook, cell, error):
    token = session.cell.set(cell)
    hook.before()
    session.cell.reset(token)  # as `cells` does before the hook's turn
    hook.after(SimpleNamespace(error_in_exec=error))


def test_only_interrupted_cells_are_stopped():
    stopped = []
    hook = InterruptHook(lambda cell: stopped.append(cell) or 0)
    run_cell(hook, "a", None)
    run_cell(hook, "b", ValueError())
    run_cell(hook, "c", KeyboardInterrupt())
    hook.after(SimpleNamespace(error_in_exec=None))  # an empty cell
    hook.after(None)
    assert stopped == ["c"]


@pytest.fixture
def halting(monkeypatch):
    """What stopping a cell changes for the whole process is put back."""
    monkeypatch.setattr(session, "halted", False)
    token = session.run.set(None)
    yield
    session.run.reset(token)


class Pressed:
    """A hook while its cells run, and a hand on the Stop button."""

    def __init__(self, *cells):
        self.stopped = []
        self.told = threading.Event()
        self.hook = InterruptHook(self.stop)
        self.handler = signal.getsignal(signal.SIGINT)
        for cell in cells:
            token = session.cell.set(cell)
            self.hook.before()
            session.cell.reset(token)
        self.wanted = len(cells)

    def stop(self, cell):
        self.stopped.append(cell)
        if len(self.stopped) == self.wanted:
            self.told.set()
        return 0

    def press(self):
        try:
            signal.getsignal(signal.SIGINT)(signal.SIGINT, None)
        except KeyboardInterrupt:
            return self.told.wait(60)
        raise AssertionError("the cell was not interrupted")

    def end(self, error=None):
        for _ in range(self.wanted):
            self.hook.after(SimpleNamespace(error_in_exec=error))


def test_an_interrupt_that_the_cell_catches_stops_its_work(halting):
    pressed = Pressed("a")
    assert pressed.press()
    pressed.end()
    assert pressed.stopped == ["a"]
    assert signal.getsignal(signal.SIGINT) is pressed.handler


def test_a_cell_run_inside_a_cell_is_stopped_with_it(halting):
    pressed = Pressed("outer", "inner")
    assert pressed.press()
    pressed.end()
    assert sorted(pressed.stopped) == ["inner", "outer"]
    assert signal.getsignal(signal.SIGINT) is pressed.handler


def test_a_handler_that_the_cell_has_set_is_left_to_it(halting):
    pressed = Pressed("a")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pressed.end()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signal.signal(signal.SIGINT, pressed.handler)


def test_the_cells_own_code_may_go_on_and_its_threads_may_not(halting):
    pressed = Pressed("a")
    in_thread = []
    begun, go = threading.Event(), threading.Event()
    of = session.run.get()

    def work():
        session.run.set(of)
        begun.set()
        go.wait(60)
        try:
            session.check_run()
        except CellStopped as error:
            in_thread.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait(60)
    pressed.press()
    go.set()
    thread.join()
    assert len(in_thread) == 1
    again = session.check_run()
    assert again is not of
    assert not again.stopped
    pressed.end()


def test_a_coroutine_beside_the_cells_own_may_not_go_on(halting):
    async def other():
        return session.check_run()

    async def cell():
        run = Run("a")
        session.run.set(run)
        task = asyncio.ensure_future(other())
        session.halt(run)
        with pytest.raises(CellStopped):
            await task
        return session.check_run()

    assert not asyncio.run(cell()).stopped


class Taken:
    """A lock that another thread lets go of at the same moment."""

    def __init__(self):
        self.lock = threading.Lock()

    def locked(self):
        return True

    def acquire(self, timeout=-1):
        return True

    def release(self):
        self.lock.release()  # it is free


def test_a_button_pressed_twice_raises_nothing_of_its_own():
    run = Run("cell")
    run.asked = Taken()
    InterruptHook._asked([run])
    assert run.again().cell == "cell"


def test_an_interrupt_after_its_end_was_shown_raises_no_more():
    pressed = []
    before = signal.signal(signal.SIGINT, lambda *_: pressed.append("raised"))
    hook = InterruptHook(lambda cell: pressed.append(cell) or 0)
    token = session.cell.set("cell")
    try:
        hook.before()
        hook.told()  # another error: the button was not pressed
        signal.raise_signal(signal.SIGINT)
        hook.told()
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
        hook.after()
        assert pressed.count("raised") == 1
        hook.before()
        signal.raise_signal(signal.SIGINT)
        hook.after()
        assert pressed.count("raised") == 2
    finally:
        session.cell.reset(token)
        signal.signal(signal.SIGINT, before)


def test_an_event_loop_hears_of_the_button_at_once():
    def cancel(*_):
        task.cancel()  # as ipykernel does, which wakes nobody

    async def main():
        nonlocal task
        task = asyncio.create_task(asyncio.sleep(60))
        threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGINT]).start()
        with pytest.raises(asyncio.CancelledError):
            await task

    task = None
    before = signal.signal(signal.SIGINT, cancel)
    hook = InterruptHook(lambda cell: 0)
    token = session.cell.set("cell")
    try:
        hook.before()
        begun = time.monotonic()
        asyncio.run(asyncio.wait_for(main(), 30))
        assert time.monotonic() < begun + 20
        hook.after()
    finally:
        session.cell.reset(token)
        signal.signal(signal.SIGINT, before)
