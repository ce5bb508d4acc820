"""nbray in one notebook: its cells, and everything else that its parts share.

Owns the one place where they are kept. Does not own what any part does. Rules: a part is
made when it is first needed, once, and is given the notebook; no other module of this folder
keeps what changes. A process has one notebook, which follows the shell that was attached last;
`current` is for whoever is called from outside with nothing in hand (`nbray.panel`, the
rendering of an error), everybody else is given it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from nbray.exceptions import RayError
from nbray.jupyter.cells.cells import Cells
from nbray.jupyter.cells.stop import InterruptHook
from nbray.refs import ObjectRef

T = TypeVar("T")


class Notebook:
    """What the parts of one notebook share.

    Attributes:
        cells: the cells of its shell.
        interrupts: who hears of the Stop button.
        last_error: what `%nbray debug` looks at.
        puts: those who say what they have put in the store for the notebook, by the variable's
            name; every shell that has loaded the extension has one.
    """

    def __init__(self) -> None:
        self.cells = Cells()
        self.interrupts = InterruptHook()
        self.last_error: RayError | None = None
        self.puts: list[Callable[[], dict[str, ObjectRef[Any]]]] = []
        self._parts: dict[Callable[[Notebook], Any], Any] = {}
        self._lock = threading.RLock()

    def part(self, make: Callable[[Notebook], T]) -> T:
        """What *make* makes of this notebook; made at the first call."""
        with self._lock:
            if make not in self._parts:
                self._parts[make] = make(self)
            part: T = self._parts[make]
            return part

    @property
    def loaded(self) -> bool:
        """Whether `%load_ext nbray` has been run."""
        return bool(self.puts)

    def copies(self) -> dict[str, ObjectRef[Any]]:
        """What `%%remote` has put for itself, by the variable's name."""
        return {name: ref for put in self.puts for name, ref in put().items()}

    def attach(self) -> Notebook:
        """Follow the process's IPython shell, if there is one; itself."""
        ipython = sys.modules.get("IPython")
        shell = ipython.get_ipython() if ipython is not None else None
        if shell is not None:
            self.cells.attach(shell)
            self.interrupts.follow(shell)
        return self


_current: Notebook | None = None


def current() -> Notebook:
    """The process's one, made at the first call."""
    global _current  # noqa: PLW0603 - the one mutable slot of this folder
    if _current is None:
        _current = Notebook()
    return _current
