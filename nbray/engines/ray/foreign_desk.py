"""Work that the engine did not submit, in a driver: followed, shown as waiting, and stopped.

Owns the thread that asks Ray's head, and when it asks. Does not own the books (`foreign`), what is
asked (`states`) nor how submissions are noticed (`submissions`). Rules: where nothing but the
engine submits, nothing is asked; asking takes at most a twentieth of the thread's time, however
much there is to tell.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import ray

from nbray import session
from nbray.engines.ray import private
from nbray.engines.ray.cluster import RayCluster
from nbray.engines.ray.foreign import Foreign, Unit
from nbray.engines.ray.states import RUNS, Registry, registry
from nbray.engines.ray.submissions import Submissions
from nbray.events import CellView

SOON, SELDOM, STOPPING = 0.4, 2.0, 0.1
"""Seconds between two askings: while something goes on, while only actors live, after a Stop."""
SHARE = 20
"""How many times as long as an asking takes is the least pause after it."""
ACTIVE = 3.0
"""Seconds after a submission for which the head may not have heard of it."""
STOPPED = 3.0
"""Seconds after a Stop within which what of the cell begins is ended as well."""


class ForeignDesk:
    """Of one driver."""

    def __init__(self, cluster: RayCluster) -> None:
        self._cluster = cluster
        self._books = Foreign()
        self._lock = threading.Lock()
        self._submissions = Submissions(self)
        self._head: Registry | None = None
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._over = False
        self._noticed = 0.0
        self._living = False
        """There are actors that are not the engine's."""
        self._waits: dict[str, Any] = {}
        """Cells whose work is waited for by code that is not nbray's."""
        self._stops: dict[str, tuple[float, bool]] = {}
        """Cells that are being stopped: until when, and whether by force."""

    def begin(self) -> None:
        """Notice what is submitted from now on."""
        # Tune's own answer to Stop lets trials run on until they report, and hides it from others.
        os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
        self._submissions.begin()

    def end(self) -> None:
        """Notice nothing more."""
        self._submissions.end()
        self._over = True
        self._wake.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(1.0)

    # -- what the driver's code does, in its threads

    def turn(self, cell: str) -> None:
        """See `submissions.Notes`."""
        with self._lock:
            self._books.turn(cell, time.time())

    def submitted(self, task: bytes, cell: str) -> None:
        """See `submissions.Notes`."""
        with self._lock:
            self._books.submitted(task, cell)
        self._notice()

    def made(self, actor: bytes, cell: str, label: str, own: bool) -> None:
        """See `submissions.Notes`."""
        with self._lock:
            self._books.made(actor, cell, label, own)
        if not own:
            self._living = True
            self._notice()

    def called(self) -> None:
        """See `submissions.Notes`."""
        if self._living:
            self._notice()

    def _notice(self) -> None:
        self._noticed = time.monotonic()
        if self._thread is None and not self._over:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._run, name="nbray-foreign", daemon=True
                    )
                    self._thread.start()
        if not self._wake.is_set():
            self._wake.set()

    # -- the thread

    def _run(self) -> None:
        try:
            job = str(ray.get_runtime_context().get_job_id())
            self._head = registry(self._cluster.address, job)
            while self._head is not None and not self._over:
                began = time.monotonic()
                self._look(self._head)
                took = time.monotonic() - began
                pause = self._pause()
                self._wake.clear()
                if pause is None:
                    self._wake.wait()
                elif pause > SOON:
                    self._wake.wait(max(pause, SHARE * took))
                else:
                    time.sleep(max(pause, min(SHARE * took, SELDOM)))
        except Exception:  # noqa: BLE001 - a thread's edge: reported, the work goes on
            if not self._over and ray.is_initialized():
                traceback.print_exc(file=sys.__stderr__)
        finally:
            self._leave_waits(set())
            if self._head is not None:
                self._head.close()

    def _pause(self) -> float | None:
        now = time.monotonic()
        with self._lock:
            for cell in [one for one, (until, _) in self._stops.items() if now > until]:
                del self._stops[cell]
            if self._stops:
                return STOPPING
            if self._books.busy() or now - self._noticed < ACTIVE:
                return SOON
            return SELDOM if self._books.alive() else None

    def _look(self, asked: Registry) -> None:
        with self._lock:
            unknown = list(self._books.unknown)
        try:
            tasks, actors = asked.tasks(), asked.actors(unknown)
        except Exception:  # noqa: BLE001 - whatever gRPC raises: the head is busy, or has gone
            if self._over or not ray.is_initialized():
                return
            time.sleep(SOON)
            return
        now = time.time()
        with self._lock:
            self._books.look(tasks, actors, now)
            busy = set(self._books.busy())
            self._living = self._books.alive()
            stops = dict(self._stops)
        self._wait_for(busy)
        for cell, (_, force) in stops.items():
            if cell in busy:
                self._stop(cell, force)

    def _wait_for(self, busy: set[str]) -> None:
        """Bars are for who waits: a cell whose work goes on waits for it, whoever's call it is."""
        watch = session.watcher()
        self._leave_waits(busy)
        if watch is None:
            return
        for cell in busy - self._waits.keys():
            if not cell:
                continue
            token = session.cell.set(cell)
            try:
                self._waits[cell] = watch(at_once=True)
                self._waits[cell].__enter__()
            finally:
                session.cell.reset(token)

    def _leave_waits(self, busy: set[str]) -> None:
        for cell in self._waits.keys() - busy:
            with contextlib.suppress(Exception):  # its notebook has gone
                self._waits.pop(cell).__exit__(None, None, None)

    # -- stopping

    def cancel(self, cell: str, force: bool) -> int:
        """End what *cell* has going on; how much that is."""
        with self._lock:
            units = self._books.unfinished(cell)
            if not units and time.monotonic() - self._noticed > ACTIVE:
                return 0
            self._stops[cell] = (time.monotonic() + STOPPED, force)
        self._wake.set()
        self._stop(cell, force)
        return len(units)

    def _stop(self, cell: str, force: bool) -> None:
        with self._lock:
            units = self._books.unfinished(cell)
            ends = {unit.actor for unit in units if self._ends(unit, cell, force)}
            self._books.stopped |= {unit.key for unit in units}
        if self._head is not None and ends:
            self._head.kill(ends)
        for unit in units:
            if unit.driver and unit.actor not in ends:
                with contextlib.suppress(ValueError, TypeError, ray.exceptions.RayError):
                    ray.cancel(
                        private.reference_of(unit.key), force=force and not unit.actor,
                        recursive=True,
                    )

    def _ends(self, unit: Unit, cell: str, force: bool) -> bool:
        """Whether a Stop of *cell* ends the actor whose work *unit* is."""
        actor = self._books.actors.get(unit.actor)
        if actor is None or actor.own or actor.serves:
            return False
        return actor.cell == cell and (actor.library or (force and unit.does == RUNS))

    # -- looking

    def unfinished(self, cell: str) -> int:
        """How much of *cell* has not ended."""
        with self._lock:
            return len(self._books.unfinished(cell))

    def view(self, cell: str) -> CellView | None:
        """What screens show of *cell*."""
        with self._lock:
            return self._books.view(cell, time.time(), time.monotonic(), *self._names)

    def views(self) -> dict[str, CellView]:
        """And of all."""
        with self._lock:
            cells = list(self._books.cells)
        return {cell: view for cell in cells if (view := self.view(cell)) is not None}

    @property
    def _names(self) -> tuple[Callable[[str], int], Callable[[str], str], Callable[[str], float]]:
        cluster = self._cluster
        return cluster.number, cluster.name, cluster.cpus
