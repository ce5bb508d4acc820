"""Named background jobs: launched once, fetched by name from any process of the cluster.

Owns finding, following and ending them. Does not own a job (`keeper`, an actor)
nor the screens (`nbray.jupyter.jobs`). Rules: asking about a job never counts
as work of the cell that asks; a job's result is there until it is forgotten,
or until its name is used again after it was fetched.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from nbray import api, session
from nbray.actor import ActorHandle
from nbray.details import JobRecord, JobState
from nbray.events import Display
from nbray.exceptions import ActorUnavailableError, GetTimeoutError, OwnerDiedError, RayError
from nbray.figures import duration
from nbray.ids import FIRST_NODE, OWN_CELL
from nbray.jobs.keeper import Keeper, News, Plan
from nbray.jobs.results import fetched_of, outputs_of
from nbray.refs import ObjectRef
from nbray.remote import remote

NAMESPACE = "nbray.jobs"
"""Where the keepers' names are."""
PAUSES = (0.02, 0.3)
"""Seconds between two questions to a keeper: at first, and in the long run."""
TIDYING = 2.0
"""Seconds that a keeper has to give back what it keeps when its job could not be launched."""


class Job:
    """A named job that exists."""

    def __init__(self, name: str, keeper: ActorHandle) -> None:
        self.name = name
        self._keeper = keeper

    def news(self, position: int = 0) -> News:
        """How it is, and what it has printed since *position* (below 0: nothing of it)."""
        found: News = _ask(self._keeper.news, position)
        return found

    def record(self) -> JobRecord:
        """How it is."""
        return self.news(-1).record

    def lost(self) -> OwnerDiedError | None:
        """That its keeper has died, and all but its output with it; None while it has not."""
        record = self.record()
        return _lost(record) if record.state is JobState.LOST else None

    def result(self) -> tuple[list[ObjectRef[Any]], tuple[str, ...], bool]:
        """See `Keeper.result`."""
        found: tuple[list[ObjectRef[Any]], tuple[str, ...], bool] = _ask(self._keeper.result)
        return found

    def stop(self) -> int:
        """Cancel what has not ended; how many tasks that were."""
        count: int = _ask(self._keeper.stop)
        return count

    def was_fetched(self) -> None:
        """Note that somebody has the result."""
        _ask(self._keeper.was_fetched)

    def forget(self) -> None:
        """End it, with its result and output."""
        with contextlib.suppress(RayError):  # a keeper that has died is as good as forgotten
            _ask(self._keeper.forget)
        api.kill(self._keeper)


@contextlib.contextmanager
def _aside() -> Iterator[None]:
    token = session.cell.set(OWN_CELL)
    try:
        yield
    finally:
        session.cell.reset(token)


def _ask(method: Any, *args: Any) -> Any:
    """What a keeper answers; asks again one that dies meanwhile and comes back."""
    with _aside():
        while True:
            try:
                return api.get(method.remote(*args))
            except ActorUnavailableError:
                time.sleep(PAUSES[1])


def find(name: str) -> Job:
    """The job called *name*.

    Raises:
        ValueError: there is none; says which there are.
    """
    try:
        return Job(name, api.get_actor(name, namespace=NAMESPACE))
    except ValueError:
        known = names()
        there = f"there are {', '.join(known)}" if known else "there are none on this cluster"
        raise ValueError(f"no job is called {name!r}: {there}") from None


def names() -> list[str]:
    """The names of all jobs of the cluster."""
    found = session.require().actors.names(True)
    return sorted(name for namespace, name in found if namespace == NAMESPACE)


def records() -> list[JobRecord]:
    """All jobs of the cluster, the one launched last first."""
    found = []
    for name in names():
        with contextlib.suppress(ValueError, RayError):  # it ended meanwhile
            found.append(find(name).record())
    return sorted(found, key=lambda record: -record.started)


def launch(plan: Plan, large: Sequence[ObjectRef[Any]] = ()) -> tuple[Job, bool]:
    """Start a job; (itself, whether the cluster is kept from ending by it).

    Raises:
        ValueError: a job of this name runs, or has a result that nobody has fetched.
    """
    if plan.name in names():
        _make_room(plan.name)
    options = {
        "name": plan.name, "namespace": NAMESPACE, "lifetime": "detached", "num_cpus": 0,
        "node": FIRST_NODE, "max_restarts": -1,
    }  # fmt: skip
    with _aside():
        keeper = remote(Keeper).options(**options).remote()
    job = Job(plan.name, keeper)
    try:
        handed_over: bool = _ask(keeper.launch, plan, *large)
    except BaseException:
        try:
            with contextlib.suppress(RayError), _aside():  # it may be what does not answer
                api.get(keeper.forget.remote(), timeout=TIDYING)
        finally:
            api.kill(keeper)
        raise
    return job, handed_over


def _make_room(name: str) -> None:
    old = find(name)
    record = old.record()
    if not record.ended:
        raise ValueError(
            f"the job {name} runs already: nbray.fetch({name!r}) waits for it, "
            f"%nbray jobs stop {name} ends it"
        )
    if not record.fetched and record.state is JobState.DONE:
        raise ValueError(
            f"the job {name} has a result that nobody has fetched: nbray.fetch({name!r}) gives "
            f"it, %nbray jobs forget {name} drops it"
        )
    old.forget()


class Show(Protocol):
    """Takes a job's output and progress to where they are seen."""

    def news(self, news: News) -> None:
        """What has happened."""

    def end(self) -> None:
        """Nobody looks any more."""

    def outputs(self, values: dict[str, Any]) -> None:
        """The job's `-o` variables."""


class Plain:
    """A script: text on its own streams."""

    def news(self, news: News) -> None:
        """Print what was printed."""
        for event in news.events:
            if isinstance(event, Display):
                text, stream = f"{event.data.get('text/plain', '')}\n", sys.stdout
            else:
                text, stream = event.text, sys.stderr if event.stream == "stderr" else sys.stdout
            if stream is not None:  # None: the program was started without it
                stream.write(text)

    def end(self) -> None:
        """Nothing is open."""

    def outputs(self, values: dict[str, Any]) -> None:
        """A script has the value only."""


def _show() -> Show:
    """Where this process shows things."""
    shown: Show | None = session.screens().job()
    return shown if shown is not None else Plain()


def fetch(name: str, timeout: float | None = None) -> Any:
    """See `nbray.fetch`."""
    if timeout is not None and (isinstance(timeout, bool) or not timeout >= 0):
        raise ValueError(f"timeout must be at least 0 seconds, not {timeout!r}")
    job = find(name)
    until = None if timeout is None else time.monotonic() + timeout
    show = _show()
    try:
        record = _follow(job, show, until)
        if not record.ended:
            raise GetTimeoutError(_runs(record))
        if record.state is JobState.LOST:
            raise _lost(record)
        refs, outputs, several = job.result()
        try:
            results = api.get(refs)
        except Exception:
            job.was_fetched()
            raise
    finally:
        show.end()
    job.was_fetched()
    show.outputs(outputs_of(results, outputs, several))
    return fetched_of(results, outputs, several)


def _follow(job: Job, show: Show, until: float | None) -> JobRecord:
    """Show what it prints until it has ended, or until *until*."""
    position, pause = 0, PAUSES[0]
    while True:
        news = job.news(position)
        show.news(news)
        position = news.position
        if news.more:
            continue
        left = PAUSES[1] if until is None else until - time.monotonic()
        if news.record.ended or left <= 0:
            return news.record
        time.sleep(min(pause, left))
        pause = PAUSES[0] if news.events else min(1.5 * pause, PAUSES[1])


def _lost(record: JobRecord) -> OwnerDiedError:
    return OwnerDiedError(
        f"the job {record.name} is lost, and its result with it: its keeper on {record.node}, the "
        "process that owned its tasks, died. What they had printed before is kept. Run its cell "
        f"again, or drop it with %nbray jobs forget {record.name}"
    )


def _runs(record: JobRecord) -> str:
    view = record.view
    tasks = f"{view.done + view.failed} of {view.submitted} tasks have ended"
    what = tasks if view.submitted > 1 else record.line
    verb = "waits for a free worker" if record.state is JobState.WAITING else "still runs"
    return f"the job {record.name} {verb}, {duration(record.seconds)} after its start: {what}"
