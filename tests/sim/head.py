"""The head in the simulation: its shell without sockets (`runtime.shell.head.process`)."""

from __future__ import annotations

from sim.processes import CLUSTER, VERSIONS, Process
from sim.world import World

from nbray.ids import HEAD
from nbray.runtime.core import effects as fx
from nbray.runtime.core.head.brain import HeadBrain
from nbray.wire import messages as m
from nbray.wire.codec import head_decoder


class HeadProcess(Process):
    """The head."""

    def __init__(self, world: World) -> None:
        super().__init__(world, HEAD)
        self.brain = HeadBrain(CLUSTER, VERSIONS)
        self._decode = head_decoder().decode

    def round(self) -> None:
        """See `runtime.shell.head.process`."""
        now = self.world.now
        while self.inbox:
            message = self._decode(self.inbox.popleft()[-1])
            self.world.tell(HEAD, "<-", message.sender, message)
            self.perform(self.brain.handle(message, now))
        due = self.brain.next_deadline()
        if due is not None and due <= now:
            self.perform(self.brain.tick(now))
            due = self.brain.next_deadline()
        if due is not None:
            self.wake(due)

    def perform(self, effects: list[fx.Effect]) -> None:
        for effect in effects:
            assert isinstance(effect, fx.Send), effect
            self.post(effect.to, effect.message)

    def end_group(self, group: str) -> None:
        """Somebody whom the story does not tell of ends a placement group."""
        if self.alive and not self.stands(self.end_group, group):
            self.perform(self.brain.handle(m.RemoveGroup(0, group), self.world.now))
            self.wake(self.world.now)
