"""An engine and a cluster that are not there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from details import details as make
from scenes import cluster

from nbray.details import Details
from nbray.events import Snapshot
from nbray.exceptions import RaySystemError

RECORD = SimpleNamespace(directory="/nowhere", head_address="1.2.3.4:5", secret="s", node=1)


class FakeEngine:
    name = "native"

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.closed = False
        self.given_snapshot: Snapshot = cluster()
        self.given: Details = make()

    def snapshot(self) -> Snapshot:
        return self.given_snapshot

    def details(self, wanted: int) -> Details:
        self.asked.append(wanted)
        return self.given

    def shutdown(self) -> None:
        self.closed = True


class FakeLauncher:
    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.lives = True
        self.fails = ""
        self.attached: list[str] = []
        """The addresses of the clusters that it was attached to."""

    def records(self) -> list[Any]:
        return [RECORD] if self.lives else []

    def alive(self, _record: Any) -> bool:
        return self.lives

    def attach(self, record: Any) -> Any:
        self.attached.append(record.head_address)
        if self.fails:
            raise RaySystemError(self.fails)
        self.engine.closed = False
        return self.engine


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now
