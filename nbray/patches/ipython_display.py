"""In a process without a shell, other functions in the place of IPython's `display`.

Owns the places: the builtin, as notebooks have it, and IPython's module, now or when it is
imported. Does not own what is shown. Rule: IPython is never imported for it.
"""

from __future__ import annotations

import builtins
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from nbray.patches import Replaced

MODULE = "IPython.core.display_functions"


class Display:
    """*display* and *update_display* in the place of IPython's, which without a shell print."""

    def __init__(
        self, display: Callable[..., Any], update_display: Callable[..., Any]
    ) -> None:
        self._functions = {"display": display, "update_display": update_display}
        self._builtin = Replaced(builtins, "display")
        self._replaced: list[Replaced] = []
        self._finder = _Finder(self._stand_in)

    def install(self) -> None:
        """From now on."""
        self._builtin.put(self._functions["display"])
        loaded = sys.modules.get(MODULE)
        if loaded is not None:
            self._stand_in(loaded)
        elif self._finder not in sys.meta_path:
            sys.meta_path.insert(0, self._finder)

    def uninstall(self) -> None:
        """No longer."""
        self._builtin.take_back()
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        for one in self._replaced:
            one.take_back()

    def _stand_in(self, module: ModuleType) -> None:
        if not self._replaced:
            self._replaced = [Replaced(module, name) for name in self._functions]
        for one, function in zip(self._replaced, self._functions.values(), strict=True):
            one.put(function)


class _Finder:
    """Sees IPython's module of `display` being imported."""

    def __init__(self, loaded: Callable[[ModuleType], None]) -> None:
        self._loaded = loaded

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module's own spec, whose loader then puts ours in place."""
        if fullname != MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        loader = spec.loader if spec is not None else None
        if spec is not None and loader is not None:
            run = loader.exec_module

            def run_and_stand_in(module: ModuleType) -> None:
                run(module)
                self._loaded(module)

            loader.exec_module = run_and_stand_in  # type: ignore[method-assign]
        return spec
