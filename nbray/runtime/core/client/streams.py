"""The returns of tasks that yield: what has come of each, and what nobody wants any more.

Owns the records of streams at their owner. Does not own the tasks (`tasks`), the
objects (`objects`), or the reading (the shell's `client/streams.py`).

Rules. The returns of a stream are numbered from the number of its task on, which itself names
the object that says how the task has ended. A small value that has come lies in `Stream.fresh`
and is an object only when it is taken; everything else is one at once. A task that is tried
again yields from the beginning: what is known is not taken twice.
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import Any

from nbray.config import UNREAD_BYTES, UNREAD_TOLD
from nbray.options import DYNAMIC
from nbray.runtime.core.client.objects.objects import PENDING, Objects
from nbray.runtime.core.client.task_records import ErrorMaker, Task, Work
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.wire.messages import Cancel, Taken, Value, Yielded

STREAMS = 1 << 61
"""Tasks that yield are numbered from here, each with a block of `MOST_YIELDED`."""
MOST_YIELDED = 1 << 32


class StreamTask(Task):
    """A task or call whose returns come while it runs."""

    __slots__ = ("stream",)

    def __init__(self, seq: int, work: Work, args: bytes, returns: int) -> None:
        super().__init__(seq, work, args, returns)
        self.stream = Stream(self)


class Stream:
    """What has come of one task."""

    __slots__ = ("arrived", "bytes", "closed", "ended", "failed", "first", "fresh", "kept", "most",
                 "most_bytes", "promised", "runs_out", "taken", "task", "tells")  # fmt: skip

    def __init__(self, task: Task) -> None:
        self.task = task
        self.first = task.seq + 1
        """The number of its first return."""
        self.arrived = 0
        """How many returns have come."""
        self.taken = 0
        """How many of them were taken by the reader, who alone writes this."""
        self.fresh: deque[bytes | None] = deque()
        """What has come and was not taken: small values; None for what is an object already."""
        self.promised = -1
        """The return that is waited for: an object that is to be made."""
        self.ended = False
        self.failed = False
        """It ended with an error that is no return."""
        self.closed = False
        """Nobody reads it any more."""
        self.most = task.work.spec.most_unread
        """With so many unread the task pauses (0: never)."""
        self.kept = task.returns == DYNAMIC
        """All are kept for the value of the task, which names them."""
        self.bytes = 0
        """What its returns take in the store, taken ones included."""
        self.most_bytes: float = UNREAD_BYTES
        """With so many in the store unread the task pauses."""
        self.tells = 0
        """The task is told how far the reader is once so many were taken (0: no need to)."""
        self.runs_out = False
        """Its end is waited for, be what it yields read or not."""

    @property
    def unread(self) -> int:
        """Bytes in the store that are not taken, on average."""
        return self.bytes * (self.arrived - self.taken) // max(1, self.arrived)

    @property
    def waits(self) -> bool:
        """Whether the task waits for its reader."""
        if self.ended or self.runs_out:
            return False
        if self.most and self.arrived - self.taken >= self.most:
            return True
        one = self.bytes // max(1, self.arrived)
        return bool(self.tells) and self.unread + one >= self.most_bytes

    @property
    def gap(self) -> int:
        """How many returns may be taken before the task is told so."""
        return max(1, UNREAD_TOLD * self.arrived // max(1, self.bytes))


class Streams:
    """Those of one client."""

    def __init__(self, objects: Objects, error: ErrorMaker) -> None:
        self._objects = objects
        self._me = objects.me
        self._error = error
        self.numbers = itertools.count(STREAMS, MOST_YIELDED)
        """Of further tasks that yield."""
        self.paced: dict[int, Stream] = {}
        """Those that pause for their readers and have not ended, by task."""
        self.most_bytes: float = UNREAD_BYTES
        """See `Stream.most_bytes`."""

    # -- what comes -------------------------------------------------------------

    def yielded(self, message: Yielded) -> list[ClientEffect]:
        """A running task has yielded."""
        objects = self._objects
        task = objects.running(message.seq)
        lease = task.lease if isinstance(task, StreamTask) else None
        others = message.others
        effects: list[ClientEffect] = []
        if lease is not None and lease.worker == message.sender and task.stream.ended:
            return self._once_more(task.stream, message)
        if lease is None or lease.worker != message.sender or task.stream.closed:
            # Nobody reads it any more, or the task was tried again elsewhere.
            for place, value in others.items():
                number = message.seq + 1 + message.first + place
                self._refuse(message.sender, number, value, effects)
            return effects
        stream = task.stream
        known = stream.arrived - message.first
        if not others and not known and stream.promised < stream.arrived and not stream.kept:
            stream.fresh.extend(message.values)  # mostly
            stream.arrived += len(message.values)
            stream.task.work.tally.yielded += len(message.values)
            return effects
        stream.task.work.tally.yielded += max(0, len(message.values) - max(0, known))
        for place, data in enumerate(message.values):
            one = others.get(place)
            if place >= known:
                effects += self._add(stream, data, one, message.sender)
            else:
                number = message.seq + 1 + message.first + place
                self._known(number, data, one, message.sender, effects)
        if known > 0 and (stream.most or stream.tells):
            # Who tries it again does not know how far its reader is.
            effects += self.took(stream)
        return effects

    def _once_more(self, stream: Stream, message: Yielded) -> list[ClientEffect]:
        """A task that had ended runs again: some of what it had yielded was lost."""
        effects: list[ClientEffect] = []
        for place, data in enumerate(message.values):
            number = stream.first + message.first + place
            self._known(number, data, message.others.get(place), message.sender, effects)
        if stream.most or stream.tells:
            read = message.first + len(message.values)
            effects.append(Send(message.sender, Taken(self._me, message.seq, read)))
        return effects

    def _known(
        self, number: int, data: bytes, value: Value | None, worker: int,
        effects: list[ClientEffect],
    ) -> None:  # fmt: skip
        """A return that had come before: its value is wanted if that was lost."""
        objects = self._objects
        entry = objects.owned.get(number)
        if entry is not None and entry.state == PENDING:
            if value is None:
                objects.settle(entry, data, effects)
            else:
                effects += objects.resolve(entry, value)
                if value.refs:
                    effects += objects.settle_added()
                    objects.confirm(worker, -number, value.refs, effects)
        elif value is not None:
            self._refuse(worker, number, value, effects)

    def _refuse(
        self, worker: int, number: int, value: Value, effects: list[ClientEffect]
    ) -> None:
        """Nobody wants this return."""
        effects += self._objects.free_slots(value.slots)
        if value.refs:
            self._objects.confirm(worker, -number, (), effects)

    def _add(
        self, stream: Stream, data: bytes, value: Value | None, worker: int
    ) -> list[ClientEffect]:
        """The next return has come."""
        objects = self._objects
        index = stream.arrived
        number = stream.first + index
        effects: list[ClientEffect] = []
        if index == stream.promised:
            entry = objects.owned.get(number)
            if entry is not None:
                if value is None:
                    objects.settle(entry, data, effects)
                else:
                    effects += objects.resolve(entry, value)
        elif value is None and not stream.kept:
            stream.fresh.append(data)
        else:
            objects.promise(None, number, 1)
            entry = objects.owned[number]
            if value is not None and value.slots:
                objects.made_by(entry, stream.task)
            effects += objects.resolve(entry, value or Value(data))
            stream.fresh.append(None)
        stream.arrived = index + 1
        if value is not None and value.slots and not stream.kept:
            stream.bytes += value.slots[0].size
            if not stream.tells and stream.bytes >= UNREAD_TOLD:
                stream.tells, stream.most_bytes = 1, self.most_bytes
                self.paced[stream.task.seq] = stream
                if stream.runs_out:
                    effects += self.took(stream)
        if value is not None and value.refs and worker:
            effects += objects.settle_added()
            objects.confirm(worker, -number, value.refs, effects)
        return effects

    def end(self, task: StreamTask, values: list[Value], worker: int) -> list[ClientEffect]:
        """The task ends with *values*: its own, and the error that is its last return, if any."""
        stream = task.stream
        effects: list[ClientEffect] = []
        if len(values) > 1 and not stream.closed:
            effects += self._add(stream, b"", values[1], worker)
        stream.failed = values[0].failed
        stream.ended = True
        self.paced.pop(task.seq, None)
        if stream.promised == stream.arrived:
            entry = self._objects.owned.get(stream.first + stream.promised)
            if entry is not None:  # whoever waits for it looks at the end
                error = self._error("ObjectRefStreamEndOfStreamError", "the stream has ended")
                effects += self._objects.resolve(entry, Value(error, failed=True))
        return effects

    def let_go(self, stream: Stream) -> None:
        """What has come and was not taken is held by nobody any more."""
        fresh = stream.fresh
        number = stream.first + stream.arrived - len(fresh)
        self._objects.drop(
            (self._me, number + place) for place, one in enumerate(fresh) if one is None
        )
        fresh.clear()

    # -- its reader ---------------------------------------------------------------

    def opened(self, stream: Stream) -> list[ClientEffect]:
        """A stream begins that pauses for its reader."""
        self.paced[stream.task.seq] = stream
        return []

    def took(self, stream: Stream) -> list[ClientEffect]:
        """The reader has taken some: a task that pauses for it may go on."""
        lease = stream.task.lease
        if lease is None or stream.ended:
            return []
        count = MOST_YIELDED if stream.runs_out else stream.taken
        if stream.tells:
            stream.tells = stream.taken + stream.gap
        return [Send(lease.worker, Taken(self._me, stream.task.seq, count))]

    def run_out(self, stream: Stream) -> list[ClientEffect]:
        """The end of the task is about to be waited for: it pauses for its reader no longer.

        One that was told how many may be unread does: that is what its caller wants.
        """
        if stream.most:
            return []
        stream.runs_out = True
        return self.took(stream) if stream.tells else []

    def cut(self, stream: Stream) -> None:
        """The task is cancelled: what was not taken is gone, and its error comes next."""
        if not stream.ended and not stream.kept:
            stream.closed = True
            self.let_go(stream)
            stream.arrived = stream.taken

    def close(self, stream: Stream, withdraw: Any) -> list[ClientEffect]:
        """Nobody reads it any more. *withdraw* cancels a task that is at no worker."""
        stream.closed = True
        self.let_go(stream)
        task = stream.task
        if stream.ended or task.cancelled:
            return []
        if task.lease is None:
            found: list[ClientEffect] = withdraw(task)
            return found
        task.cancelled = True  # it is not tried again
        return [Send(task.lease.worker, Cancel(self._me, [task.seq], gently=True))]


__all__ = ["MOST_YIELDED", "STREAMS", "Stream", "StreamTask", "Streams"]
