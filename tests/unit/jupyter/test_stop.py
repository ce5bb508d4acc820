"""The Stop button's two steps."""

import threading
from types import SimpleNamespace

import pytest

from nbray import session
from nbray.exceptions import RaySystemError
from nbray.jupyter.stop import GRACE, InterruptHook, stop


class Cancels:
    """An engine that only counts what is cancelled."""

    name = "counting"

    def __init__(self, count=2, error=None):
        self.asked = []
        self.count = count
        self.error = error
        self.forced = threading.Event()

    def cancel_cell(self, cell, force):
        self.asked.append((cell, force))
        if force:
            self.forced.set()
            if self.error:
                raise self.error
        return self.count

    def on_output(self, sink): ...


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
    assert engine.forced.wait(5)
    assert engine.asked == [("cell", False), ("cell", True)]


def test_force_leaves_time_for_all_to_be_over_within_a_second():
    assert GRACE <= 0.5


def test_nothing_left_is_not_forced(installed):
    engine = installed(Cancels(count=0))
    assert stop("cell", grace=0) == 0
    assert not engine.forced.wait(0.1)


def test_without_an_engine_there_is_nothing_to_stop(installed):
    installed(None)
    assert stop("cell") == 0


def test_a_cluster_that_ends_meanwhile_is_no_error(installed):
    engine = installed(Cancels(error=RaySystemError("gone")))
    stop("cell", grace=0.01)
    assert engine.forced.wait(5)


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
