"""Whether a machine's part of a cluster outlives the process that started it.

Owns who wants it to. Does not own watching that process (root does). Rule: it
is handed over when the first client asks for it; from then on it stays while
one that asked lives and has not taken it back, or while another driver than
the one that started it is attached. Else it ends with its owner, or at once if
the owner is gone.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from nbray.runtime.core.effects import NodeEffect, Outlive


class Outliving:
    """The wishes at one node. *owner* is the process with which all ends (0: none)."""

    def __init__(self, owner: int) -> None:
        self._owner = owner
        self._keepers: set[int] = set()
        self._stays = False
        self.handed_over = False
        """Whether it has ever been asked to stay."""

    def keep(self, client: int, on: bool) -> bool:
        """Note what *client* wants; whether that matters to a cluster that has an owner."""
        if on:
            self._keepers.add(client)
            self.handed_over = bool(self._owner)
        else:
            self._keepers.discard(client)
        return bool(self._owner)

    def settle(self, clients: Container[int], drivers: Iterable[int]) -> list[NodeEffect]:
        """What has changed, given the live *clients* and the processes of the *drivers*."""
        if not self.handed_over:
            return []
        self._keepers = {client for client in self._keepers if client in clients}
        stays = bool(self._keepers) or any(pid != self._owner for pid in drivers)
        if stays == self._stays:
            return []
        self._stays = stays
        return [Outlive(stays)]
