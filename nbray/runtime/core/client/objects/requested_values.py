"""Values of this client's objects that others have asked for.

Owns who waits for which, and the messages in which values go out. Does not own the
objects. Rule: an answer goes out at the end of the pump in which it was found, with
all others for the same client.
"""

from __future__ import annotations

from collections import defaultdict

from nbray.runtime.core.client.objects.objects import PENDING, Entry, Objects
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.wire.messages import Locate, Located, Value

MOST_LOCATED = 4 << 20
"""Bytes of values after which the rest goes in a further message."""


class RequestedValues:
    """What one client answers to `Locate`."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._located: defaultdict[int, list[tuple[int, Value]]] = defaultdict(list)

    @property
    def restless(self) -> bool:
        """Whether there are answers to send."""
        return bool(self._located)

    def locate(self, message: Locate) -> None:
        """A borrower wants values; answered by the next `send`, or when they are ready."""
        objects = self._objects
        for seq in message.seqs:
            entry = objects.owned.get(seq)
            if entry is None:
                self._located[message.sender].append((seq, Value(b"", failed=True)))
            elif entry.state == PENDING:
                entry.put_waiter(_Borrower(self, message.sender))
            else:
                self._located[message.sender].append((seq, objects.value_of(entry)))

    def later(self, client: int, entry: Entry) -> None:
        """Note an answer for *client*."""
        self._located[client].append((entry.key[1], self._objects.value_of(entry)))

    def send(self) -> list[ClientEffect]:
        """The messages that have gathered. The last step of a pump."""
        self._objects.gathered()
        if not self._located:
            return []
        effects: list[ClientEffect] = []
        me = self._objects.me
        for client, values in self._located.items():
            if self._objects.lost(client) is not None:
                continue
            first = size = 0
            for index, (_, value) in enumerate(values):
                size += len(value.data)
                if size > MOST_LOCATED:
                    effects.append(Send(client, Located(me, values[first : index + 1])))
                    first, size = index + 1, 0
            if first < len(values):
                effects.append(Send(client, Located(me, values[first:])))
        self._located.clear()
        return effects


class _Borrower:
    """A client elsewhere that waits for an object of ours."""

    __slots__ = ("_answers", "_client")

    def __init__(self, answers: RequestedValues, client: int) -> None:
        self._answers = answers
        self._client = client

    def settle(self, entry: Entry) -> None:
        self._answers.later(self._client, entry)
