"""What one native client shows of the whole cluster: the picture, all processes, what is held.

Owns the lock around the survey and around the list of what is held. Does not own
the questions and answers (`core.client.survey`, `core.client.describing`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from nbray.details import Details, HoldingRecord
from nbray.events import Snapshot
from nbray.ids import HEAD
from nbray.runtime.core.client import describing
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.runtime.shell.client.flag import Flag
from nbray.runtime.shell.client.loop import Loop
from nbray.wire import messages as m

if TYPE_CHECKING:
    from nbray.runtime.shell.client.memory import Memory


LOOK = 0.05
"""Seconds between two looks at answers that are waited for, if none comes."""
AGAIN = 0.3
"""Seconds after which those who have not answered are asked once more, for some may have ended."""
PATIENCE = 2.0
"""Longest wait, in seconds, for a process whose node has answered: its code lets none else run."""


class NativeInsight:
    """Of one client. See `nbray.engine.Insight` for the methods."""

    def __init__(
        self, brain: ClientBrain, loop: Loop, memory: Memory, address: Callable[[], str]
    ) -> None:
        self._brain = brain
        self._loop = loop
        self._memory = memory
        self._address = address
        self._watching = False

    def snapshot(self) -> Snapshot:
        """What screens show (see `Insight.snapshot`)."""
        brain = self._brain
        if not self._watching and not brain.ended:
            self._watching = True
            self._loop.locked(lambda: [Send(HEAD, m.Watch(brain.me))])
        picture = brain.picture
        return Snapshot(
            nodes=tuple(picture.nodes) if picture is not None else (),
            cells=brain.cells(self._loop.now()),
            address=self._address(),
            actors=picture.actors if picture is not None else 0,
            groups=picture.groups if picture is not None else 0,
            awaited=tuple(brain.awaited()),
        )

    def details(self, wanted: int) -> Details:
        """What is known so far; asks for more (see `Insight.details`)."""
        brain = self._brain
        now = self._loop.now()
        found: list[Details] = []

        def look() -> list[ClientEffect]:
            alive = {node.number for node in brain.members.values() if node.alive}
            survey = brain.survey()
            found.append(survey.details(now, alive))
            return survey.ask(alive, wanted, now) if not brain.ended else []

        self._loop.locked(look)
        # When the answers came, by a clock that people read.
        return msgspec.structs.replace(found[0], wall=time.time() - (now - found[0].now))

    def complete(self, wanted: int, timeout: float) -> Details:
        """What everybody answers (see `Insight.complete`)."""
        brain, loop = self._brain, self._loop
        begun = loop.now()
        since, again = 0, begun
        found: list[Details] = []

        def look() -> list[ClientEffect]:
            nonlocal since, again
            now = loop.now()
            alive = {node.number for node in brain.members.values() if node.alive}
            survey = brain.survey()
            effects: list[ClientEffect] = []
            if now >= again and not brain.ended:
                effects = survey.ask_anew(alive, wanted, now)
                since, again = since or survey.round, now + AGAIN
            nodes, silent = survey.missing(since, alive, wanted)
            waited = now - begun
            if waited < timeout and not brain.ended and (nodes or (silent and waited < PATIENCE)):
                return effects
            details = survey.details(now, alive)
            found.append(
                msgspec.structs.replace(
                    details, wall=time.time() - (now - details.now),
                    silent_nodes=tuple(nodes), silent=tuple(silent),
                )
            )  # fmt: skip
            return effects

        event = Flag()
        while True:
            loop.locked(look)
            if found:
                return found[0]
            survey = brain.survey()
            seen = survey.version
            loop.wait(lambda: survey.version != seen, loop.now() + LOOK, event)  # noqa: B023 - it ends here

    def holdings(self) -> list[HoldingRecord]:
        """What is held, and by whom (see `Insight.holdings`)."""
        found: list[HoldingRecord] = []

        def look() -> list[ClientEffect]:
            effects = self._brain.pump(self._loop.now())
            brain = self._brain
            found.extend(
                describing.holdings(brain.objects, brain.unfinished(), brain.host.site)
            )
            return effects

        self._loop.locked(look)
        return [
            msgspec.structs.replace(one, views=views, address=where)
            for one in found
            for where, views in [self._memory.address(one.object.owner, one.object.seq)]
        ]
