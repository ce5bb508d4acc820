"""What this driver's own code, and Ray's libraries in it, hand to Ray: noted as it is submitted.

Owns what stands in the place of the three methods by which Ray's Python code submits. Does not own
what is made of it (`foreign`). Rules: what the engine itself submits passes at the cost of a call;
once a cell was stopped, its threads and coroutines submit nothing more through Ray either; a
release without these methods is left alone, and the head's records tell whose work is whose by
their times.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, Protocol

from nbray import session
from nbray.engines.ray import private
from nbray.engines.ray.foreign import OURS
from nbray.patches import Replaced


class Notes(Protocol):
    """Who is told; by any thread."""

    def turn(self, cell: str) -> None:
        """The code of *cell* submits, and that before it did not."""
        ...

    def submitted(self, task: bytes, cell: str) -> None:
        """A task that is not the engine's."""
        ...

    def called(self) -> None:
        """An actor is called, whoever's it is."""
        ...

    def made(self, actor: bytes, cell: str, label: str, own: bool) -> None:
        """An actor; see `foreign.Foreign.made`."""
        ...


class Submissions:
    """Of one process; *begin* and *end* may be called again."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._last: str | None = None
        self._put: list[Replaced] = []

    def begin(self) -> bool:
        """Note from now on; False: this release has other methods."""
        if self._put:
            return True
        homes = private.submitters()
        if homes is None:
            return False
        for home, wrap in zip(homes, (self._task, self._actor, self._call), strict=True):
            place = Replaced(home, "_remote")
            place.put(functools.wraps(home._remote)(wrap(place)))
            self._put.append(place)
        return True

    def end(self) -> None:
        """Leave Ray as it was."""
        for place in self._put:
            place.take_back()
        self._put = []

    def _turn(self) -> str:
        cell = session.cell.get()
        if cell != self._last and threading.current_thread().name[:5] != "nbray":
            self._last = cell
            self._notes.turn(cell)
        return cell

    def _task(self, place: Replaced) -> Callable[..., Any]:
        def submit(function: Any, *args: Any, **kwargs: Any) -> Any:
            cell = self._turn()
            if _module(getattr(function, "_function", None)).startswith(OURS):
                return place.before(function, *args, **kwargs)
            if session.halted:
                session.check_run()
            found = place.before(function, *args, **kwargs)
            task = private.task_of(found)
            if task:
                self._notes.submitted(task, cell)
            return found

        return submit

    def _actor(self, place: Replaced) -> Callable[..., Any]:
        def make(cls: Any, *args: Any, **kwargs: Any) -> Any:
            cell = self._turn()
            made = private.class_of(cls)
            own = any(_module(one).startswith(OURS) for one in getattr(made, "__mro__", ()))
            if session.halted and not own:
                session.check_run()
            found = place.before(cls, *args, **kwargs)
            given = kwargs.get("kwargs") or (args[1] if len(args) > 1 else None) or {}
            self._notes.made(private.actor_id(found), cell, private.trial_of(given), own)
            return found

        return make

    def _call(self, place: Replaced) -> Callable[..., Any]:
        def call(method: Any, *args: Any, **kwargs: Any) -> Any:
            self._turn()
            self._notes.called()
            return place.before(method, *args, **kwargs)

        return call


def _module(what: Any) -> str:
    return str(getattr(what, "__module__", "") or "")
