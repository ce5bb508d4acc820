"""What a shell's inspector (Shift-Tab, `?`) looks at.

Owns the step before IPython's inspector. Does not own what is looked at instead. Rule:
whatever is not replaced is inspected as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nbray.patches import Replaced


class Inspector:
    """Has *shell* inspect *original(value)* in the place of a value."""

    def __init__(self, shell: Any, original: Callable[[Any], Any]) -> None:
        self._original = original
        self._info = Replaced(shell.inspector, "info")

    def install(self) -> None:
        """From now on."""
        self._info.put(self._inspect)

    def uninstall(self) -> None:
        """No longer."""
        self._info.take_back()

    def _inspect(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        wanted = self._original(value) if self._info.active else value
        return self._info.before(wanted, *args, **kwargs)
