"""The user's own modules on their way to Ray's workers, as they travel natively.

Owns where their bundle is kept meanwhile: in the cluster's table, under its digest, as Ray keeps
functions. Does not own the bundle (`hosting.modules`) nor its import (`hosting.imports`).
"""

from __future__ import annotations

from typing import Any

from nbray.engine import Function
from nbray.engines.ray import private
from nbray.hosting.imports import Imports
from nbray.hosting.modules import Modules, Packed

_PREFIX = b"modules:"


class Travelling:
    """Of this process: a driver gathers them, a worker hands on what it was given."""

    def __init__(self) -> None:
        self._source: Modules | Imports = Imports() if private.is_worker() else Modules()
        self.digest = b""
        """Of what the last call took along."""
        self._kept: set[bytes] = set()

    def for_cell(self, cell: str) -> bytes:
        """The digest of what work of *cell* is to import; its bundle is in the cluster."""
        packed = self._source.packed(cell)
        digest = packed.digest
        if digest not in self._kept:
            if packed.data and isinstance(self._source, Modules):
                private.kv_put(_PREFIX + digest, packed.data)
            self._kept.add(digest)
        self.digest = digest
        return digest

    def target(self, function: Function) -> Any:
        """What to pickle for *function*."""
        return self._source.target(function)

    def changed(self) -> None:
        """Names may be other modules from now on."""
        self._source.changed()

    def use(self, digest: bytes, exactly: bool = True) -> None:
        """In a worker: import from the bundle *digest*; unless *exactly*, only if there is none."""
        source = self._source
        if not isinstance(source, Imports) or not digest or source.digest == digest:
            return
        if source.digest and not exactly:
            return
        data = private.kv_get(_PREFIX + digest)
        source.use(Packed(digest, data or b""))
        self.digest = digest

    def forget(self) -> None:
        """The cluster keeps what this process has put there no longer."""
        if isinstance(self._source, Modules):
            for digest in self._kept:
                private.kv_delete(_PREFIX + digest)
        self._kept.clear()


_here: list[Travelling] = []


def here() -> Travelling:
    """That of this process, in the cluster that it is in."""
    if not _here:
        _here.append(Travelling())
    return _here[0]


def forget() -> None:
    """The engine of this process has ended."""
    for one in _here:
        one.forget()
    _here.clear()
