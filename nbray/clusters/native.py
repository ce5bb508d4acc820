"""What this package asks of the native engine's module.

Owns the protocol only; `local` loads the module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from nbray.clusters.record import Record
from nbray.config import InitConfig, NodeRequest
from nbray.engine import Engine


class Native(Protocol):
    """What is asked of the module `nbray.engines.native`.

    All of it raises `RaySystemError` (or `AuthenticationError`,
    `VersionMismatchError`), `OSError` or `ValueError` with a message of one
    sentence, and leaves no process behind when it does.
    """

    def settle(self, request: NodeRequest) -> tuple[NodeRequest, list[str]]:
        """The request with secret and address chosen, and warnings of one line."""
        ...

    def start_node(self, request: NodeRequest) -> Record:
        """Start a node in the background and return once it serves its cluster."""
        ...

    def records(self) -> Sequence[Record]:
        """This user's live sessions on this machine, youngest first."""
        ...

    def find(self, address: str) -> Record | None:
        """The session here of the cluster at *address* ('' or 'auto': the youngest)."""
        ...

    def alive(self, record: Record) -> bool:
        """Whether the session still runs."""
        ...

    def stop_session(self, record: Record, timeout: float) -> None:
        """End one session."""
        ...

    def bounds(self) -> list[str]:
        """What bounds a node that is started here, a sentence each."""
        ...

    def start(self, config: InitConfig) -> Engine:
        """Attach to a cluster, as `nbray.init(address)` does."""
        ...
