"""Bars under a cell while it waits for more than a second.

Owns when bars appear, move and come to rest, and the one thread that draws
them. Does not own how they look (`nbray.view`) nor where they are drawn
(`live` in notebooks, `terminal`). Rule: the waiting call pays for two set
operations and no more; everything else happens in the thread, at most ten
times a second, and the thread sleeps, and soon ends, while nothing waits.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Self

from nbray import session
from nbray.engine import Engine
from nbray.events import Snapshot
from nbray.exceptions import RayError
from nbray.jupyter.notebook import Notebook, current
from nbray.jupyter.printed.router import Router
from nbray.jupyter.waiting.bars import Bars, ConsoleBars, NotebookBars, Surface
from nbray.jupyter.waiting.receipt import Receipts
from nbray.jupyter.waiting.terminal import TerminalBars, attributed

DELAY = 1.0
"""Seconds of waiting after which bars appear."""
DRAW = 0.1
"""Seconds between drawings."""
LOOK = 0.25
"""Seconds between looks at how long the waiting has lasted."""
LINGER = 2.0
"""Seconds a finished bar stays a widget, in case its cell goes on submitting."""
IDLE = 5.0
"""Seconds without any wait after which the thread ends."""
SETTLE = 0.2
"""Seconds a cell's end waits for the last counts, if bars are shown."""


class Wait:
    """One blocking call; the watch looks at it from its thread."""

    __slots__ = ("_at_once", "_watch", "cell", "since")

    def __init__(self, watch: WorkWatch, at_once: bool = False) -> None:
        self._watch = watch
        self._at_once = at_once

    def __enter__(self) -> Self:
        watch = self._watch
        self.cell = session.cell.get()
        self.since = watch.clock()
        if self._at_once:
            self.since -= DELAY
        watch.waits.add(self)
        if watch.parked:
            watch.wake()
        return self

    def resume(self) -> None:
        """It waits (again)."""
        watch = self._watch
        watch.waits.add(self)
        if watch.parked:
            watch.wake()

    def pause(self) -> None:
        """It does something else for a moment: bars in a terminal make room for what is printed."""
        watch = self._watch
        watch.waits.discard(self)
        bars = watch.bars.get(self.cell)
        if bars is not None and bars.surface.eager:
            with watch.lock:
                bars.surface.erase()

    def __exit__(self, *_: object) -> None:
        watch = self._watch
        watch.waits.discard(self)
        if watch.bars:
            watch.wait_ended(self.cell)
        if watch.held_back:
            watch.flush()


class WorkWatch:
    """All blocking calls of the process and the bars they have brought up.

    Args:
        snapshot: the engine's snapshot, or None where there is no engine.
        surface: where the bars of a cell are drawn.
        clock: monotonic seconds, the same as of `CellView.started`.
    """

    def __init__(
        self,
        snapshot: Callable[[], Snapshot | None],
        surface: Callable[[str], Surface],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self.waits: set[Wait] = set()
        self.bars: dict[str, Bars] = {}
        self.parked = True
        self.held_back: Sequence[object] = ()
        """What was printed and is shown when the wait ends, by `flush`."""
        self.flush: Callable[[], None] = lambda: None
        self._snapshot = snapshot
        self._surface = surface
        self._rested: dict[str, Bars] = {}
        self.lock = threading.RLock()
        self._wakeup = threading.Event()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def __call__(self, at_once: bool = False) -> Wait:
        """The context manager for one blocking call; *at_once*: its bars need no delay."""
        return Wait(self, at_once)

    def wake(self) -> None:
        """Something waits: look at it from now on."""
        with self.lock:
            self.parked = False
            self._wakeup.set()
            if self._thread is None and not self._stopped:
                self._thread = threading.Thread(
                    target=self._run, name="nbray-progress", daemon=True
                )
                self._thread.start()

    def stop(self) -> None:
        """End the thread; bars stay as they are."""
        self._stopped = True
        self._wakeup.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopped:
            try:
                pause = self.tick()
            except Exception as error:  # noqa: BLE001 - a thread's edge: the work must go on
                sys.stderr.write(f"nbray: progress bars stopped: {error!r}\n")
                self._stopped = True
                return
            if pause is not None:
                time.sleep(pause)
            elif self._wakeup.wait(IDLE):
                self._wakeup.clear()
            else:
                with self.lock:
                    if self.parked and not self._wakeup.is_set():
                        self._thread = None
                        return

    def tick(self) -> float | None:
        """Bring up, move and end bars; seconds until the next look (None: nothing waits)."""
        with self.lock:
            now = self.clock()
            waiting = {wait.cell for wait in self.waits.copy() if now - wait.since >= DELAY}
            for cell in waiting - self.bars.keys():
                rested = self._rested.get(cell)
                self._rested.pop(cell, None)
                self.bars[cell] = rested or Bars(cell, self._surface(cell))
            if self.bars:
                snapshot = self._look()
                for bars in list(self.bars.values()):
                    self._move(bars, snapshot, bars.cell in waiting, now)
            if self.bars:
                return DRAW
            if self.waits:
                return LOOK
            self.parked = True
            # A call that came before `parked` was set found no one to wake.
            return LOOK if self.waits else None

    def count(self, engine: Engine) -> None:
        """*engine* is about to end: what has ended so far will not be known afterwards."""
        with self.lock:
            if not self.bars:
                return
            try:
                snapshot = engine.insight.snapshot()
            except (RayError, OSError):  # it is gone already
                return
            for bars in self.bars.values():
                bars.look(snapshot, waiting=False)

    def _look(self) -> Snapshot | None:
        try:
            return self._snapshot()
        except (RayError, OSError):  # the engine is going down under us
            return None

    def _move(self, bars: Bars, snapshot: Snapshot | None, waiting: bool, now: float) -> None:
        view = bars.look(snapshot, waiting)
        if view is None:
            if not waiting:
                del self.bars[bars.cell]
            return
        if waiting or not view.finished:
            bars.idle_since = None
        elif bars.idle_since is None:
            bars.idle_since = now
        if bars.idle_since is not None and (bars.cell_ended or now - bars.idle_since >= LINGER):
            self._rest(bars, now)
        elif waiting or not bars.surface.eager:
            bars.draw(now)

    def _rest(self, bars: Bars, now: float) -> None:
        bars.end(now)
        del self.bars[bars.cell]
        if not bars.cell_ended:  # the cell may wait again, in the same place
            bars.idle_since = None
            self._rested[bars.cell] = bars

    @contextmanager
    def aside(self) -> Iterator[bool]:
        """Take the bars off the terminal while something is printed; the next tick redraws."""
        with self.lock:
            for bars in self.bars.values():
                bars.surface.erase()
            yield bool(self.bars)

    def wait_ended(self, cell: str) -> None:
        """A wait of *cell* is over. In a terminal its bars end with it."""
        bars = self.bars.get(cell)
        if bars is None or not bars.surface.eager:
            return
        with self.lock:
            if any(wait.cell == cell for wait in self.waits.copy()):
                return  # another thread of the cell still waits
            if self._settle(bars):
                bars.end(self.clock())
            else:
                bars.surface.erase()
            self.bars.pop(cell, None)

    def cell_ended(self, cell: str) -> None:
        """*cell* is over: its bars come to rest now, or when its work does."""
        with self.lock:
            self._rested.pop(cell, None)
            bars = self.bars.get(cell)
            if bars is None:
                return
            bars.cell_ended = True
            if self._settle(bars):
                bars.end(self.clock())
                del self.bars[cell]
            elif bars.view is not None:
                bars.keep(self.clock())

    def _settle(self, bars: Bars) -> bool:
        """Whether the work is finished; the last counts may come in a moment late."""
        until = time.monotonic() + SETTLE
        while True:
            view = bars.look(self._look(), waiting=False)
            if view is None or view.finished:
                return view is not None
            if time.monotonic() >= until:
                return False
            time.sleep(0.01)


def _current_snapshot() -> Snapshot | None:
    engine = session.live()
    return engine.insight.snapshot() if engine is not None else None


def _unfinished(cell: str) -> int:
    engine = session.current()
    return engine.cells.unfinished(cell) if engine is not None else 0


class Watching:
    """The watch of one notebook, or terminal, and how it is hung into the session."""

    def __init__(self, notebook: Notebook) -> None:
        self._notebook = notebook
        self._cells = notebook.cells
        self.watch: WorkWatch | None = None
        self.receipts: Receipts | None = None
        self.router: Router | None = None
        self.trailed: Counter[str] = Counter()
        """Cells under which jobs are shown that have not ended, by how many."""
        self._engine: Engine | None = None

    def install(self, snapshot: Callable[[], Snapshot | None]) -> bool:
        own = self._notebook.attach().cells
        if self.watch is not None:
            return True
        if own.kernel is not None:
            bars = NotebookBars if own.updates else ConsoleBars
            self.watch = watch = WorkWatch(snapshot, lambda cell: bars(own, cell))
            own.on_end.append(self.watch.cell_ended)
            self.receipts = Receipts(own, snapshot)
            own.at_end.append(self.receipts.cell_ended)
            router = self.printed()
            watch.held_back, watch.flush = router.lines.text, router.wait_ended
            own.on_end.append(router.cell_ended)
            session.on_install.append(self.route)
            self.route(session.current())
        elif sys.stderr is not None and sys.stderr.isatty():
            self.watch = WorkWatch(snapshot, lambda _cell: TerminalBars())
            own.aside = self.watch.aside
            session.on_install.append(self._print_aside)
            self._print_aside(session.current())
        else:
            return False
        session.watch_waits(self.watch)
        return True

    def printed(self) -> Router:
        """What takes what tasks print."""
        if self.router is None:
            self.router = Router(self._cells, self._yet, waiting=self._waits)
        return self.router

    def _yet(self, cell: str) -> int:
        return 1 if self.trailed[cell] else _unfinished(cell)

    def _waits(self) -> bool:
        return self.watch is not None and bool(self.watch.waits)

    def _print_aside(self, engine: Engine | None) -> None:
        """Let what tasks print pass by the bars, unless the user wants none of it."""
        asked = session.started_with()
        if engine is not None and (asked is None or asked.log_to_driver):
            engine.cells.on_output(
                lambda output: self._cells.stream(
                    output.cell, attributed(output), getattr(output, "stream", "stdout")
                )
            )

    def route(self, engine: Engine | None) -> None:
        """Have what *engine*'s tasks print come under their cells, unless none of it is wanted."""
        router = self.router
        asked = session.started_with()
        if router is None:
            return
        last, self._engine = self._engine, engine
        if engine is None:
            if self.watch is not None and last is not None:
                self.watch.count(last)
            router.flush()
        elif asked is None or asked.log_to_driver:
            engine.cells.on_output(router)

    def uninstall(self) -> None:
        router, self.router = self.router, None
        if router is not None and self.route in session.on_install:
            session.on_install.remove(self.route)
            self._cells.on_end.remove(router.cell_ended)
            engine = session.current()
            if engine is not None:
                engine.cells.on_output(None)
        watch = self.watch
        if watch is None:
            return
        self.watch = None
        if self._cells.aside == watch.aside:
            self._cells.aside = lambda: nullcontext(False)
            session.on_install.remove(self._print_aside)
        if watch.cell_ended in self._cells.on_end:
            self._cells.on_end.remove(watch.cell_ended)
        if self.receipts is not None and self.receipts.cell_ended in self._cells.at_end:
            self._cells.at_end.remove(self.receipts.cell_ended)
        self.receipts = None
        watch.stop()
        if session.watcher() is watch:
            session.watch_waits(None)


def install(snapshot: Callable[[], Snapshot | None] = _current_snapshot) -> bool:
    """Show bars for long waits from now on, in a notebook or on a terminal. Idempotent.

    Returns:
        False where there is nothing to draw on (a script whose stderr is no terminal).
    """
    return current().part(Watching).install(snapshot)


def uninstall() -> None:
    """Show no more bars."""
    current().part(Watching).uninstall()


def router() -> Router:
    """What takes tasks' output in this notebook."""
    return current().part(Watching).printed()


def trailing(cell: str) -> Callable[[], None]:
    """Output of a job may yet come under *cell*, until what this returns is called."""
    trailed = current().part(Watching).trailed
    trailed[cell] += 1

    def end() -> None:
        trailed[cell] -= 1

    return end
