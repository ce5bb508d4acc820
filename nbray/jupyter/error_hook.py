"""The shell's handler of errors (`set_custom_exc`), shared with whoever had it before.

Owns the place in the shell, of which IPython has one. Does not own how errors look (`errors`).
Rules: errors that nbray has nothing to do with go to the handler that another extension had
put there, if it wanted them; and when nbray is unloaded, that one has its place back, while
one that came later keeps it.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from nbray.jupyter import errors


class ErrorHook:
    """nbray's handler in *shell*."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._before: tuple[tuple[type[BaseException], ...], Any] = ((), None)
        self._own: Any = None

    def install(self) -> None:
        """Handle errors from now on."""
        shell = self._shell
        self._before = (tuple(shell.custom_exceptions), shell.CustomTB)
        shell.set_custom_exc((*errors.SHOWN, *self._before[0]), self._show)
        self._own = shell.CustomTB

    def uninstall(self) -> None:
        """Give the place back, unless it is another's by now."""
        shell = self._shell
        if self._own is not None and shell.CustomTB is self._own:
            shell.custom_exceptions, shell.CustomTB = self._before
        self._own = None

    def _show(
        self,
        shell: Any,
        kind: type[BaseException],
        error: BaseException,
        trace: TracebackType | None,
        tb_offset: int | None = None,
    ) -> list[str]:
        theirs, handler = self._before
        if isinstance(error, theirs) and not errors.ours(error, trace):
            shown: list[str] | None = handler(kind, error, trace, tb_offset=tb_offset)
            return shown or []
        return errors.show(shell, kind, error, trace, tb_offset)
