"""What came from tasks to be shown: messages as events, and events as text of this process.

Owns the translation, and that whoever printed hears of what was shown. Does not own
how text looks where nobody else shows it (`hosting.printing`). Rule: it is shown in the order in
which it came, one thread at a time, and whatever fails in showing is reported
and holds nobody back.
"""
from __future__ import annotations

import math
import sys
import threading
import traceback
from collections.abc import Callable

from nbray.config import PRINTED_AHEAD
from nbray.events import Display, Output
from nbray.hosting.printing import print_event
from nbray.ids import node_of
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.effects import Send
from nbray.runtime.shell.client.folding import Folding
from nbray.runtime.shell.client.loop import Loop
from nbray.wire import messages as m


class Delivery:
    """What has come for this client, to be handed to *sink* (None: printed)."""

    def __init__(self, loop: Loop, brain: ClientBrain) -> None:
        self.sink: Callable[[Output | Display], None] | None = None
        self.folding = Folding()
        self._loop = loop
        self._brain = brain
        self._delivering = threading.Lock()
        self._shown: dict[int, int] = {}
        """Characters shown of what a worker printed, of which it has not heard."""

    def all(self) -> None:
        """Show what there is. Any thread that does not hold the loop's lock."""
        printed = self._brain.printed
        with self._delivering:
            while printed:
                try:
                    piece = printed.popleft()
                except IndexError:
                    return
                try:
                    event = event_of(piece, self._brain.node_name(node_of(piece.sender)))
                    (self.sink or self._print)(event)
                except Exception:  # noqa: BLE001 - a thread's edge: reported; what follows is shown
                    traceback.print_exc(file=sys.__stderr__)
                finally:  # also when Ctrl-C ends it: whoever printed would wait for ever
                    self._acknowledge(piece)
            if self.folding.due:
                self._say(self._loop.now())

    def end(self) -> None:
        """Show all, also the counts that wait for more."""
        self.all()
        with self._delivering:
            self._say(math.inf)

    def _print(self, event: Output | Display) -> None:
        if isinstance(event, Display):
            print_event(event)
            return
        for one in self.folding.take(event, self._loop.now()):
            print_event(one)

    def _say(self, now: float) -> None:
        for one in self.folding.counts(now):
            print_event(one)

    def _acknowledge(self, piece: m.Printed | m.Displayed) -> None:
        """Who printed much hears that it was shown: it waits for that (see `output`)."""
        worker = piece.sender
        size = self._shown.pop(worker, 0)
        size += len(piece.text) if isinstance(piece, m.Printed) else piece.size
        if size < PRINTED_AHEAD // 4:
            self._shown[worker] = size
        else:
            self._loop.locked(lambda: [Send(worker, m.Shown(self._brain.me, size))])


def event_of(piece: m.Printed | m.Displayed, name: str) -> Output | Display:
    """The event of a message; *name* is its node's."""
    about = (piece.cell, node_of(piece.sender), name, piece.pid, piece.task)
    if isinstance(piece, m.Printed):
        return Output(*about, piece.stream, piece.text)
    return Display(*about, piece.data, piece.metadata, piece.display_id, piece.update)
