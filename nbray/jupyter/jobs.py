"""Named jobs in a notebook: their output and bars under a cell, `%nbray jobs`, their end.

Owns the showing. Does not own the jobs (`nbray.jobs`), the look (`nbray.view`)
nor the drawing (`router`, `bars`). Rule: a job's output appears under the cell
that launched it while that notebook lives, and under every cell that fetches it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

from nbray import api, jobs, session
from nbray.clusters.local import Local
from nbray.config import Owner
from nbray.details import JobRecord
from nbray.engine import Engine
from nbray.events import Snapshot
from nbray.exceptions import RayError
from nbray.ids import node_of
from nbray.jobs.keeper import News
from nbray.jupyter.notebook import current
from nbray.jupyter.waiting import progress
from nbray.jupyter.waiting.bars import Bars, NotebookBars, Surface
from nbray.jupyter.waiting.following import follow
from nbray.jupyter.waiting.terminal import TerminalBars
from nbray.view.jobs import jobs_html, jobs_text

STAYS = (
    "This cluster stays when the notebook ends: in another one, %nbray attach and "
    'nbray.fetch("{}").\n'
    "It ends when all its jobs have been fetched or forgotten and nobody is attached any more, or\n"
    "with %nbray stop."
)
PATIENCE = 1.0
"""Seconds of waiting after which bars appear, as with any wait."""
STEP = 0.5
"""Seconds between looks at a job that nobody waits for."""
LOOKING = 2.0
"""Seconds in which nodes must have said who is attached."""


class JobDisplay:
    """A job under the cell that fetches it (see `nbray.jobs.Show`)."""

    def __init__(self) -> None:
        self._cell = session.cell.get()
        own = current().cells
        surface: Surface = (
            NotebookBars(own, self._cell) if own.kernel is not None else TerminalBars()
        )
        self._bars = Bars(self._cell, surface)
        self._began = time.monotonic()
        self._clock = 0.0
        self._state = ""

    def news(self, news: News) -> None:
        """Draw what was printed, and the bars once it takes longer."""
        draw(news, self._cell)
        record = news.record
        view = msgspec.structs.replace(record.view, cell=self._cell)
        self._bars.look(Snapshot(cells={self._cell: view}), waiting=False)
        self._clock = record.clock
        self._state = record.state
        if not record.ended and time.monotonic() - self._began >= PATIENCE:
            self._bars.draw(self._clock)

    def end(self) -> None:
        """The bars come to rest as they are."""
        if self._bars.view is not None and self._bars.view.submitted:
            self._bars.end(self._clock)

    def outputs(self, values: dict[str, Any]) -> None:
        """Assign the job's `-o` variables."""
        current().cells.shell.user_ns.update(values)


def show() -> JobDisplay | None:
    """A place under the running cell; None where no shell has loaded the extension."""
    return JobDisplay() if current().cells.shell is not None else None


def draw(news: News, cell: str) -> None:
    """What was printed, under *cell*."""
    router = progress.router()
    for event in news.events:
        router(msgspec.structs.replace(event, cell=cell))


# -- under the cell that launched it ---------------------------------------------------------


def trail(job: jobs.Job) -> None:
    """Show what *job* prints under the running cell from now on."""
    cell = session.cell.get()
    if current().cells.shell is None or getattr(session.current(), "name", "") == "inline":
        return
    over = progress.trailing(cell)

    def run() -> None:
        position = 0
        try:
            while True:
                news = job.news(position)
                draw(news, cell)
                position = news.position
                if news.record.ended and not news.more:
                    return
                if not news.more:
                    time.sleep(STEP)
        except (RayError, OSError, ValueError):
            return  # forgotten, or the cluster has ended: nothing comes any more
        finally:
            over()

    threading.Thread(target=run, name=f"nbray-job-{job.name}", daemon=True).start()


# -- %nbray jobs --------------------------------------------------------------------------------


class Table:
    """The jobs as they were when asked."""

    def __init__(self, found: list[JobRecord]) -> None:
        self.jobs = found
        self._now = time.time()

    def __repr__(self) -> str:
        return jobs_text(self.jobs, self._now)

    def _repr_html_(self) -> str:
        return jobs_html(self.jobs, self._now)

    def _look(self) -> tuple[str, str, bool]:
        now = Table(jobs.records())
        return now._repr_html_(), repr(now), any(not one.ended for one in now.jobs)

    def _ipython_display_(self) -> None:
        """Where displays can be updated, it goes with the jobs that run to their end.

        Raises:
            NotImplementedError: none does, or they cannot: IPython then shows it as it is.
        """
        if all(one.ended for one in self.jobs) or not follow(self._look):
            raise NotImplementedError


def table() -> Table:
    """All jobs of the cluster."""
    return Table(jobs.records())


def stop(name: str) -> str:
    """`%nbray jobs stop NAME`; what happened."""
    count = jobs.find(name).stop()
    if not count:
        return f"The job {name} has ended already."
    return f"The job {name} is stopped: {count} task{'' if count == 1 else 's'} cancelled."


def forget(name: str) -> str:
    """`%nbray jobs forget NAME`; what happened."""
    jobs.find(name).forget()
    return f"The job {name} is forgotten, with its result and its output."


def stop_all(everybodys: bool = False) -> str:
    """`%nbray stop`: leave the cluster, and end it if it is this notebook's; what happened.

    `nbray.shutdown()` leaves alone what outlives its notebook; clusters of the
    command line are left to `nbray stop`. A cluster that this notebook has attached to is
    left, too, while other notebooks or programs use it.

    Args:
        everybodys: end it all the same.
    """
    engine, asked = session.current(), session.started_with()
    attached = engine is not None and asked is not None and asked.address not in {"", "local"}
    directory = engine.context.runtime().session_dir if engine is not None else ""
    elsewhere = engine is not None and bool(engine.capabilities.nodes)
    launcher = Local()
    # Looked at before: afterwards nobody says what was running.
    record = launcher.of_directory(directory) if directory else None
    here = [record] if record is not None else []
    mine = here if everybodys else [record for record in here if record.owner is Owner.DETACHED]
    others = _others(engine) if attached and mine and not everybodys and engine else 0
    if others:
        mine = []
    running = []
    if mine:
        with contextlib.suppress(RayError, OSError):
            running = [record.name for record in jobs.records() if not record.ended]
    api.shutdown()
    for record in mine:
        launcher.remove(record)
    if running:
        return f"nbray has stopped, and with it what ran in the background: {', '.join(running)}."
    if attached and elsewhere:
        return "This notebook has left the cluster, which goes on: it ends where it was started."
    if attached and not mine:
        return _left(here[0].head_address if here else "", others)
    return "nbray has stopped."


def _left(address: str, others: int) -> str:
    users = {0: "", 1: " (another program uses it)"}.get(others, f" ({others} other programs do)")
    again = f"%nbray attach {address}".strip()
    return (
        f"This notebook has left the cluster, which goes on{users}. "
        f"If it is to end for all: {again}, then %nbray stop --cluster."
    )


def _others(engine: Engine) -> int:
    """How many other notebooks and programs are attached to the cluster of *engine*."""
    deadline = time.monotonic() + LOOKING
    while True:
        details = engine.insight.details(0)
        drivers = [one.client for one in details.processes if one.driver]
        if details.me in drivers or time.monotonic() > deadline:
            # Numbers of processes say something on their own machine only.
            return sum(
                one.driver
                and one.client != details.me
                and not (node_of(one.client) == node_of(details.me) and _looks_only(one.pid))
                for one in details.processes
            )
        time.sleep(STEP / 4)


def _looks_only(pid: int) -> bool:
    """Whether a process here is a screen of nbray's own: the dashboard, or the sidebar's."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"nbray.dashboard" in command or b"nbray.jupyter.server" in command
