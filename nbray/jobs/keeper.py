"""The keeper of one named job: an actor that owns its tasks, results and output.

Owns the job from its launch until it is forgotten. Does not own names (the
actors' directory) nor what is shown. Rules: nothing that the job needs belongs
to whoever launched it, so it goes on when that process is gone; while its
result has not been fetched, the cluster stays.

The tasks are the keeper's own (see `Cells.on_output`): what they print comes
here, and they are counted under a cell of the job's own.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import msgspec

from nbray import api, session
from nbray.details import JobRecord, JobState
from nbray.engine import Function
from nbray.events import CellView, Display, Output
from nbray.jobs.journal import Journal
from nbray.options import TaskOptions
from nbray.refs import ObjectRef
from nbray.remote import RemoteFunction

LOOK = 0.25
"""Seconds between looks at what has ended and what was printed."""
SETTLING = 3.0
"""Longest wait for the counts of what has ended."""


class Part(msgspec.Struct, frozen=True):
    """Some of a job's tasks: one function, called once for each of *calls*."""

    call: Callable[..., Any]
    options: TaskOptions
    calls: list[tuple[Any, ...]]
    """Arguments; the job's large values follow them."""


class Plan(msgspec.Struct, frozen=True):
    """A job to be launched."""

    name: str
    line: str
    """The first line of its code."""
    parts: list[Part]
    outputs: tuple[str, ...] = ()
    """Names of `-o`."""
    several: bool = False
    """Its results are lists."""


class News(msgspec.Struct, frozen=True):
    """A job as it is now, and what it has printed since."""

    record: JobRecord
    events: list[Output | Display]
    position: int
    """Where to read on."""
    more: bool
    """There is more to read now."""


class Note(msgspec.Struct, frozen=True):
    """What is known of a job whose keeper has died: it is kept in a file."""

    name: str
    line: str
    started: float


class Keeper:
    """One job. Methods never wait, but for `launch`, which copies what the job needs."""

    def __init__(self) -> None:
        engine = session.require()
        where = engine.context.runtime()
        folder = Path(where.session_dir or mkdtemp(prefix="nbray-job-")) / "jobs"
        self._note = folder / f"{where.actor_id or id(self)}.job"
        self._lost = self._note.exists()
        self._journal = Journal(self._note.with_suffix(".events"), again=self._lost)
        self._refs: list[ObjectRef[Any]] = []
        self._cell = where.actor_id
        self._plan = Plan("", "", [])
        self._stopped = False
        self._fetched = False
        self._started = time.time()
        self._ended = 0.0
        self._final: CellView | None = None
        self._clock = 0.0
        if self._lost:
            note = msgspec.json.decode(self._note.read_bytes(), type=Note)
            self._plan = Plan(note.name, note.line, [])
            self._started, self._ended = note.started, time.time()

    def launch(self, plan: Plan, *large: Any) -> bool:
        """Start the job's tasks; whether the cluster would have ended without it."""
        engine = session.require()
        handed_over = engine.cluster.outlive(True)
        self._plan = plan
        try:
            self._note.write_bytes(msgspec.json.encode(Note(plan.name, plan.line, self._started)))
        except OSError:  # the disk is full: should this process die, nobody knows the job
            with contextlib.suppress(OSError):
                self._note.unlink(missing_ok=True)
        self._cell = f"job {plan.name} {self._cell}"
        session.cell_labels[self._cell] = f"{plan.name}: {plan.line}"[:80]
        if engine.capabilities.processes:  # else everything is printed by the one process
            engine.cells.on_output(self._journal.add)
        token = session.cell.set(self._cell)
        try:
            # Copies of our own: what came belongs to a process that may end.
            own = [api.put(value) for value in large]
            for part in plan.parts:
                function = Function(part.call, plan.name)
                launcher = RemoteFunction(part.call, part.options, function).remote
                self._refs += [launcher(*values, *own) for values in part.calls]
        finally:
            session.cell.reset(token)
        threading.Thread(target=self._watch, name="nbray-job", daemon=True).start()
        return handed_over

    def _watch(self) -> None:
        left = self._refs
        while left:
            _, left = api.wait(left, num_returns=len(left), timeout=LOOK, fetch_local=False)
        self._ended = time.time()

    def _over(self) -> bool:
        """Whether all has ended; also has what was printed noted."""
        if not self._refs:
            return True
        ready, _ = api.wait(
            self._refs, num_returns=len(self._refs), timeout=0, fetch_local=False
        )
        return len(ready) == len(self._refs)

    def _record(self) -> JobRecord:
        over = self._over()
        view, clock = self._final, self._clock
        if view is None:
            view = self._view(over)
            clock = time.monotonic()
        if over and self._final is None:
            self._final, self._clock = view, clock
            self._ended = self._ended or time.time()
        ended = self._ended or time.time()
        return JobRecord(
            name=self._plan.name,
            line=self._plan.line,
            state=self._state(view, over),
            started=self._started,
            seconds=ended - self._started,
            node=socket.gethostname(),
            view=view,
            clock=clock,
            fetched=self._fetched,
        )

    def _view(self, over: bool) -> CellView:
        """The counts; where ends are told a moment after they came, that moment later."""
        cells = session.require().cells
        deadline = time.monotonic() + SETTLING
        while True:
            view = cells.view(self._cell) or CellView(self._cell)
            if not over or view.finished or time.monotonic() > deadline:
                return view
            time.sleep(0.02)

    def _state(self, view: CellView, over: bool) -> JobState:
        if self._lost:
            return JobState.LOST
        if not over:
            begun = view.running or view.done or view.failed
            return JobState.RUNNING if begun else JobState.WAITING
        if self._stopped and view.cancelled:
            return JobState.STOPPED
        return JobState.FAILED if view.failed else JobState.DONE

    def news(self, position: int = 0) -> News:
        """How it is, and what was printed after *position* (below 0: nothing of it)."""
        record = self._record()
        if position < 0:
            return News(record, [], position, False)
        events, position = self._journal.read(position)
        return News(record, events, position, position < self._journal.end)

    def result(self) -> tuple[list[ObjectRef[Any]], tuple[str, ...], bool]:
        """(references to what the tasks return, names of `-o`, whether they are several)."""
        return self._refs, self._plan.outputs, self._plan.several

    def stop(self) -> int:
        """Cancel what has not ended; how many tasks that were."""
        self._over()
        _, left = (
            api.wait(self._refs, num_returns=len(self._refs), timeout=0, fetch_local=False)
            if self._refs
            else ([], [])
        )
        self._stopped = self._stopped or bool(left)
        for ref in left:
            session.require().cancel(ref, False, True, interrupts=True)
        if left:
            session.require().cluster.outlive(False)  # there will be no result to stay for
        return len(left)

    def was_fetched(self) -> None:
        """Somebody has the result: the cluster need not stay for it."""
        self._fetched = True
        session.require().cluster.outlive(False)

    def forget(self) -> None:
        """Stop it and give back what it keeps; the actor may be ended then."""
        self.stop()
        session.require().cluster.outlive(False)
        self._refs = []
        self._note.unlink(missing_ok=True)
        self._journal.close()
