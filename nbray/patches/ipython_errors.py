"""A shell's handler of errors (`set_custom_exc`), shared with whoever had it before.

IPython has one place for it. Does not own how errors look. Rules: errors that are not ours
go to the handler that another extension had put there, if it wanted them; taken back, that one
has its place again, while one that came later keeps it.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

Kinds = tuple[type[BaseException], ...]
Show = Callable[..., list[str]]
"""Shows an error as IPython asks for it: (shell, kind, error, trace, tb_offset)."""


class ErrorHandler:
    """*show* as the handler of *shell* for errors of *kinds*; *ours* tells whose one is."""

    def __init__(
        self, shell: Any, kinds: Kinds, show: Show,
        ours: Callable[[BaseException, TracebackType | None], bool],
    ) -> None:  # fmt: skip
        self._shell = shell
        self._kinds = kinds
        self._show = show
        self._ours = ours
        self._before: tuple[Kinds, Any] = ((), None)
        self._own: Any = None

    def install(self) -> None:
        """Handle errors from now on."""
        shell = self._shell
        self._before = (tuple(shell.custom_exceptions), shell.CustomTB)
        shell.set_custom_exc((*self._kinds, *self._before[0]), self._handle)
        self._own = shell.CustomTB

    def uninstall(self) -> None:
        """Give the place back, unless it is another's by now."""
        shell = self._shell
        if self._own is not None and shell.CustomTB is self._own:
            shell.custom_exceptions, shell.CustomTB = self._before
        self._own = None

    def _handle(
        self,
        shell: Any,
        kind: type[BaseException],
        error: BaseException,
        trace: TracebackType | None,
        tb_offset: int | None = None,
    ) -> list[str]:
        theirs, handler = self._before
        if isinstance(error, theirs) and not self._ours(error, trace):
            shown: list[str] | None = handler(kind, error, trace, tb_offset=tb_offset)
            return shown or []
        return self._show(shell, kind, error, trace, tb_offset)
