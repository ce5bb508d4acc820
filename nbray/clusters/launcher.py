"""What a place where nodes are started must do: this machine; others by ssh, Slurm or a cloud.

Owns the protocol, and the words in which a launcher refuses. Does not own any
launcher: each is a module beside this one. Rule: whatever goes wrong is a
`Refused`, or one of `nbray.exceptions`' errors or an OSError, with one sentence
for the user, and leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from nbray.clusters.record import Record
from nbray.config import NodeRequest
from nbray.engine import Engine


class Refused(Exception):
    """It cannot be done; one sentence for the user."""


class Interpreter(msgspec.Struct, frozen=True):
    """The Python that is to run a node, and what it finds around it."""

    python: str
    """Its path, as it was called: a virtual environment is known by it."""
    env: dict[str, str]
    cwd: str = "/"


class Launcher(Protocol):
    """A place where nodes are started, found and ended. All of it blocks."""

    def records(self) -> Sequence[Record]:
        """What runs there of this user's, the youngest first."""
        ...

    def alive(self, record: Record) -> bool:
        """Whether it still runs."""
        ...

    def start(self, request: NodeRequest, by: Interpreter | None = None) -> Record:
        """Start a node, a head's or one that joins; returns once it serves its cluster.

        *by* another Python than this process's, if it is given.
        """
        ...

    def add(self, record: Record, cpus: float, env: Mapping[str, str]) -> Record:
        """Have another node join the cluster of *record*, by the Python which that one runs.

        It has *cpus* CPUs and no GPU.
        """
        ...

    def remove(self, record: Record) -> None:
        """End one node at once: its tasks run again on others. With a head all of it ends."""
        ...

    def stop(self, records: Iterable[Record]) -> None:
        """End these nodes, those that joined before their heads."""
        ...

    def attach(self, record: Record) -> Engine:
        """Become a driver of the cluster, one that looks: what tasks print goes elsewhere."""
        ...
