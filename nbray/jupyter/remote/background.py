"""The handle that `%%remote --bg` returns at once.

Owns the waiting for the cell's tasks and the single hand-over of their
results. Does not own what happens to results: its maker passes `assign`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from nbray import api, session
from nbray.details import JobState
from nbray.exceptions import ObjectLostError, RayError
from nbray.jobs import Job
from nbray.jupyter.waiting.following import follow
from nbray.refs import ObjectRef


class Background:
    """A cell that runs in the background.

    `.done()` asks, `.result()` waits, `.cancel()` ends it. Its `-o` variables are
    assigned by `.result()`, or by itself before the first cell run after its end.
    """

    def __init__(
        self, name: str, refs: list[ObjectRef[Any]], assign: Callable[[list[Any]], Any]
    ) -> None:
        self._name = name
        self._refs = refs
        self._assign = assign
        self._settled = False
        self._cell = session.cell.get()
        self._value: Any = None
        self._error: Exception | None = None

    def done(self) -> bool:
        """Whether all of it has ended, well or not."""
        return self._settled or self._ended() == len(self._refs)

    def result(self, timeout: float | None = None) -> Any:
        """What the cell would have shown; assigns its `-o` variables.

        Raises:
            RayTaskError: the cell's code raised.
            TaskCancelledError: it was cancelled.
            GetTimeoutError: it has not ended within *timeout* seconds.
        """
        if not self._settled:
            self._settle(self._results(timeout))
        if self._error is not None:
            raise self._error
        return self._value

    def cancel(self) -> None:
        """End its unfinished tasks. Other work goes on."""
        if not self._settled:
            for ref in self._refs:
                session.require().cancel(ref, False, True, interrupts=True)

    def collect(self) -> bool:
        """Settle if all has ended, without raising; whether it is settled."""
        if not self._settled:
            try:
                if not self.done():
                    return False
                self._settle(self._results(None))
            except Exception as error:  # noqa: BLE001 - the user's error, kept for result()
                self._settled, self._error = True, error
                kind = type(getattr(error, "cause", error)).__name__
                text = str(getattr(error, "cause", error)).splitlines()
                sys.stderr.write(
                    f"The background cell {self._name} failed: {kind}"
                    f"{': ' + text[0] if text else ''} (its .result() shows where)\n"
                )
        return True

    def _results(self, timeout: float | None) -> list[Any]:
        results: list[Any] = api.get(self._refs, timeout=timeout)
        return results

    def _settle(self, results: list[Any]) -> None:
        self._value = self._assign(results)
        self._settled = True
        self._refs = []

    def _ended(self) -> int:
        if not self._refs:
            return 0
        ready, _ = api.wait(
            self._refs, num_returns=len(self._refs), timeout=0, fetch_local=False
        )
        return len(ready)

    def _how(self) -> str:
        """How it ended, as far as is known before its results are looked at."""
        engine = session.current()
        view = engine.cells.view(self._cell) if engine is not None else None
        if view is None or not view.finished or view.submitted != len(self._refs):
            return ""
        parts = [f"{view.failed} failed"] if view.failed else []
        parts += [f"{view.cancelled} cancelled"] if view.cancelled else []
        return f", {', '.join(parts)}" if parts else ""

    def _look(self) -> tuple[str, str, bool]:
        state, moving = self._state()
        return "", self._said(state), moving

    def _ipython_display_(self) -> None:
        """Where displays can be updated, it is shown as it is until it has ended.

        Raises:
            NotImplementedError: it has, or they cannot: IPython then shows what `repr` says.
        """
        if self._settled or not follow(self._look):
            raise NotImplementedError

    def _state(self) -> tuple[str, bool]:
        """How far it is, and whether that will change."""
        if self._error is not None:
            return "failed", False
        if self._settled:
            return "done", False
        try:
            ended, count = self._ended(), len(self._refs)
            how = self._how() if ended == count else ""
        except RayError:
            return "gone: nbray was stopped", False
        return f"ended{how}" if how else f"{ended} of {count} done", ended < count

    def _said(self, state: str) -> str:
        return f"<background cell {self._name}: {state}>"

    def __repr__(self) -> str:
        return self._said(self._state()[0])


class NamedBackground(Background):
    """A named job, in the notebook that launched it. `nbray.fetch` has it elsewhere too."""

    def __init__(
        self, job: Job, refs: list[ObjectRef[Any]], assign: Callable[[list[Any]], Any]
    ) -> None:
        super().__init__(job.name, refs, assign)
        self._job = job

    def result(self, timeout: float | None = None) -> Any:
        """See `Background.result`; the cluster need not stay for it any more."""
        value = super().result(timeout)
        try:
            self._job.was_fetched()
        except RayError:
            pass  # forgotten or ended meanwhile: the value is here
        return value

    def _results(self, timeout: float | None) -> list[Any]:
        try:
            return super()._results(timeout)
        except ObjectLostError:
            lost = self._job.lost()
            if lost is None:
                raise
            raise lost from None

    def cancel(self) -> None:
        """End its unfinished tasks. Other work goes on."""
        if not self._settled:
            self._job.stop()

    def _how(self) -> str:
        try:
            record = self._job.record()
        except (RayError, ValueError):
            return ""
        bad = {JobState.FAILED, JobState.STOPPED, JobState.LOST}
        return f", {record.state}" if record.state in bad else ""

    def _said(self, state: str) -> str:
        return f"<job {self._name}: {state}>"
