"""The Stop button: an interrupted cell's work ends on every node.

Owns who hears of the button while a cell runs, and the two steps that follow: first
asking, and half a second later forcing. Does not own how work is cancelled (the engine)
nor which cell runs (`cells`). Rules: it does not matter what the cell makes of the
interrupt. Only the interrupted cell's own work is touched; other cells' background work
goes on. What the cell's own code starts after the interrupt (to clean up, say) is left
to it, what its threads and coroutines would start is refused.
"""

from __future__ import annotations

import _thread
import asyncio
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any
from weakref import WeakSet

from nbray import session
from nbray.engine import Engine
from nbray.exceptions import RayError

GRACE = 0.5
"""Seconds between asking tasks to end and ending their workers: all is over within a second."""

ASKING = 5.0
"""Longest wait of a cell that goes on until its work was asked to end, which takes milliseconds."""


class CellStopped(asyncio.CancelledError):
    """Raised by nbray's calls in threads and coroutines of a cell that was stopped.

    Not an `Exception`, so that loops which try again do not; and not a KeyboardInterrupt,
    which would end the event loop that a coroutine runs in.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"Stopped: {self}"]


class Run:
    """One run of a cell: whose it is, and whether it was stopped (see `session.Run`)."""

    __slots__ = ("asked", "cell", "owner", "stopped", "told")

    def __init__(self, cell: str, owner: tuple[int, object] | None = None) -> None:
        self.cell = cell
        self.owner = owner or _here()
        self.stopped = False
        self.told = False
        """The interrupt has ended its code, and that is shown: another one would end no more."""
        self.asked = _thread.allocate_lock()
        """Held from the interrupt until its work was asked to end."""

    def again(self) -> Run | None:
        """A new run for the cell's own code, which was told of the interrupt."""
        if self.owner != _here():
            return None
        # What it launches from here on is not meant: what was launched must have been asked.
        if self.asked.acquire(timeout=ASKING):
            _release(self.asked)
        return Run(self.cell, self.owner)

    def error(self) -> CellStopped:
        """What other code that works for the cell meets."""
        return CellStopped("the cell was stopped while this thread or coroutine worked for it")


def _here() -> tuple[int, object]:
    """The thread, and in an event loop the coroutine, that calls."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return threading.get_ident(), task


def _release(lock: _thread.LockType) -> None:
    """Release *lock*; it may be another's doing already: the button can be pressed again."""
    try:
        lock.release()
    except RuntimeError:
        pass


def _wake() -> None:
    """Have the event loop that runs look at what it has cancelled, not only when it next wakes."""
    try:
        asyncio.get_running_loop().call_soon_threadsafe(int)
    except RuntimeError:
        pass  # none runs


def stop(cell: str, grace: float = GRACE) -> int:
    """Cancel all unfinished work of *cell*; how many tasks that were.

    What of it has not ended *grace* seconds later is ended by force, in the background.
    """
    engine = session.current()
    if engine is None:
        return 0
    count = engine.cells.cancel(cell, force=False)
    if count:
        timer = threading.Timer(grace, _force, (engine, cell))
        timer.daemon = True
        timer.start()
    return count


def _force(engine: Engine, cell: str) -> None:
    if session.current() is not engine:
        return
    try:
        engine.cells.cancel(cell, force=True)
    except RayError:
        pass  # the cluster is being stopped, and its work with it


class InterruptHook:
    """IPython's hooks around a cell: while it runs, an interrupt ends its work."""

    def __init__(self, stop_cell: Callable[[str], int] = stop) -> None:
        self._stop = stop_cell
        self._running: list[tuple[Run, session.Run | None]] = []
        """The cells that run, each inside the one before, and what ran before each."""
        self._previous: Callable[[int, FrameType | None], Any] | None = None
        self._handler = self._on_sigint  # one object, so that it is recognised
        self._shells: WeakSet[Any] = WeakSet()

    def follow(self, shell: Any) -> None:
        """Hear of the cells of *shell*, also of the one that runs; again changes nothing."""
        if shell in self._shells:
            return
        self._shells.add(shell)
        shell.events.register("pre_run_cell", self.before)
        shell.events.register("post_run_cell", self.after)
        if session.cell.get():
            self.before()

    def leave(self, shell: Any) -> None:
        """Hear of the cells of *shell* no longer."""
        if shell in self._shells:
            self._shells.discard(shell)
            shell.events.unregister("pre_run_cell", self.before)
            shell.events.unregister("post_run_cell", self.after)
            self.let_go()

    def before(self, _info: object = None) -> None:
        """`pre_run_cell`; runs after `cells` has named the cell."""
        run = Run(session.cell.get())
        self._running.append((run, session.run.get()))
        session.run.set(run)
        if threading.current_thread() is threading.main_thread():
            previous = signal.getsignal(signal.SIGINT)
            if callable(previous) and previous is not self._handler:
                self._previous = previous
                signal.signal(signal.SIGINT, self._handler)

    def after(self, result: Any = None) -> None:
        """`post_run_cell`; IPython calls it for empty cells as well, without `before`."""
        run, outer = self._running.pop() if self._running else (None, None)
        session.run.set(outer)
        if not self._running:
            self.let_go()
        interrupted = isinstance(getattr(result, "error_in_exec", None), KeyboardInterrupt)
        if interrupted and run is not None and run.cell:
            self._stop(run.cell)

    def told(self) -> None:
        """What has come of the running cell is being shown."""
        if self._running and self._running[-1][0].stopped:
            self._running[-1][0].told = True

    def let_go(self) -> None:
        """Hear of interrupts no longer."""
        previous, self._previous = self._previous, None
        if (
            previous is not None
            and threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is self._handler
        ):
            signal.signal(signal.SIGINT, previous)

    def _on_sigint(self, number: int, frame: FrameType | None) -> None:
        # Between any two steps of the cell's code, which may hold any lock: all that takes
        # one is done by another thread, and `threading` itself has locks.
        __tracebackhide__ = True  # IPython's tracebacks end where the cell was
        running = [run for run, _ in self._running if run.cell]
        for run in running:
            session.halt(run)
            run.asked.acquire(blocking=False)
        try:
            _thread.start_new_thread(self._ask, (running,))
        except RuntimeError:  # no more threads: the cell's end does it
            self._asked(running)
        if self._previous is not None and not (running and running[-1].told):
            self._previous(number, frame)
            _wake()

    def _ask(self, running: list[Run]) -> None:
        try:
            for run in running:
                self._stop(run.cell)
        except RayError:
            pass  # the cluster ends at this moment
        finally:
            self._asked(running)

    @staticmethod
    def _asked(running: list[Run]) -> None:
        for run in running:
            _release(run.asked)
