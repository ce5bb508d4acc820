"""The notebook's own modules in a worker: imported from what travelled, and renewed.

Owns the finder and which version of each module is loaded. Does not own the
search for modules (`modules`). Rule: what runs is what the notebook's folder
held when the cell submitted, on every machine; what did not change stays
loaded, and so does what no changed module is used by.
"""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import decode_source, spec_from_file_location
from types import CodeType, FrameType, ModuleType
from typing import Any

from nbray.definitions import remember_source
from nbray.engine import Function
from nbray.hosting.modules import Bundle, Module, Packed, gives_ray, read


class Imports:
    """The finder of a worker; nested work takes along what it uses now."""

    def __init__(self) -> None:
        self._packed = Packed(b"", b"")
        self._modules: dict[str, Module] = {}
        self._namespaces: dict[str, str] = {}
        self._loaded: dict[str, bytes] = {}
        """Name to digest of what was imported through this finder."""

    @property
    def digest(self) -> bytes:
        """Of what is in use."""
        return self._packed.digest

    def packed(self, cell: str) -> Packed:
        """What nested work takes along."""
        return self._packed

    def target(self, function: Function) -> Any:
        """What to pickle for *function*: itself, for nothing here is older than what travelled."""
        return function.call

    def changed(self) -> None:
        """Nested work takes along what this task has."""

    def use(self, packed: Packed) -> None:
        """Have imports find what *packed* holds, and drop what was imported in another version."""
        bundle = read(packed.data) if packed.data else Bundle()
        self._packed = packed
        before, self._modules = self._modules, bundle.modules
        self._namespaces = _namespaces(bundle)
        self._forget(before)
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)  # before the folders: another machine's may differ
        if bundle.as_ray or gives_ray():
            from nbray import as_ray  # where it is asked for only

            (as_ray.install if bundle.as_ray else as_ray.remove)()
        known = set(sys.path)
        sys.path += [path for path in bundle.paths if path not in known and os.path.isdir(path)]

    def _forget(self, before: dict[str, Module]) -> None:
        """Drop what is loaded in another version, and what uses it."""
        mine = {name for name in self._loaded if name in sys.modules}
        changed = set()
        for name in mine:
            module = self._modules.get(name)
            if module is None or module.digest != self._loaded[name]:
                changed.add(name)
        for name, module in self._modules.items():
            if name not in mine and getattr(sys.modules.get(name), "__file__", "") == module.path:
                changed.add(name)  # found in its folder, before anything travelled
                mine.add(name)
        while changed and (more := {n for n in mine - changed if _uses(n, changed)}):
            changed |= more
        for name in changed:
            sys.modules.pop(name, None)
            self._loaded.pop(name, None)
            for module in (self._modules.get(name), before.get(name)):
                if module is not None:
                    linecache.cache.pop(module.path, None)

    # -- what importlib asks ---------------------------------------------------------

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a module that travelled, or of a folder that holds one."""
        module = self._modules.get(name)
        if module is not None:
            inside = os.path.basename(module.path) == "__init__.py"
            return spec_from_file_location(
                name,
                module.path,
                loader=_Loader(self, name, module),
                submodule_search_locations=[os.path.dirname(module.path)] if inside else None,
            )
        folder = self._namespaces.get(name)
        if folder is None:
            return None
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [folder]
        return spec

    def loaded(self, name: str, module: Module) -> None:
        """*name* is being imported as *module*."""
        self._loaded[name] = module.digest


class _Loader(SourceFileLoader):
    """Loads the text of one module that travelled, as if it lay in its file."""

    def __init__(self, imports: Imports, name: str, module: Module) -> None:
        super().__init__(name, module.path)
        self._imports = imports
        self._module = module

    def get_code(self, fullname: str) -> CodeType:
        """The text, compiled; raises SyntaxError as usual."""
        source, path = self._module.text, self._module.path
        self._imports.loaded(fullname, self._module)
        text = decode_source(source)
        # Tracebacks show the text that ran, also where the file is another or none.
        remember_source(path, text)
        code: CodeType = compile(source, path, "exec", dont_inherit=True)
        return code

    def get_source(self, fullname: str) -> str:
        """The text, for `inspect`."""
        return decode_source(self._module.text)


def _namespaces(bundle: Bundle) -> dict[str, str]:
    """Packages without a file of their own: name to folder."""
    found: dict[str, str] = {}
    for name, module in bundle.modules.items():
        folder = os.path.dirname(module.path)
        if os.path.basename(module.path) == "__init__.py":
            folder = os.path.dirname(folder)
        parent = name.rpartition(".")[0]
        while parent:
            if parent not in bundle.modules:
                found.setdefault(parent, folder)
            folder, parent = os.path.dirname(folder), parent.rpartition(".")[0]
    return found


def _uses(name: str, changed: set[str]) -> bool:
    """Whether module *name* holds something of the *changed* modules."""
    names: dict[str, Any] = getattr(sys.modules.get(name), "__dict__", {})
    for value in list(names.values()):
        # Of a function or class its own module, of an instance its class's.
        home = value.__name__ if isinstance(value, ModuleType) else _home(value)
        if home in changed:
            return True
    return False


def _home(value: Any) -> str:
    home = getattr(value, "__module__", "")
    return home if isinstance(home, str) else ""


def importing(frame: FrameType | None) -> bool:
    """Whether *frame* runs within an import."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False
