"""One reliable, ordered link between two nodes, over a carrier that loses messages.

Owns: sequence numbers, acknowledgement, replay, removal of duplicates, refusal
of stale sessions, signs of life, and the verdict that the other node is dead.
Does not own sockets or time: the shell hands in what arrived and the clock,
and sends what comes back.

Rules. A message leaves by `send`, stays in `_unacked` until the other end has
acknowledged it, and is replayed whenever the carrier reconnects (`connected`)
or the receiver says that something is missing. The receiver delivers number
n only after n - 1, and never twice. A session is one incarnation of one end:
a frame from or for any other session is refused, and a link that met such a
refusal is stale for good, because the other end has forgotten it.

Silence is counted in ticks that were observed, never by the clock alone: a
laptop that slept for an hour, or a process that was stopped, does not find
all its peers dead on waking.

A link does not mind which way its frames take: directly (0) or by way of a
third node. When the way in use has been silent for `DETOUR`, or the carrier
was lost a moment ago, it *seeks*: its signs of life are to go every way there
is. The other end answers where one comes from, and that is the way from then
on; whenever something comes directly again, that is. Which ways there are is
the business of `mesh`.

The carrier may drop, duplicate, delay and, across reconnects, reorder. While a
connection stands it is expected to keep the order; where it does not, all is
still delivered, at the cost of a replay.

After aioquic: time is an argument, and the next deadline a question one can ask.
"""

from __future__ import annotations

import enum
import struct
from collections import deque

import msgspec

from nbray.config import DETOUR, HEARTBEAT, NODE_TIMEOUT
from nbray.runtime.core.network.pieces import Joiner, cut
from nbray.runtime.core.network.pieces import Payload as Payload

_HEADER = struct.Struct("!BBQQQQ")
"""Mark, kind, sender's session, receiver's session (0: not known yet), number, acknowledged."""
_MARK = 0x4C
HEADER_SIZE = _HEADER.size

ACK_DELAY = 0.02
"""Seconds an acknowledgement waits for a message to ride on."""
ACK_FRAMES = 64
"""Messages received after which it does not wait."""
ACK_BYTES = 256 * 1024
"""Bytes received after which it does not wait."""
_LATE = 2 * HEARTBEAT
"""Seconds between two ticks beyond which this process itself was asleep."""


class Kind(enum.IntEnum):
    """What a frame of the link is."""

    DATA = 1
    """A message; its number is its own."""
    SIGN = 2
    """A sign of life and an acknowledgement; its number is the last one sent."""
    MISSING = 3
    """A sign that asks for everything after what it acknowledges."""
    REFUSED = 4
    """The receiver of this does not belong to the session it believes in."""
    SEEK = 5
    """A sign of life from an end that hears nothing: to be answered the way it came."""
    OUT = 6
    """As REFUSED, from one whom the head has told that the receiver is no member any more."""


_REFUSALS = (Kind.REFUSED, Kind.OUT)


class Received(msgspec.Struct):
    """What came of one arrival."""

    deliver: list[Payload] = []
    """Messages for the node, in order, without their headers."""
    transmit: list[Payload] = []
    """To be sent to the other node, the way that the arrival came."""
    stale: bool = False
    """The other end is another incarnation, or has given this one up: end the link."""
    out: bool = False
    """It knows from the head that this end is no member any more."""


class Link:
    """One end of the link; *session* is a random number, never 0, new for each link.

    *patience* is how many seconds of silence it bears.

    Attributes:
        dead: the other node has been silent for longer than that. Final.
        stale: the other end refused this link or was replaced. Final.
        via: the node by way of which frames go (0: directly).
        in_flight: bytes sent or waiting to be sent that are not acknowledged.
        corrupt: how many frames were.
    """

    __slots__ = (
        "_ack_due",
        "_acked_out",
        "_expected",
        "_joiner",
        "_last_tick",
        "_next",
        "_patience",
        "_peer",
        "_reported",
        "_session",
        "_sign_due",
        "_silence",
        "_taken_bytes",
        "_unacked",
        "_up",
        "_way_silence",
        "corrupt",
        "dead",
        "in_flight",
        "stale",
        "via",
    )  # fmt: skip

    def __init__(self, session: int, now: float, patience: float = NODE_TIMEOUT) -> None:
        if not 0 < session < 1 << 64:
            raise ValueError(f"a session is a number of 64 bits and not 0, not {session}")
        self._session = session
        self._patience = patience
        self._peer = 0
        self._next = 1
        self._expected = 1
        self._joiner = Joiner()
        self._unacked: deque[tuple[int, int, Payload]] = deque()
        self._acked_out = 0
        """The highest number of the other end's that we have acknowledged."""
        self._taken_bytes = 0
        self._reported = 0
        """The expected number for which a gap was last reported."""
        self._ack_due: float | None = None
        self._sign_due = now
        self._last_tick = now
        self._silence = 0.0
        self._way_silence = 0.0
        """Silence on the way in use."""
        self._up = False
        self.via = 0
        self.dead = False
        self.stale = False
        self.in_flight = 0
        self.corrupt = 0

    @property
    def up(self) -> bool:
        """Whether the direct carrier stands."""
        return self._up

    @property
    def seeking(self) -> bool:
        """Whether nothing is heard any more on the way in use."""
        return self._way_silence >= DETOUR and not self.ended

    @property
    def _stands(self) -> bool:
        """Whether there is a way; while there is none, messages wait."""
        return self._up or bool(self.via)

    @property
    def ended(self) -> bool:
        """Whether the link will never deliver again."""
        return self.dead or self.stale

    @property
    def waiting(self) -> int:
        """Messages that are not acknowledged."""
        return len(self._unacked)

    def send(self, frames: Payload) -> list[Payload]:
        """Take a message of any size for the other node; what to transmit for it now.

        Nothing, when the carrier is down (it leaves with the replay) or the
        link has ended (it is dropped: its sender learns of the node's death).
        """
        if self.ended:
            return []
        out: list[Payload] = []
        for piece in cut(frames):
            size = sum(len(frame) for frame in piece)
            number = self._next
            self._next = number + 1
            self._unacked.append((number, size, piece))
            self.in_flight += size
            if self._stands:
                out.append(self._data(number, piece))
        return out

    def connected(self, now: float) -> list[Payload]:
        """The direct carrier stands (again): all that is not acknowledged, then a sign of life.

        To be transmitted directly. It does not end the silence: a carrier may be taken up
        again and again without the process behind it ever speaking.
        """
        if self.ended:
            return []
        self._up = True
        self._sign_due = now + HEARTBEAT
        return [*self._replay(), self._sign(Kind.SIGN)]

    def lost(self) -> None:
        """The direct carrier is gone; silence keeps being counted."""
        self._up = False
        if not self.via:
            # It may be back in a moment; if not, another way is sought soon.
            self._way_silence = max(self._way_silence, DETOUR - HEARTBEAT)

    def receive(self, frames: Payload, now: float, via: int = 0) -> Received:
        """Take in what came, by way of node *via* (0: directly).

        Never raises: what is malformed is counted.
        """
        header = self._parse(frames)
        if header is None:
            self.corrupt += 1
            return Received()
        kind, theirs, ours, number, acked = header
        if kind in _REFUSALS:
            # Never answered, and believed only when it names our session.
            believed = ours == self._session and not self.dead
            if believed:
                self.stale = True
                self._drop_all()
            return Received(stale=self.stale, out=believed and kind is Kind.OUT)
        if self.ended:
            return Received(transmit=[self._refusal(theirs)], stale=self.stale)
        if (self._peer and theirs != self._peer) or (ours and ours != self._session):
            return Received(transmit=[self._refusal(theirs)])
        if acked >= self._next:
            self.corrupt += 1
            return Received()
        self._peer = theirs
        self._silence = 0.0
        self._release(acked)
        got = Received()
        self._heard(via, kind, got)
        if kind is Kind.DATA:
            self._take(number, frames, now, got)
        else:
            if kind is Kind.MISSING and self._stands:
                got.transmit.extend(self._replay())
            if kind is Kind.SEEK:
                got.transmit.append(self._sign(Kind.SIGN))
            if number >= self._expected:
                # The last number the other end sent has not come: signs keep the
                # order of messages, so it is lost.
                self._reported = self._expected
                got.transmit.append(self._sign(Kind.MISSING))
        return got

    def tick(self, now: float) -> list[Payload]:
        """Let time pass; what to transmit. Ask `dead` afterwards."""
        elapsed = max(0.0, now - self._last_tick)
        self._last_tick = now
        if self.ended:
            return []
        # A long gap between ticks is our own absence: it counts as one tick.
        silent = elapsed if elapsed <= _LATE else HEARTBEAT
        self._silence += silent
        self._way_silence += silent
        if self._silence >= self._patience:
            self.dead = True
            self._drop_all()
            return []
        seeks = self.seeking
        if not (self._stands or seeks):
            return []
        sign_due = now >= self._sign_due
        if sign_due:
            self._sign_due = now + HEARTBEAT
        if sign_due or (self._ack_due is not None and now >= self._ack_due):
            return [self._sign(Kind.SEEK if seeks else Kind.SIGN)]
        return []

    def next_deadline(self) -> float:
        """When `tick` wants to be called, at the latest."""
        due = self._last_tick + HEARTBEAT
        if self.ended or not (self._stands or self.seeking):
            return due
        if self._ack_due is not None and self._ack_due < due:
            due = self._ack_due
        return min(due, self._sign_due)

    # -- within ------------------------------------------------------------------

    def _heard(self, via: int, kind: Kind, got: Received) -> None:
        """Something came by way of *via*: is that the way from now on?"""
        if via != self.via:
            if via:
                # The other end seeks because it does not hear us where we send.
                takes = self.seeking or (kind is Kind.SEEK and not self.via)
            else:
                takes = self._up
            if not takes:
                return
            self.via = via
            if via:
                got.transmit.extend(self._replay())
        self._way_silence = 0.0

    def _take(self, number: int, frames: Payload, now: float, got: Received) -> None:
        expected = self._expected
        if number == expected:
            self._expected = expected + 1
            whole = self._joiner.add(frames[1:])
            if whole is not None:
                got.deliver.append(whole)
            self._taken_bytes += sum(len(frame) for frame in frames)
            if (
                number - self._acked_out >= ACK_FRAMES or self._taken_bytes >= ACK_BYTES
            ) and self._stands:
                got.transmit.append(self._sign(Kind.SIGN))
            elif self._ack_due is None:
                self._ack_due = now + ACK_DELAY
        elif number < expected:
            if self._ack_due is None:
                self._ack_due = now + ACK_DELAY
        elif self._reported != expected:
            # Once for each gap: everything after it is out of order too.
            self._reported = expected
            got.transmit.append(self._sign(Kind.MISSING))

    def _drop_all(self) -> None:
        self._unacked.clear()
        self.in_flight = 0

    def _release(self, acked: int) -> None:
        unacked = self._unacked
        while unacked and unacked[0][0] <= acked:
            self.in_flight -= unacked.popleft()[1]

    def _replay(self) -> list[Payload]:
        return [self._data(number, frames) for number, _, frames in self._unacked]

    def _data(self, number: int, frames: Payload) -> Payload:
        return [self._header(Kind.DATA, number), *frames]

    def _sign(self, kind: Kind) -> Payload:
        return [self._header(kind, self._next - 1)]

    def _header(self, kind: Kind, number: int) -> bytes:
        acked = self._expected - 1
        self._acked_out = acked
        self._taken_bytes = 0
        self._ack_due = None
        return _HEADER.pack(_MARK, kind, self._session, self._peer, number, acked)

    def _refusal(self, theirs: int) -> Payload:
        """A frame that tells the session *theirs* that it is not wanted here."""
        return [_HEADER.pack(_MARK, Kind.REFUSED, self._session, theirs, 0, 0)]

    @staticmethod
    def _parse(frames: Payload) -> tuple[Kind, int, int, int, int] | None:
        if not frames or len(frames[0]) != HEADER_SIZE:
            return None
        mark, code, theirs, ours, number, acked = _HEADER.unpack(frames[0])
        if mark != _MARK or not theirs or not Kind.DATA <= code <= Kind.OUT:
            return None
        kind = Kind(code)
        # Data has a number and something to deliver; nothing else carries frames.
        if (kind is Kind.DATA) != (len(frames) > 1) or (kind is Kind.DATA and not number):
            return None
        return kind, theirs, ours, number, acked


def refusal(frames: Payload, session: int, out: bool = False) -> Payload | None:
    """The answer to a frame from a node with which there is no link (it was given up).

    *session* is any number that is not 0, *out* whether the head has said that the node is no
    member any more. None if the frame is no link's, or is a refusal itself: refusals are never
    answered.
    """
    parsed = Link._parse(frames)
    if parsed is None or parsed[0] in _REFUSALS:
        return None
    kind = Kind.OUT if out else Kind.REFUSED
    return [_HEADER.pack(_MARK, kind, session, parsed[1], 0, 0)]


def opens(frames: Payload) -> bool:
    """Whether this is a frame of a link whose other end has not heard of any session yet."""
    parsed = Link._parse(frames)
    return parsed is not None and parsed[0] not in _REFUSALS and not parsed[2]
