"""What the processes of ended actors may still read: held until these are gone.

Callers hear of an actor's end at once, while its process is still being told, killed, or does
what it has to do at its end (`__ray_shutdown__`, for up to 30 seconds). Until `ActorGone`
comes, what lies in the store for its constructor, and for calls that it had begun, stays.

Owns those pins. Does not own the actors (`actors`), nor when a process is gone (the head).
"""

from __future__ import annotations

from collections.abc import Iterable

from nbray.runtime.core.client.objects.objects import Objects
from nbray.wire.messages import DEAD, ActorGone, ActorState, Ref


class EndedActors:
    """Pins by incarnation."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._kept: dict[tuple[int, int, int], list[Ref]] = {}
        """(owner, actor, incarnation) -> what its process may read."""
        self._asked: dict[Ref, tuple[Ref, ...]] = {}
        """What those were made from of which the head has yet to say whether there is a process."""

    def __bool__(self) -> bool:
        return bool(self._kept or self._asked)

    def keep(self, message: ActorState, pins: Iterable[Ref]) -> None:
        """*message* says of a process that it may still run, which may read *pins*, held now."""
        ended = message.incarnation - (message.state != DEAD)
        kept = self._kept.setdefault((message.owner, message.actor, ended), [])
        kept.extend(pins)

    def let_go(self, actor: Ref, pins: tuple[Ref, ...]) -> None:
        """Nobody has *actor* any more, which was made from *pins*: the head is told to end it."""
        if pins:
            self._asked[actor] = pins

    def state(self, message: ActorState) -> None:
        """The head says what has come of such an actor."""
        actor = (message.owner, message.actor)
        if message.state == DEAD and actor in self._asked:
            pins = self._asked.pop(actor)
            if message.lingers:
                self.keep(message, pins)
            else:
                self._objects.drop(pins)

    def never(self, actor: Ref) -> None:
        """There never was a process."""
        self._objects.drop(self._asked.pop(actor, ()))

    def gone(self, message: ActorGone) -> None:
        """A process runs no more."""
        key = (message.owner, message.actor, message.incarnation)
        self._objects.drop(self._kept.pop(key, ()))
