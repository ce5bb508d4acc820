"""An engine and a cluster that are not there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from details import details as make
from scenes import cluster

from nbray.engines.scripted import ScriptedEngine
from nbray.exceptions import RaySystemError

RECORD = SimpleNamespace(directory="/nowhere", head_address="1.2.3.4:5", secret="s", node=1)


def engine() -> ScriptedEngine:
    made = ScriptedEngine()
    made.insight.picture, made.insight.known = cluster(), make()
    return made


class FakeLauncher:
    def __init__(self) -> None:
        self.engine = engine()
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
        self.engine.ended = ""
        return self.engine


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now
