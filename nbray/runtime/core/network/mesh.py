"""All links of one node, and the ways their frames take: directly, or by way of a third node.

Owns which `Link` belongs to which peer, who may call a peer dead, and detours.
Does not own carriers: the shell says what arrived where, and sends what comes
back over the lane that is named beside it.

Rules. Who is dead is decided in one place, or two nodes that lose each other
would judge differently and neither would tell the rest: a link between two
nodes that are not the head's never dies of silence; it ends when the head says
that the other node is gone. The head's machine decides by its own links. A
node that does not hear the head waits, because the head may be asleep, and
believes that it is out when the head's machine refuses it, or another member
does because the head has counted it out: who has no way to the head is told so.

A carrier that was dialled from the other end may be given up there. So a node
that hears nothing of a member dials it too, and one that does not hear the
head and has no third node to go by dials some.

Two nodes that do not hear each other but both hear a third speak by way of
that one. It passes frames on unread, as they come, over a standing direct
carrier or not at all, so nothing goes round in circles; what is lost on the way
the link replays.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence

import msgspec

from nbray.config import HEAD_PATIENCE, NODE_TIMEOUT
from nbray.ids import FIRST_NODE
from nbray.runtime.core.network.link import Link, Payload, opens, refusal

_DETOUR = struct.Struct("!BBQQ")
"""Mark, version, the node a frame comes from, the node it is for."""
_MARK = 0x44
WAYS = 3
"""Third nodes that are tried at a time."""
SILENT = "its machine does not answer any more"
ANEW = "it has counted this machine out, or started anew"
TOLD = "it has counted this machine out, as node {} says"

Out = tuple[int, Payload]
"""(the peer to whose lane it goes, what)."""


class Got(msgspec.Struct):
    """What came of one step."""

    deliver: list[tuple[int, Payload]] = []
    """(peer, frames), in order for each peer."""
    out: list[Out] = []
    lost: list[tuple[int, str]] = []
    """Peers whose link has ended, and why."""
    dial: list[int] = []
    """Members to which a carrier is wanted (again, perhaps): nothing is heard of them, or others
    want to speak to them by way of this node."""


def patience(me: int, peer: int) -> float:
    """Seconds of silence after which node *me* takes the link to *peer* for dead.

    *me* is 0 before a node has its number, *peer* negative before it has one.
    """
    if peer < 0 or me == FIRST_NODE:
        return NODE_TIMEOUT
    return HEAD_PATIENCE if peer == FIRST_NODE else float("inf")


class Mesh:
    """The links of node *number* (0: not known yet).

    *session* gives the number of a new session; *alive* says whether the head
    counts a node as a member, *members* which ones it does.
    """

    def __init__(
        self,
        session: Callable[[], int],
        alive: Callable[[int], bool],
        members: Callable[[], Iterable[int]],
        number: int = 0,
    ) -> None:
        self._session = session
        self._alive = alive
        self._members = members
        self.number = number
        self.links: dict[int, Link] = {}
        self._refusals = session()
        """The session that refusals of unknown links are sent from."""
        self._out: set[int] = set()
        """Nodes that the head has counted out. Numbers are never used twice."""

    # -- links ----------------------------------------------------------------------

    def open(self, peer: int, now: float) -> Link:
        """The link to a peer, made if there is none."""
        link = self.links.get(peer)
        if link is None:
            link = Link(self._session(), now, patience(self.number, peer))
            self.links[peer] = link
        return link

    def adopt(self, peer: int, number: int) -> None:
        """The unnumbered *peer* is node *number* from now on."""
        link = self.links.pop(peer, None)
        if link is not None:
            self.links[number] = link

    def forget(self, peer: int) -> None:
        """The head has counted a peer out: whatever still comes from it is answered with that."""
        self.links.pop(peer, None)
        self._out.add(peer)

    def is_out(self, peer: int) -> bool:
        """Whether the head has counted a peer out."""
        return peer in self._out

    def connected(self, peer: int, now: float) -> list[Out]:
        """The direct carrier to a peer stands."""
        if peer in self._out:
            return []
        return [(peer, payload) for payload in self.open(peer, now).connected(now)]

    def disconnected(self, peer: int) -> None:
        """The direct carrier to a peer broke."""
        link = self.links.get(peer)
        if link is not None:
            link.lost()

    # -- messages -------------------------------------------------------------------

    def send(self, peer: int, frames: Payload) -> list[Out]:
        """Take a message for a peer to which there is a link."""
        link = self.links[peer]
        return self._by(link.via, peer, link.send(frames))

    def arrived(self, lane: int, frames: Payload, now: float) -> Got:
        """Something came over the control lane of peer *lane*."""
        got = Got()
        ends = _detour(frames)
        if ends is None:
            self._take(lane, 0, frames, now, got)
        elif ends[1] == self.number:
            self._take(ends[0], lane, frames[1:], now, got)
        else:
            self._pass_on(ends[1], frames, got)
        return got

    def _take(self, peer: int, via: int, frames: Payload, now: float, got: Got) -> None:
        link = self.links.get(peer)
        if link is None and via and self._alive(peer) and opens(frames):
            link = self.open(peer, now)  # it never reached us directly
        if link is None:
            answer = refusal(frames, self._refusals, peer in self._out)
            if answer is not None:
                got.out.extend(self._by(via, peer, [answer]))
            return
        result = link.receive(frames, now, via)
        got.out.extend(self._by(via, peer, result.transmit))
        got.deliver.extend((peer, payload) for payload in result.deliver)
        if result.stale:
            got.lost.append((peer, ANEW))
        if result.out and peer != FIRST_NODE:
            got.lost.append((FIRST_NODE, TOLD.format(peer)))

    # -- bulk -----------------------------------------------------------------------

    def bulk(self, peer: int, frames: Payload) -> Out:
        """On whose bulk lane a bulk message for a peer goes, and how."""
        link = self.links.get(peer)
        return self._by(link.via if link is not None else 0, peer, [frames])[0]

    def bulk_arrived(self, lane: int, frames: Payload) -> Got:
        """Something came over the bulk lane of peer *lane*."""
        got = Got()
        ends = _detour(frames)
        peer = lane if ends is None else ends[0]
        if ends is not None and ends[1] != self.number:
            self._pass_on(ends[1], frames, got)
        elif peer in self.links:
            got.deliver.append((peer, frames if ends is None else frames[1:]))
        return got

    # -- time -----------------------------------------------------------------------

    def tick(self, now: float) -> Got:
        """Let time pass: signs of life, acknowledgements, deaths."""
        got = Got()
        for peer, link in self.links.items():
            payloads = link.tick(now)
            if link.dead:
                got.lost.append((peer, SILENT))
            elif payloads and link.seeking:
                ways = self._ways(peer)
                for via in (0, *ways):
                    got.out.extend(self._by(via, peer, payloads))
                got.dial.extend(self._wanted(peer, link, ways))
            else:
                got.out.extend(self._by(link.via, peer, payloads))
        return got

    def next_deadline(self) -> float | None:
        """When `tick` has something to do."""
        return min((link.next_deadline() for link in self.links.values()), default=None)

    # -- within ---------------------------------------------------------------------

    def _by(self, via: int, peer: int, payloads: Sequence[Payload]) -> list[Out]:
        if not via:
            return [(peer, payload) for payload in payloads]
        header = _DETOUR.pack(_MARK, 1, self.number, peer)
        return [(via, [header, *payload]) for payload in payloads]

    def _pass_on(self, target: int, frames: Payload, got: Got) -> None:
        link = self.links.get(target)
        if link is None:
            if self._alive(target):
                got.dial.append(target)  # it will be tried again
        elif link.up:
            got.out.append((target, frames))

    def _ways(self, peer: int) -> list[int]:
        """Nodes by way of which *peer* may be reached; the head's first."""
        if not self.number or peer < 0:
            return []
        heard = (
            other
            for other, link in self.links.items()
            if other > 0 and other != peer and link.up and not link.via and not link.seeking
        )
        return sorted(heard)[:WAYS]

    def _wanted(self, peer: int, link: Link, ways: Sequence[int]) -> list[int]:
        """Whom to dial because nothing is heard of *peer*. Nobody waits for the head to dial."""
        if self.number in (0, FIRST_NODE) or peer < 0:
            return []
        found = [peer] if not link.up and self._alive(peer) else []
        if peer == FIRST_NODE and not ways:
            # Those after this one, and on from the first: not all who lose the head ask the same.
            others = sorted(self._members(), key=lambda one: (one <= self.number, one))
            found += [
                one for one in others
                if one not in self.links and one not in (self.number, FIRST_NODE)
            ][:WAYS]  # fmt: skip
        return found


def _detour(frames: Payload) -> tuple[int, int] | None:
    """(origin, target) of what comes by way of a third node."""
    if len(frames) < 2 or len(frames[0]) != _DETOUR.size:
        return None
    mark, version, origin, target = _DETOUR.unpack(frames[0])
    return (origin, target) if (mark, version) == (_MARK, 1) and origin and target else None
