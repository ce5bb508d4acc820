"""The reader of a task that yields: what `ObjectRefGenerator` asks of the native engine.

Owns how far one reader is. Does not own what has come (`core.client.streams`). Rules: what is
there is taken without the loop's lock; whoever has to wait has an object promised, and waits for
that as for any other. One thread at a time reads; any may drop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbray.refs import ObjectRef
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.client.streams import Stream
from nbray.runtime.core.effects import ClientEffect
from nbray.runtime.shell.client.loop import Loop

if TYPE_CHECKING:
    from nbray.engine import Engine


class NativeStream:
    """The returns of one running task. See `nbray.generators.Stream` for the methods."""

    __slots__ = ("_brain", "_completed", "_drop", "_engine", "_first", "_fresh", "_have", "_loop",
                 "_me", "_most", "_peeked", "_raised", "_stream")  # fmt: skip

    def __init__(
        self, stream: Stream, completed: ObjectRef[Any], brain: ClientBrain, loop: Loop,
        engine: Engine,
    ) -> None:  # fmt: skip
        self._stream = stream
        self._completed = completed
        self._brain = brain
        self._loop = loop
        self._engine = engine
        self._me = brain.me
        self._first = stream.first
        self._fresh = stream.fresh
        self._most = stream.most
        self._have = brain.objects.have
        self._drop = brain.objects.dropped.append
        self._peeked: ObjectRef[Any] | None = None
        """The next return, where it is an object already that nobody has taken."""
        self._raised = False
        """The error with which the task ended was given as its last return."""

    @property
    def completed(self) -> ObjectRef[Any]:
        """See the protocol."""
        return self._completed

    @property
    def finished(self) -> bool:
        """See the protocol."""
        stream = self._stream
        over = stream.ended and stream.taken >= stream.arrived
        return over and (self._raised or not stream.failed)

    def take(self) -> ObjectRef[Any] | None:
        """See the protocol."""
        stream = self._stream
        if self._peeked is None:
            try:
                data = self._fresh.popleft()
            except IndexError:
                return self._end()
            number = self._first + stream.taken
            if data is not None:
                self._have(number, data)
            stream.taken += 1
            if self._most or 0 < stream.tells <= stream.taken:
                self._go_on()
            return ObjectRef(self._me, number, self._engine, self._drop)
        if stream.taken >= stream.arrived:
            return self._end()
        ref, self._peeked = self._peeked, None
        stream.taken += 1
        if self._most or 0 < stream.tells <= stream.taken:
            self._go_on()
        return ref

    def _end(self) -> ObjectRef[Any] | None:
        """Nothing is there: is that all?"""
        stream = self._stream
        if not stream.ended:
            return None
        if stream.taken < stream.arrived:  # it has just come
            return self.take()
        self._peeked = None
        if stream.failed and not self._raised:
            self._raised = True
            return self._completed
        raise StopIteration

    def _go_on(self) -> None:
        """A task that waits for its reader may go on."""
        stream = self._stream
        self._loop.locked(lambda: self._brain.tasks.streams.took(stream))

    def peek(self) -> ObjectRef[Any]:
        """See the protocol."""
        stream = self._stream
        if self._peeked is None and not stream.closed:
            self._loop.locked(self._promise)
        over = stream.closed or stream.ended  # cut off: the object may be there, and is not given
        if self._peeked is None or (over and stream.taken >= stream.arrived):
            return self._completed
        return self._peeked

    def _promise(self) -> list[ClientEffect]:
        """Have the next return be an object, unless there is none."""
        stream, objects = self._stream, self._brain.objects
        effects = self._brain.pump(self._loop.now())
        number = self._first + stream.taken
        if self._fresh:
            data = self._fresh.popleft()
            if data is not None:
                objects.have(number, data)
        elif stream.ended:
            return effects
        else:
            if stream.tells:  # all was taken, and the task may not know it
                effects += self._brain.tasks.streams.took(stream)
            stream.promised = stream.taken
            objects.promise(stream.task, number, 1)
        self._peeked = ObjectRef(self._me, number, self._engine, self._drop)
        return effects

    def run_out(self) -> None:
        """See the protocol. It runs by itself, unless it has yielded much that is not read."""
        stream = self._stream
        self._loop.locked(lambda: self._brain.tasks.streams.run_out(stream))

    def close(self) -> None:
        """See the protocol. It may run inside garbage collection: a single operation."""
        brain = self._brain
        brain.submitted.append((brain.close_stream, self._stream))
