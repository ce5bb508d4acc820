"""How programs about ownership speak in the simulation, as tasks and as a driver."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sim.clients import ClientProcess
from sim.threads import here, sleep, thread
from sim.values import Big

from nbray.runtime.core.client.objects.objects import STORED


class SimVoice:
    """What a task can do."""

    def box(self, tag: int, size: int, refs: list[Any]) -> Any:
        return Big((tag, refs), size) if size else (tag, refs)

    def opened(self, value: Any) -> tuple[int, list[Any]]:
        if isinstance(value, Big):
            value.check()
            here().check_views()
            value = value.payload
        tag, refs = value
        return tag, list(refs)

    def put(self, value: Any) -> Any:
        return here().put(value)

    def get(self, ref: Any) -> Any:
        return here().get([ref])[0]

    def submit(self, name: str, *args: Any) -> Any:
        return here().submit(f"ownership:{name}", None, *args)[0]

    def exit(self) -> None:
        thread().exit()


class SimDoer(SimVoice):
    """What a driver can do besides."""

    def stream(self, name: str, *args: Any) -> Iterator[Any]:
        return iter(here().stream(f"ownership:{name}", None, *args))

    def actor(self, refs: list[Any]) -> Any:
        return here().actor("ownership:Shelf", None, refs)

    def call(self, handle: Any, method: str, *args: Any) -> Any:
        return here().call(handle, method, *args)[0]

    def kill(self, handle: Any) -> None:
        here().kill(handle)

    def stored(self, expected: int) -> int:
        """How many objects lie in stores, once that is as expected or nothing moves any more."""
        for _ in range(20):
            sleep(0.25)
            count = sum(
                entry.state == STORED
                for process in here().world.processes.values()
                if process.alive and isinstance(process, ClientProcess)
                for entry in process.brain.objects.owned.values()
            )
            if count == expected:
                break
        return count
