"""The environments that workers make for a client's work, as they tell of it meanwhile.

Owns what goes on now, by worker, and the sentences about it by cell. Does not own why else work
waits (`waiting_reasons`). Rule: who has not told for `SILENT` seconds has ended, however it did.
"""

from __future__ import annotations

from collections.abc import Callable

from nbray.ids import node_of
from nbray.wire.messages import SettingUp

SILENT = 5.0
"""Seconds; workers tell every second (`shell.worker.entering`)."""


class SettingsUp:
    """Those of one client. `sentences` in any thread."""

    def __init__(self) -> None:
        self._now: dict[int, tuple[SettingUp, float, float]] = {}
        """By worker: what it said last, since when it does that, when it said so."""

    def told(self, message: SettingUp, now: float) -> bool:
        """A worker makes an environment, or does not any more; whether nobody made it before."""
        worker = message.sender
        last = self._now.pop(worker, None)
        if not message.what:
            return False
        first = all(other[0].what != message.what for other in self._now.values())
        again = last is not None and last[0].what == message.what
        self._now[worker] = (message, last[1] if last is not None and again else now, now)
        return first and not again

    def sentences(self, now: float, place: Callable[[int], str]) -> dict[str, list[str]]:
        """What goes on, by cell, each thing once.

        Args:
            place: ' on NAME' for the number of a node, or ''.
        """
        found: dict[tuple[str, str, int], tuple[float, str]] = {}
        for message, since, said in list(self._now.values()):
            if now < said + SILENT:
                key = message.cell, message.what, node_of(message.sender)
                other = found.get(key)
                line = message.line or (other[1] if other else "")
                found[key] = (min(since, other[0]) if other else since, line)
        by_cell: dict[str, list[str]] = {}
        for (cell, what, node), (since, line) in found.items():
            text = f"Environment: {what}{place(node)}, {max(0, round(now - since))} s"
            by_cell.setdefault(cell, []).append(f"{text}: {line}" if line else text)
        return by_cell
