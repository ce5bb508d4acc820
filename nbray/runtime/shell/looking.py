"""Looking around: what all processes of the cluster do, as one client may ask.

Owns the lock around the survey. Does not own the questions and answers
(`core.survey`, `core.describing`).
"""

from __future__ import annotations

import time

from nbray.details import Details
from nbray.runtime.core.client import ClientBrain
from nbray.runtime.core.effects import Effect
from nbray.runtime.core.survey import Survey
from nbray.runtime.shell.loop import Loop


def look_around(loop: Loop, brain: ClientBrain, wanted: int) -> Details:
    """What is known so far; asks for more (see `Engine.details`)."""
    now = time.monotonic()
    found: list[Details] = []

    def look() -> list[Effect]:
        alive = {node.number for node in brain.members.values() if node.alive}
        survey = brain.survey
        if survey is None:
            survey = brain.survey = Survey(brain.me)
        found.append(survey.details(now, alive))
        return survey.ask(alive, wanted, now) if not brain.ended else []

    loop.locked(look)
    return found[0]
