"""A client's objects that its node has moved to disk, or may: pinned, or asked for.

Owns the pins of this client and where moved objects lie. Does not own views or entries
(`memory`). Rule: as long as the node has not asked for pins (its store was never full) there
are none, and `pins` is None, which is all that a view or a put looks at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbray.exceptions import RaySystemError
from nbray.runtime.shell.process.watching import sentence
from nbray.runtime.store.mappings import Mappings
from nbray.runtime.store.pins import Pins
from nbray.runtime.store.segments import SegmentGone
from nbray.wire import messages as m
from nbray.wire.pins import filler_pin

if TYPE_CHECKING:
    from nbray.runtime.shell.client.memory import Memory

TRIES = 10
"""How often an object is sought that moves whenever it is."""
_KNOWN = 10_000
"""Places of moved objects that are remembered."""


class Moved:
    """Those of one client, whose values are *memory*'s."""

    def __init__(self, memory: Memory, mappings: Mappings) -> None:
        self._memory = memory
        self._mappings = mappings
        self.pins: Pins | None = None
        """What this client uses, pinned; None: nobody has asked for it."""
        self._places: dict[int, m.Slot] = {}
        """By generation, where objects lie that have moved; they do not move again."""
        self._filling: set[int] = set()
        """Pins of what is being filled."""

    def use_pins(self, number: int) -> str:
        """Pin from now on what is used; why it cannot be ('': it is). Under the baton."""
        if self.pins is not None:
            return ""
        memory = self._memory
        try:
            pins = self._mappings.pins(number, memory.is_viewed)
            # From here on other threads pin what they begin to use: what they began to
            # use before is in these two lists already.
            self.pins = pins
            for slot in memory.held_views():
                pins.hold(slot)
            for pin in list(self._filling):
                pins.fill(pin)
                if pin not in self._filling:
                    pins.filled(pin)
            pins.check()
        except OSError as error:
            self.pins = None
            return sentence(error)
        return ""

    # -- filling ------------------------------------------------------------------------

    def fill(self, token: int) -> None:
        """Something is about to be filled, for which room is asked under *token*."""
        pin = filler_pin(self._memory.me, token)
        self._filling.add(pin)
        if self.pins is not None:
            self.pins.fill(pin)

    def filled(self, token: int) -> None:
        """It has been."""
        pin = filler_pin(self._memory.me, token)
        self._filling.discard(pin)
        if self.pins is not None:
            self.pins.filled(pin)

    # -- reading --------------------------------------------------------------------------

    def known(self, slot: m.Slot) -> m.Slot:
        """Where *slot* is known to lie."""
        return self._places.get(slot.generation, slot)

    def place(self, slot: m.Slot) -> m.Slot:
        """Where to read *slot*, a view of which is counted: there, pinned, or on disk.

        Raises:
            SegmentGone: it lies nowhere any more.
            RaySystemError: it moves again and again, or the node does not answer.
        """
        pins, memory = self.pins, self._memory
        if pins is None or slot.on_disk:
            return slot
        known = self._places.get(slot.generation)
        if known is not None:
            return known
        for _ in range(TRIES):
            if pins.hold(slot):
                return slot
            answer = memory.request(memory.node, lambda token: m.Where(memory.me, token, slot))
            place: m.Slot | None = answer.slot
            if place is None:
                raise SegmentGone(answer.why)
            if place.on_disk:
                while len(self._places) >= _KNOWN:
                    self._places.pop(next(iter(self._places)), None)
                self._places[slot.generation] = place
                return place
        raise RaySystemError("the object moves whenever it is read: try again")
