"""The user's own modules on their way to Ray's workers, as they travel natively.

Owns where their bundle is kept meanwhile: in the cluster's table, as Ray keeps functions, and as
long. Does not own the bundle (`hosting.modules`) nor its import (`hosting.imports`). Rule: its name
is its digest and, behind it, the job that keeps it.
"""

from __future__ import annotations

from typing import Any

import ray

from nbray.engine import Function
from nbray.engines.ray import private
from nbray.hosting.imports import Imports
from nbray.hosting.modules import Modules, Packed

_JOB = 4
"""Bytes of a job's id."""


class Travelling:
    """Of this process: a driver gathers them, a worker hands on what it was given."""

    def __init__(self) -> None:
        self._source: Modules | Imports = Imports() if private.is_worker() else Modules()
        self.digest = b""
        """Of what the last call took along."""
        self._kept: dict[bytes, bytes] = {}
        """Names by digest."""

    def for_cell(self, cell: str) -> bytes:
        """The digest of what work of *cell* is to import; its bundle is in the cluster."""
        packed = self._source.packed(cell)
        digest = packed.digest
        if digest and isinstance(self._source, Modules):
            digest = self._named(packed)
        self.digest = digest
        return digest

    def _named(self, packed: Packed) -> bytes:
        """In a driver: the name by which the cluster keeps *packed*."""
        name = self._kept.get(packed.digest)
        if name is None:
            job = str(ray.get_runtime_context().get_job_id())
            private.keep(job, f"modules:{packed.digest.hex()}", packed.data)
            name = self._kept[packed.digest] = packed.digest + bytes.fromhex(job)
        return name

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
        data = private.kept(digest[-_JOB:].hex(), f"modules:{digest[:-_JOB].hex()}")
        source.use(Packed(digest, data or b""))
        self.digest = digest


_here: list[Travelling] = []


def here() -> Travelling:
    """That of this process, in the cluster that it is in."""
    if not _here:
        _here.append(Travelling())
    return _here[0]


def forget() -> None:
    """The engine of this process has ended."""
    _here.clear()
