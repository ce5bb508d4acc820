"""How a machine becomes a node of a cluster elsewhere, before it has a number.

Owns the conversation Join, then Welcome or Refused, over a link that is kept
afterwards. Does not own the node. Rule: it ends in time with a number, or with
one sentence why not, and nothing left behind.
"""

from __future__ import annotations

import time

import zmq

from nbray.exceptions import VersionMismatchError
from nbray.ids import FIRST_NODE, HEAD, drawn
from nbray.runtime.shell.network.links import Links
from nbray.runtime.shell.network.probe import probe
from nbray.wire import messages as m
from nbray.wire.codec import CorruptFrame, encode, envelope, node_decoder
from nbray.wire.secret import Secret

JOIN_SECONDS = 10.0


def join(
    links: Links, address: str, secret: Secret, info: m.NodeInfo, versions: m.Versions,
    was: int = 0,
) -> m.Welcome:
    """Ask the head's node at *address* for membership; *was*: the number of a lost one.

    What came behind the answer is kept in *links* for the node.

    Raises:
        ConnectionError, AuthenticationError: as `probe`, or nobody answered.
        VersionMismatchError: the head refused.
    """
    probe(address, secret)
    now = time.monotonic()
    links.dial(FIRST_NODE, address, now)
    ticket = drawn()
    request = m.Join(0, ticket, info, versions, was)
    links.send(FIRST_NODE, [envelope(HEAD), encode(request)], now)
    decode = node_decoder().decode
    deadline = now + JOIN_SECONDS
    poller = zmq.Poller()
    for socket in links.sockets:
        poller.register(socket, zmq.POLLIN)
    while now < deadline:
        poller.poll(50)
        now = time.monotonic()
        got = links.receive(now)
        links.tick(now)
        for place, (_, frames) in enumerate(got.control):
            try:
                message = decode(frames[-1])
            except CorruptFrame:
                continue
            if isinstance(message, m.Welcome) and message.ticket == ticket:
                got.control = got.control[place + 1 :]
                links.keep(got)  # work for the node may have come with its number
                return message
            if isinstance(message, m.Refused) and message.ticket == ticket:
                raise VersionMismatchError(message.why)
        if got.lost:
            break
        # Hung up on: the secret has been proved, so it had no time or no room. It is tried again.
    raise ConnectionError(
        f"the node at {address} does not let this machine in: it is overloaded, or its cluster "
        "has just ended. See with `nbray status` on that machine"
    )
