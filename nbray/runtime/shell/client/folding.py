"""The same block of text from many tasks, on a script's terminal: once, and then a count.

Owns which blocks are the same and when their count is said. Does not own the
printing (`delivery`). Rule: only whole lines on stderr are folded, where warnings
go; whatever is not shown is counted, at the latest a few seconds later or at the end.
"""

from __future__ import annotations

import msgspec

from nbray.config import FOLD_SECONDS
from nbray.events import Output

MOST = 200
"""Blocks that are remembered."""


class _Block:
    """A text that was shown once."""

    __slots__ = ("due", "last", "pids", "repeats", "seen")

    def __init__(self, event: Output, now: float) -> None:
        self.seen = now
        self.repeats = 0
        self.pids = {(event.node, event.pid)}
        self.last = event
        self.due = 0.0


class Folding:
    """What goes to the terminal, in order. Not thread-safe: `Delivery` has a lock."""

    def __init__(self) -> None:
        self._blocks: dict[tuple[str, str], _Block] = {}
        self.due = 0.0
        """When a count is to be said (0.0: there is none)."""

    def take(self, event: Output, now: float) -> list[Output]:
        """What is to be shown for *event*: itself, or nothing yet."""
        if event.stream != "stderr" or not event.text.endswith("\n") or "\r" in event.text:
            return [event]
        key = (event.task, event.text)
        block = self._blocks.get(key)
        if block is None or now - block.seen > FOLD_SECONDS:
            shown = self._say(block)
            if block is None and len(self._blocks) >= MOST:
                oldest = min(self._blocks, key=lambda one: self._blocks[one].seen)
                shown += self._say(self._blocks.pop(oldest))
            self._blocks[key] = _Block(event, now)
            self._next()
            return [*shown, event]
        block.seen = now
        block.repeats += 1
        block.pids.add((event.node, event.pid))
        block.last = event
        if not block.due:
            block.due = now + FOLD_SECONDS
            self._next()
        return []

    def counts(self, now: float) -> list[Output]:
        """The counts that are to be said by now (infinity: all)."""
        found: list[Output] = []
        for block in self._blocks.values():
            if block.due and block.due <= now:
                found += self._say(block)
        self._next()
        return found

    def _next(self) -> None:
        self.due = min((block.due for block in self._blocks.values() if block.due), default=0.0)

    @staticmethod
    def _say(block: _Block | None) -> list[Output]:
        if block is None or not block.repeats:
            return []
        lines = block.last.text.rstrip("\n").split("\n")
        what = f"{len(lines)} lines" if len(lines) > 1 else "line"
        times = "once" if block.repeats == 1 else f"{block.repeats:,} times"
        where = f", from {len(block.pids)} workers" if len(block.pids) > 1 else ""
        first = lines[0] if len(lines[0]) <= 80 else f"{lines[0][:77]}..."
        text = f"[the same {what} {times} more{where}: {first}]\n"
        block.repeats, block.due = 0, 0.0
        return [msgspec.structs.replace(block.last, text=text)]
