"""The one mutable slot: the engine in use, and the cell that is running.

Owns what a process has exactly one of: the engine, how it was started, who
watches blocking waits. Everything else is reached from here. `cell` is a
context variable, so it follows async code, and threads (see `patches.threads`). A
process forked from one that has an engine gets an engine that raises.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

from nbray.exceptions import RaySystemError

if TYPE_CHECKING:
    from nbray.config import InitConfig
    from nbray.engine import Engine


class Waiting(Protocol):
    """The context in which a call blocks (for progress bars)."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def pause(self) -> None:
        """The caller does something else for a moment, and may print."""

    def resume(self) -> None:
        """It waits again."""


class Watcher(Protocol):
    """Makes the context in which a call blocks."""

    def __call__(self, at_once: bool = False) -> Waiting:
        """With *at_once* the bars need not wait until it has become long."""
        ...


cell: ContextVar[str] = ContextVar("nbray_cell", default="")
"""Identity of the notebook cell on whose behalf code runs ('' outside notebooks)."""

class Run(Protocol):
    """One run of a notebook's cell, known to all that goes on on its behalf."""

    stopped: bool
    """The Stop button was pressed while it ran."""

    def again(self) -> Run | None:
        """The run from here on, if it is the cell's own code that goes on (None: it is not)."""
        ...

    def error(self) -> BaseException:
        """What its threads and coroutines meet that go on."""
        ...


run: ContextVar[Run | None] = ContextVar("nbray_run", default=None)
"""The run of the cell on whose behalf code runs (None outside notebooks)."""

halted = False
"""Whether any cell was ever stopped while it ran; before, nobody need ask (see `check_run`)."""

cell_labels: dict[str, str] = {}
"""What a person calls a cell, by its identity; a notebook fills and bounds it."""


class Publisher(Protocol):
    """Takes what code in this process shows in rich form (see `nbray.events.Display`)."""

    at_end: Callable[[], None] | None
    """Called when a task has ended, before its answer leaves: what it left open is shown."""

    def publish(
        self, data: dict[str, Any], metadata: dict[str, Any], display_id: str, update: bool
    ) -> None:
        """Send it to the cell that launched the running task."""


class Screens(Protocol):
    """What shows a driver's work to people; see `nbray.screens`, which registers itself here."""

    def begin(self) -> None:
        """`init` has started or joined a cluster in this process."""

    def job(self) -> Any:
        """Where the running code's fetched jobs are shown (`nbray.jobs.Show`); None: nowhere."""

    def dashboard_url(self, engine: Engine) -> str:
        """The link to the dashboard of *engine*'s cluster, which is started if need be."""

    def dashboard_known(self, engine: Engine) -> tuple[Any, str]:
        """The link that can be had for nothing, or None; and why not, if one was wanted."""


on_install: list[Callable[[Engine | None], None]] = []
"""Called with every engine that becomes the one in use (None: none is any more)."""

on_modules: list[Callable[[], None]] = []
"""Called when names may be other modules than before (see `nbray.as_ray`)."""

detaches = False
"""Actors that say nothing of their lifetime outlive their driver (`JobConfig` says so)."""

named_actors: dict[tuple[str, str], str] = {}
"""(namespace, name) of actors that this process made, and the cell that did (it may again)."""

lock = threading.RLock()
"""Held while an engine starts or ends."""
_engine: Engine | None = None
_started_with: InitConfig | None = None
_watcher: Watcher | None = None
_publisher: Publisher | None = None
_guarded = False
_start: Callable[..., object] | None = None
_screens: Screens | None = None


def cell_label(identity: str) -> str:
    """What a person calls the cell ('' if nobody has said)."""
    return cell_labels.get(identity, "")


def halt(what: Run) -> None:
    """*what* is stopped: its threads and coroutines start and await nothing any more."""
    global halted  # noqa: PLW0603 - see the module's docstring
    what.stopped = halted = True


def check_run() -> Run | None:
    """The run on whose behalf the calling code goes on; where nothing is `halted`, need not ask.

    Raises:
        BaseException: its cell was stopped, and this is one of its threads or coroutines.
    """
    now = carried_run()
    if now is not None and now.stopped:
        raise now.error()
    return now


def carried_run() -> Run | None:
    """The same for a thread that the calling code starts; never raises."""
    now = run.get()
    if now is not None and now.stopped:
        again = now.again()
        if again is not None:
            run.set(again)
            return again
    return now


def current() -> Engine | None:
    """The engine in use, or None before `init` and after `shutdown`."""
    return _engine


def is_forked() -> bool:
    """Whether the engine in use belongs to the process that this one was forked from."""
    return isinstance(_engine, ForkedEngine)


def ended() -> str:
    """Why the cluster of the engine in use has ended ('' if it has not, or there is none)."""
    return _engine.ended if _engine is not None else ""


def live() -> Engine | None:
    """The engine in use if its cluster has not ended."""
    return None if ended() else _engine


def started_with() -> InitConfig | None:
    """What `init` was asked for, or None if this process did not call it (a worker)."""
    return _started_with


def watcher() -> Watcher | None:
    """Who is told of blocking waits."""
    return _watcher


def watch_waits(new: Watcher | None) -> None:
    """Run every `get` and `wait` of this process inside `new()` (None: no longer).

    The context is entered before the engine is asked, also by calls that do not
    block in the end, so entering it must cost next to nothing.
    """
    global _watcher  # noqa: PLW0603 - see the module's docstring
    _watcher = new


def publisher() -> Publisher | None:
    """Who takes rich output (None: this process is no worker)."""
    return _publisher


def publish_to(new: Publisher | None) -> None:
    """Have *new* take rich output of this process."""
    global _publisher  # noqa: PLW0603 - see the module's docstring
    _publisher = new


def start_by(start: Callable[..., object]) -> None:
    """Have `init` (see `nbray.api`) called where an engine is required and there is none."""
    global _start  # noqa: PLW0603 - see the module's docstring
    _start = start


def show_on(new: Screens) -> None:
    """Have *new* show what this process does."""
    global _screens  # noqa: PLW0603 - see the module's docstring
    _screens = new


def screens() -> Screens:
    """What shows this process's work; it is there once the package is imported."""
    assert _screens is not None
    return _screens


def require(*given: Any) -> Engine:
    """The engine in use; starts a local one if there is none, as Ray does.

    Args:
        given: what it is wanted for. A reference in it is of a cluster that has ended.

    Raises:
        RaySystemError: the engine belongs to the process this one was forked from, or
            there is a reference in *given* and no engine.
    """
    engine = _engine
    if engine is None:
        if given and _guarded:  # there was one before
            from nbray.ended_references import refuse_references

            refuse_references(given)
        if _start is not None:
            _start(ignore_reinit_error=True)  # another thread may be quicker
        engine = _engine
        if engine is None:
            raise RaySystemError("nbray is not running: call nbray.init() first")
    return engine


def install(engine: Engine | None, started: InitConfig | None = None) -> None:
    """Make *engine* the one in use (None: none is)."""
    global _engine, _started_with, _guarded  # noqa: PLW0603 - the one mutable slot of the design
    with lock:
        if not _guarded and engine is not None:
            os.register_at_fork(after_in_child=_after_fork)
            _guarded = True
        _engine = engine
        named_actors.clear()
        _started_with = started
    for hook in tuple(on_install):  # a hook may take itself out
        hook(engine)


class ForkedEngine:
    """Stands in for the parent's engine in a forked child: everything raises."""

    ended = ""

    def __getattr__(self, name: str) -> Any:
        raise RaySystemError(
            "this process was forked from one that uses nbray, and cannot use its connection: "
            "do the nbray calls in the parent, or start the process with the 'spawn' method"
        )

    def forked(self) -> None:
        """A fork of a fork."""

    def shutdown(self) -> None:
        """Nothing here belongs to this process."""


def _after_fork() -> None:
    global _engine, _watcher, lock  # noqa: PLW0603 - see the module's docstring
    lock = threading.RLock()
    _watcher = None
    if _engine is not None:
        before, _engine = _engine, cast("Engine", ForkedEngine())
        before.forked()
