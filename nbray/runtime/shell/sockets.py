"""A process's own sockets on its machine: one inbox, and one outgoing pipe a peer.

Owns ipc sockets and nothing else (`lanes` owns TCP). Rules: one thread at a
time may touch an object of this class (the baton of `loop`); sends never
block, because there is no high-water mark and the brains count what is in
flight; a path belongs to one incarnation of a process and is never used again,
so that nothing can reach the wrong process.

Every process PULLs from its inbox and PUSHes to the inboxes of others. A pipe
to a peer that died is closed when the brain says `Forget`.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import zmq

from nbray.ids import client_hex, node_client, node_of
from nbray.wire.codec import encode, envelope

MAX_FRAME = 1 << 30
"""Bytes; a larger frame on an inbox is refused by ZeroMQ itself."""

MOST_AT_ONCE = 1000
"""Messages that one `receive` takes."""


class Post:
    """Sends and receives frames for client *me* within one session directory."""

    def __init__(self, me: int, directory: Path) -> None:
        self.me = me
        self._directory = directory
        self._node = node_of(me)
        self._node_client = node_client(self._node)
        self._context = zmq.Context(io_threads=1)
        self._context.set(zmq.MAX_SOCKETS, 8192)
        self._pipes: dict[int, zmq.Socket[bytes]] = {}
        self._forgotten: set[int] = set()
        """Peers that are dead; their numbers are never used again."""
        self.inbox: zmq.Socket[bytes] = self._context.socket(zmq.PULL)
        self.inbox.set(zmq.RCVHWM, 0)
        self.inbox.set(zmq.MAXMSGSIZE, MAX_FRAME)
        self.inbox.bind(self._address(me))
        self.fd = int(self.inbox.get(zmq.FD))
        """Readable when there may be news; edge-triggered: drain with `receive` after it fires."""

    @property
    def context(self) -> zmq.Context[zmq.Socket[bytes]]:
        """The process's ZeroMQ context, for further sockets."""
        return self._context

    def _path(self, client: int) -> Path:
        return self._directory / client_hex(client)

    def _address(self, client: int) -> str:
        return f"ipc://{self._path(client)}"

    def _pipe(self, client: int) -> zmq.Socket[bytes]:
        pipe = self._pipes.get(client)
        if pipe is None:
            pipe = self._context.socket(zmq.PUSH)
            pipe.set(zmq.SNDHWM, 0)
            pipe.set(zmq.LINGER, 0)
            pipe.set(zmq.RECONNECT_IVL, 1)
            pipe.set(zmq.RECONNECT_IVL_MAX, 100)
            pipe.connect(self._address(client))
            self._pipes[client] = pipe
        return pipe

    def send(self, to: int, message: Any) -> None:
        """Encode and send; by way of this machine's node if *to* lives elsewhere."""
        self.send_frames(to, [encode(message)])

    def send_frames(self, to: int, frames: list[bytes | memoryview]) -> None:
        """Send encoded frames."""
        if node_of(to) == self._node:
            if to in self._forgotten:
                return  # a new pipe would wait for it for ever
            pipe = self._pipe(to)
            if len(frames) == 1:
                pipe.send(frames[0], zmq.NOBLOCK)
            else:
                pipe.send_multipart(frames, zmq.NOBLOCK)
        else:
            self._pipe(self._node_client).send_multipart([envelope(to), *frames], zmq.NOBLOCK)

    def receive(self, limit: int = MOST_AT_ONCE) -> list[list[bytes]]:
        """Messages that have arrived (lists of frames), at most *limit*; never blocks."""
        got: list[list[bytes]] = []
        inbox = self.inbox
        with contextlib.suppress(zmq.Again):
            while len(got) < limit:
                got.append(inbox.recv_multipart(zmq.NOBLOCK))
        return got

    def pending(self) -> bool:
        """Whether a message can be received now."""
        return bool(int(self.inbox.get(zmq.EVENTS)) & zmq.POLLIN)

    def forget(self, client: int) -> None:
        """Close the pipe to a process that is dead or gone; nothing is sent to it any more."""
        self._forgotten.add(client)
        pipe = self._pipes.pop(client, None)
        if pipe is not None:
            pipe.close(0)

    def close(self, linger: float = 0.0) -> None:
        """Close everything; messages on their way get *linger* seconds to leave."""
        milliseconds = int(linger * 1000)
        for pipe in self._pipes.values():
            pipe.close(milliseconds)
        self._pipes.clear()
        self.inbox.close(0)
        with contextlib.suppress(OSError):
            os.unlink(self._path(self.me))
        self._context.term()
