"""What hinders a node's machine though work goes on, told once to whoever has work here.

Owns who has been told what. Does not own the sentences (the shell's: a full disk, no descriptors
left) nor where screens show them all the time (`Figures.trouble`).
"""

from __future__ import annotations

from collections.abc import Iterable

from nbray.runtime.core.effects import NodeEffect, Send
from nbray.wire.messages import Printed

WHO = "nbray"
"""In the place of a task's name."""


class Troubles:
    """The troubles of one node. *me* and *pid* are the node's, *name* is its machine's."""

    def __init__(self, me: int, pid: int, name: str) -> None:
        self._me = me
        self._pid = pid
        self._name = name
        self._now = ""
        self._told: set[tuple[int, str]] = set()

    def noted(self, text: str, drivers: Iterable[int]) -> list[NodeEffect]:
        """The machine's trouble is *text* now ('': none)."""
        if text == self._now:
            return []
        self._now = text
        return [effect for driver in drivers for effect in self.came(driver)]

    def came(self, driver: int) -> list[NodeEffect]:
        """A driver is here."""
        if not self._now or (driver, self._now) in self._told:
            return []
        self._told.add((driver, self._now))
        text = f"{self._name}: {self._now}\n"
        return [Send(driver, Printed(self._me, "", self._pid, WHO, "stderr", text))]

    def once(self, text: str, drivers: Iterable[int]) -> list[NodeEffect]:
        """Tell those who are here *text*, which is no trouble ('': nothing)."""
        if not text:
            return []
        said = f"{self._name}: {text}\n"
        return [
            Send(driver, Printed(self._me, "", self._pid, WHO, "stderr", said))
            for driver in drivers
        ]

    def went(self, driver: int) -> None:
        """A driver is gone."""
        self._told = {one for one in self._told if one[0] != driver}
