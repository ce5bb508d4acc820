"""The parts of an engine that lacks what they are for: no actors, one machine, nothing to show.

A new engine begins with these, and replaces them one by one. What they answer is
held in attributes, so that a test says what its screens see and reads what they
asked for. Rule: no part knows another, nor the engine.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from nbray.details import Details, GroupRecord, HoldingRecord
from nbray.engine import ActorInfo, Function, RuntimeInfo
from nbray.events import CellView, Display, Output, Snapshot
from nbray.exceptions import RaySystemError
from nbray.options import ActorOptions, MethodOptions
from nbray.refs import ObjectRef
from nbray.where import Condition


class NoActors:
    """None. See `nbray.engine.Actors`."""

    def _refuse(self) -> NoReturn:
        raise RaySystemError("this engine has no actors: use nbray.init(engine='native')")

    def create(
        self, cls: Function, args: Sequence[Any], kwargs: dict[str, Any], options: ActorOptions,
        info: ActorInfo,
    ) -> tuple[ActorInfo, ObjectRef[Any]]:  # fmt: skip
        """Refused."""
        self._refuse()

    def call(
        self, info: ActorInfo, life: ObjectRef[Any], method: str, args: Sequence[Any],
        kwargs: dict[str, Any], options: MethodOptions,
    ) -> list[ObjectRef[Any]]:  # fmt: skip
        """Refused."""
        self._refuse()

    def named(self, name: str, namespace: str) -> tuple[ActorInfo, ObjectRef[Any]]:
        """There is none."""
        raise ValueError(f"no live actor is called {name!r}: this engine has none")

    def owns(self, info: ActorInfo) -> bool:
        """No."""
        return False

    def ended(self, info: ActorInfo) -> bool:
        """It cannot live."""
        return True

    def names(self, all_namespaces: bool) -> list[tuple[str, str]]:
        """There are none."""
        return []

    def kill(self, info: ActorInfo, no_restart: bool) -> None:
        """Refused."""
        self._refuse()


class PlainContext:
    """Where code runs: `here`, or in the task that the context of the call runs."""

    def __init__(
        self, here: RuntimeInfo, reference: Callable[[int, int], ObjectRef[Any]]
    ) -> None:
        self.here = here
        self.reference = reference
        self._running: contextvars.ContextVar[RuntimeInfo | None] = contextvars.ContextVar(
            "nbray_running", default=None
        )

    @contextlib.contextmanager
    def inside(self, task: RuntimeInfo) -> Iterator[None]:
        """What runs in this block is in *task*."""
        token = self._running.set(task)
        try:
            yield
        finally:
            self._running.reset(token)

    def runtime(self) -> RuntimeInfo:
        return self._running.get() or self.here

    def actor(self) -> tuple[ActorInfo, ObjectRef[Any]] | None:
        """None."""
        return None

    def early(self, index: int) -> Callable[[Any], None]:
        """Refused."""
        raise RaySystemError("this engine gives returns when a task has ended, not before")


class PlainCells:
    """Cells of which only `views` says something."""

    def __init__(self) -> None:
        self.views: dict[str, CellView] = {}
        self.sink: Callable[[Output | Display], None] | None = None
        self.cancelled: list[tuple[str, bool]] = []
        """(cell, force) of each call."""
        self.counted: list[tuple[int, ...]] = []
        """What was counted: (submitted, node, done, failed, cancelled)."""

    def cancel(self, cell: str, force: bool) -> int:
        """Nothing is unfinished."""
        self.cancelled.append((cell, force))
        return 0

    def unfinished(self, cell: str) -> int:
        view = self.views.get(cell)
        return view.submitted - view.done - view.failed if view is not None else 0

    def view(self, cell: str) -> CellView | None:
        return self.views.get(cell)

    def count(
        self, cell: str, submitted: int, node: int = 0, done: int = 0, failed: int = 0,
        cancelled: int = 0,
    ) -> None:  # fmt: skip
        self.counted.append((submitted, node, done, failed, cancelled))

    def on_output(self, sink: Callable[[Output | Display], None] | None) -> None:
        self.sink = sink


class NoGroups:
    """None. See `nbray.engine.Groups`."""

    def _refuse(self) -> NoReturn:
        raise RaySystemError("this engine has no placement groups: use engine='native'")

    def create(
        self, bundles: Sequence[Mapping[str, float]], strategy: str, name: str, detached: bool,
        selectors: Sequence[Sequence[Condition]], target: str,
    ) -> str:
        """Refused."""
        self._refuse()

    def remove(self, group: str) -> None:
        """Refused."""
        self._refuse()

    def ready(self, group: str, value: Any) -> ObjectRef[Any]:
        """Refused."""
        self._refuse()

    def wait(self, group: str, timeout: float | None) -> bool | None:
        """Refused."""
        self._refuse()

    def find(self, group: str = "", name: str = "") -> list[GroupRecord]:
        """There are none."""
        return []


class OneMachine:
    """This one, with `total`; nobody can join it."""

    def __init__(self, node_id: str, total: dict[str, float] | None = None) -> None:
        self.node_id = node_id
        self.groups = NoGroups()
        self.total = total if total is not None else {"CPU": float(os.cpu_count() or 1)}

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {
                "NodeID": self.node_id,
                "NodeNumber": 1,
                "Alive": True,
                "NodeManagerAddress": "127.0.0.1",
                "NodeManagerHostname": socket.gethostname(),
                "Resources": self.total,
            }
        ]

    def resources(self) -> dict[str, float]:
        return dict(self.total)

    def available(self) -> dict[str, float]:
        """All of it."""
        return dict(self.total)

    def outlive(self, on: bool) -> bool:
        """Nothing outlives this process, and nothing is started by another."""
        return False

    def end_node(self, number: int, gently: bool) -> None:
        """Refused."""
        raise RaySystemError("this engine runs on one machine only: nbray.shutdown() ends it")

    def join_line(self) -> str:
        """Refused."""
        raise RaySystemError("this engine runs on one machine only and cannot be joined")


class PlainInsight:
    """What `picture`, `known` and `held` say."""

    def __init__(self) -> None:
        self.picture = Snapshot()
        self.known = Details()
        self.held: list[HoldingRecord] = []
        self.asked: list[int] = []
        """What details were asked for."""

    def snapshot(self) -> Snapshot:
        return self.picture

    def details(self, wanted: int) -> Details:
        self.asked.append(wanted)
        return self.known

    def complete(self, wanted: int, timeout: float) -> Details:
        return self.details(wanted)

    def holdings(self) -> list[HoldingRecord]:
        return self.held
