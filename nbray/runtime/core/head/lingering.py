"""Processes of actors that were told to end and may still run: who hears that they are gone.

Owns whom that concerns. Does not own the actors (`actor_directory`). Rule: everybody to whom an
`ActorState` said that a process lingers gets one `ActorGone` of it, whatever ends it.
"""

from __future__ import annotations

from collections.abc import Callable

from nbray.ids import HEAD
from nbray.runtime.core.effects import HeadEffect, Send
from nbray.wire.messages import ActorGone

Incarnation = tuple[int, int, int]
"""(owner, actor, incarnation)."""


class Lingering:
    """All of them. *dead* says of a client whether it has ended."""

    def __init__(self, dead: Callable[[int], bool]) -> None:
        self._dead = dead
        self._all: dict[Incarnation, tuple[int, list[int]]] = {}
        """With its node, and who waits."""

    def __bool__(self) -> bool:
        return bool(self._all)

    def begin(self, incarnation: Incarnation, node: int, watchers: list[int]) -> None:
        """Its *node* is told to end it; *watchers* hear when it has."""
        self._all[incarnation] = (node, list(watchers))

    def down(self, incarnation: Incarnation) -> list[HeadEffect]:
        """Its process has ended."""
        _, watchers = self._all.pop(incarnation, (0, []))
        gone = ActorGone(HEAD, *incarnation)
        return [Send(watcher, gone) for watcher in watchers if not self._dead(watcher)]

    def node_lost(self, node: int) -> list[HeadEffect]:
        """Everything on a node has ended."""
        there = [one for one, (at, _) in self._all.items() if at == node]
        return [effect for one in there for effect in self.down(one)]
