"""The user's own modules, as they are on disk when a cell submits work.

Owns the search for them on the driver's machine and the bundle in which they
travel. Does not own their import in workers (`imports`). Rule: only what the
notebook itself would import counts: Python files next to it and in the folders
of `sys.path` inside its working directory, never an installed package; and
when nothing changed, a cell pays for a `stat` of each file.
"""

from __future__ import annotations

import os
import pickle
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from nbray.engine import Function
from nbray.wire.digest import begin
from nbray.wire.digest import digest as name_of

MOST_FILES = 400
"""Files next to the notebook that are bundled without having been imported, at most."""
MOST_BYTES = 1 << 20
"""Bytes of such files, at most."""
MOST_IMPORTED = 8 << 20
"""Bytes of imported files, at most: whoever works on a large library has it on every node."""
_INSTALLED = ("site-packages", "dist-packages")
_STANDARD = os.path.dirname(os.__file__)


class Module(msgspec.Struct, frozen=True):
    """One file of the user's."""

    path: str
    """Where it lies on the notebook's machine; tracebacks name it, data files may lie beside it."""
    digest: bytes
    """Of the text."""
    text: bytes


class Bundle(msgspec.Struct, frozen=True):
    """All modules of a driver at one moment."""

    modules: dict[str, Module] = {}
    """By dotted name; a package's own file is named as the package."""
    paths: tuple[str, ...] = ()
    """The driver's `sys.path` without what is installed; for compiled modules on its machine."""
    as_ray: bool = False
    """Whether `ray` is nbray there (see `nbray.as_ray`)."""


class Packed(msgspec.Struct, frozen=True):
    """A bundle as it travels."""

    digest: bytes
    data: bytes


def write(bundle: Bundle) -> bytes:
    """*bundle* as it travels. Pickled, because paths need not be UTF-8."""
    return zlib.compress(pickle.dumps(bundle, 5), 1)


def read(data: bytes) -> Bundle:
    """The bundle that `Packed.data` holds."""
    bundle: Bundle = pickle.loads(zlib.decompress(data))
    return bundle


class Modules:
    """The bundle of this process, renewed when another cell submits."""

    def __init__(self) -> None:
        self._asked: tuple[str, int] | None = None
        self._known: dict[str, tuple[tuple[int, int], Module]] = {}
        """Path to ((modification time, size), module) as last read."""
        self._first: dict[str, tuple[Any, bytes]] = {}
        """Name to (module object, digest of its file) when it was first seen imported."""
        self._stale: frozenset[str] = frozenset()
        self._packed: Packed | None = None

    def packed(self, cell: str) -> Packed:
        """What work of *cell* needs; looks at the disk once a cell, and when more is imported."""
        asked = (cell, len(sys.modules))
        if self._packed is None or asked != self._asked:
            self._asked = asked
            self._packed = self._pack(self._scan())
        return self._packed

    def changed(self) -> None:
        """Names may be other modules from now on."""
        self._asked = None

    def target(self, function: Function) -> Any:
        """What to pickle for *function*.

        A decorated function of a module pickles by value, as the notebook
        imported it once. If its file is another by now, it goes by name.
        """
        call = function.call
        home = getattr(call, "__module__", "")
        if home in self._stale:
            named = Named(home, getattr(call, "__qualname__", ""))
            module = sys.modules.get(home)
            if module is not None and named.owner(module) is function:
                return named
        return call

    # -- looking ------------------------------------------------------------------

    def _pack(self, bundle: Bundle) -> Packed:
        before = self._packed
        state = begin()
        for name, module in sorted(bundle.modules.items()):
            state.update(f"{name}\0{module.path}\0".encode("utf-8", "surrogatepass"))
            state.update(module.digest)
        state.update("\0".join(bundle.paths).encode("utf-8", "surrogatepass"))
        state.update(b"\0ray" if bundle.as_ray else b"")
        digest = state.digest()
        if before is not None and before.digest == digest:
            return before
        return Packed(digest, write(bundle))

    def _scan(self) -> Bundle:
        roots = _roots()
        found: dict[str, Module] = {}
        stale: set[str] = set()
        for name, one in self._imported(roots):
            found[name] = one
            live = sys.modules.get(name)
            first = self._first.get(name)
            if first is None or first[0] is not live:
                first = self._first[name] = (live, one.digest)
            if first[1] != one.digest:
                stale.add(name)
        self._stale = frozenset(stale)
        size = 0
        for count, (name, path) in enumerate(_beside(roots)):
            if count >= MOST_FILES or size >= MOST_BYTES:
                break
            if name in found or _taken(name):
                continue
            module = self._read(path)
            if module is not None:
                found[name] = module
                size += len(module.text)
        return Bundle(found, tuple(_own_paths()), gives_ray())

    def _imported(self, roots: list[str]) -> Iterator[tuple[str, Module]]:
        """What was imported from *roots*; a package that is too large stays as a whole.

        Parts of one would be found without the rest, and without what its
        `__init__` does.
        """
        packages: dict[str, list[tuple[str, str]]] = {}
        for name, path in _imported(roots):
            packages.setdefault(name.partition(".")[0], []).append((name, path))
        left = MOST_IMPORTED
        for parts in packages.values():
            read: list[tuple[str, Module]] = []
            size = 0
            for name, path in parts:
                module = self._read(path)
                if module is not None:
                    read.append((name, module))
                    size += len(module.text)
                if size > left:
                    break
            else:
                left -= size
                yield from read

    def _read(self, path: str) -> Module | None:
        try:
            info = os.stat(path)
            stamp = (info.st_mtime_ns, info.st_size)
            known = self._known.get(path)
            if known is not None and known[0] == stamp:
                return known[1]
            text = Path(path).read_bytes()
        except OSError:
            return None
        module = Module(path, name_of(text), text)
        self._known[path] = (stamp, module)
        return module


class Named:
    """A remote function or actor class of a module, pickled by its name."""

    def __init__(self, module: str, name: str) -> None:
        self._module = module
        self._name = name

    def __reduce__(self) -> Any:
        return resolve, (self._module, self._name)

    def owner(self, module: Any) -> Function | None:
        """The `Function` behind that name in *module*."""
        thing = module
        for part in self._name.split("."):
            thing = getattr(thing, part, None)
        target = getattr(thing, "_target", None)
        return target if isinstance(target, Function) else None


def resolve(module: str, name: str) -> Any:
    """What `Named` stands for, in the module as it is now.

    Raises:
        AttributeError: the module has no such remote function or class any more.
    """
    import importlib

    found = Named(module, name).owner(importlib.import_module(module))
    if found is None:
        raise AttributeError(f"module {module!r} has no remote function or class {name!r} any more")
    return found.call


def _own_paths() -> Iterator[str]:
    """`sys.path` without what comes with Python and what is installed."""
    entries: list[Any] = sys.path
    for entry in entries:
        if not isinstance(entry, str):  # Python does not look there either
            continue
        try:
            path = os.path.abspath(entry or ".")
        except OSError:  # the working directory was removed
            continue
        if _standard(path) or path.endswith(".zip"):
            continue
        if not any(part in path for part in _INSTALLED):
            yield path


def _standard(path: str) -> bool:
    """Whether it comes with Python."""
    return path == _STANDARD or path.startswith(_STANDARD + os.sep)


def _roots() -> list[str]:
    """Folders whose modules travel: the working directory, those of `sys.path` inside it, and
    the folder of the running script."""
    try:
        here = os.getcwd()
    except OSError:  # it was removed
        return []
    inside = here.rstrip(os.sep) + os.sep
    found = [path for path in _own_paths() if path == here or path.startswith(inside)]
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if script:
        folder = os.path.dirname(os.path.abspath(script))
        if folder in _own_paths():
            found.append(folder)
    return list(dict.fromkeys(found))


def _imported(roots: list[str]) -> Iterator[tuple[str, str]]:
    """(name, file) of every imported module that lies in *roots*."""
    starts = tuple(root.rstrip(os.sep) + os.sep for root in roots)
    for name, module in sys.modules.copy().items():  # other threads import, and so may a `__del__`
        path = getattr(module, "__dict__", {}).get("__file__")
        if (
            isinstance(path, str)
            and path.endswith(".py")
            and path.startswith(starts)
            # The working directory may be the user's home, or /, with Python itself inside.
            and not _standard(path)
            and name.partition(".")[0] not in sys.stdlib_module_names
            and not any(part in path for part in _INSTALLED)
            and not _ours(name)
        ):
            yield name, path


def _beside(roots: list[str]) -> Iterator[tuple[str, str]]:
    """(name, file) of what could be imported from *roots*: their files, then their packages."""
    packages: list[tuple[str, str]] = []
    for root in roots:
        for name, path, folder in _listed(root):
            if not folder:
                yield name, path
            elif os.path.exists(os.path.join(path, "__init__.py")):
                packages.append((name, path))
    for name, path in packages:
        if not _taken(name):
            yield from _package(name, path)


def _package(name: str, path: str) -> Iterator[tuple[str, str]]:
    for part, inner, folder in _listed(path):
        if folder:
            yield from _package(f"{name}.{part}", inner)
        else:
            yield (name if part == "__init__" else f"{name}.{part}"), inner


def _listed(folder: str) -> list[tuple[str, str, bool]]:
    """(identifier, path, is a folder) of what could be a module in *folder*."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                stem, dot, rest = entry.name.partition(".")
                if not stem.isidentifier() or rest not in ("", "py"):
                    continue
                if dot:
                    found.append((stem, entry.path, False))
                elif entry.name != "__pycache__" and entry.is_dir():
                    found.append((stem, entry.path, True))
    except OSError:  # not ours to read, or gone
        return []
    return sorted(found)


def gives_ray() -> bool:
    """Whether `import ray` gives nbray in this process."""
    return any(getattr(finder, "gives_ray", False) for finder in sys.meta_path)


def _ours(name: str) -> bool:
    top = name.partition(".")[0]
    return name in {"__main__", "__mp_main__"} or top == "nbray" or (top == "ray" and gives_ray())


def _taken(name: str) -> bool:
    """Whether the notebook means another module by *name*."""
    top = name.partition(".")[0]
    return (
        top in sys.stdlib_module_names or name in sys.modules or top in _SCRIPTS or _ours(name)
    )


_SCRIPTS = frozenset({"setup", "conftest"})
"""Files that are run by tools, not imported."""
