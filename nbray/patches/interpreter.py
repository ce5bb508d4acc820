"""Which interpreter a process says that it runs: that of the virtual environment that it entered.

Owns `sys.executable`, `sys.prefix` and `sys.exec_prefix`, by which packages are found and child
processes started. Does not own the path of modules.
"""

from __future__ import annotations

import sys
from pathlib import Path

from nbray.patches import Replaced

_replaced = [Replaced(sys, name) for name in ("executable", "prefix", "exec_prefix")]


def stand_in(place: Path) -> None:
    """Be the interpreter of the virtual environment *place* from now on."""
    for one, new in zip(
        _replaced, (str(place / "bin" / "python"), str(place), str(place)), strict=True
    ):
        one.put(new)


def take_back() -> None:
    """Be the interpreter that was started."""
    for one in _replaced:
        one.take_back()
