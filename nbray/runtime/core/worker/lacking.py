"""A task that could not begin, because what it takes was lost on its way.

Owns what its caller is told. Does not own what follows (`core.client.lineage`). Rule: it goes
back, so that its worker may run what makes its argument again; an actor, whose calls have an
order, waits instead.
"""

from __future__ import annotations

from collections.abc import Sequence

from nbray.runtime.core.effects import ClientEffect, Send
from nbray.runtime.core.worker.brain import Item, WorkerBrain
from nbray.wire.messages import Bounced, Ref, Slot


def given_back(
    worker: WorkerBrain, item: Item, copies: Sequence[tuple[Ref, Sequence[Slot]]]
) -> list[ClientEffect]:
    """*item* goes back to its caller: there are no such copies of what it takes."""
    gone = [(key, list(slots)) for key, slots in copies]
    return [*worker.flush(), Send(item.caller, Bounced(worker.me, [item.seq], gone=gone))]
