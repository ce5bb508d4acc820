"""A process's own sockets on its machine: one inbox, and one outgoing pipe a peer.

Owns Unix stream sockets and nothing else (`lanes` owns TCP). Rules: one thread
at a time may touch an object of this class (the baton of `loop`); sends never
block: what the kernel does not take at once waits here and leaves when the
pipe can be written, and the brains count what is in flight; a path belongs to
one incarnation of a process and is never used again, so that nothing can reach
the wrong process.

Every process listens at its inbox and connects to the inboxes of others; a
connection carries messages one way. A message is its frames, each preceded by
its length (`_MORE` is set in all but the last). What is sent to a peer that is
not there yet waits for it for a few seconds; what is sent to a dead one is
dropped, as the brains expect. Where this process has no descriptor left, what
is to be sent waits until it has one, and whoever connects waits in the kernel's
queue: nothing is lost by it, and nothing raised. The thread that sends is the one that writes, so
a message costs one wake-up of its receiver and none of anybody else: through
ZeroMQ's IO threads a round trip took 2.6 times as long.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import time
from collections import deque
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from pathlib import Path
from typing import Any

from nbray.config import MAX_MESSAGE
from nbray.ids import client_hex, node_client, node_of
from nbray.runtime.shell.machine.descriptors import AGAIN, SCARCE, Reserve
from nbray.runtime.shell.process.readiness import Readiness
from nbray.wire.codec import encode, envelope

MAX_FRAME = MAX_MESSAGE + (1 << 20)
"""Bytes; a connection on which a larger frame is announced is closed."""
_MORE = 1 << 31
_LENGTH = struct.Struct("<I")
_pack = _LENGTH.pack
_unpack = _LENGTH.unpack_from
_CHUNK = 1 << 17
"""Bytes taken from a connection at once."""
_SEND_BUFFER = 1 << 20
_RETRY = (0.0005, 0.05)
"""Seconds between attempts to reach a peer that is not there yet: the first, the longest."""
_FOR_ANSWERS = 3
"""Descriptors of the reserve that are not given to those who connect, or nobody could be
answered."""
_AT_ONCE = 8
"""Most connections that are let in before what they say is heard."""
_PATIENCE = 5.0
"""Seconds after which such a peer is given up."""


class _Pipe:
    """What goes to one peer."""

    __slots__ = ("backlog", "connected", "last", "pause", "since", "socket", "writing")

    def __init__(self, sock: socket.socket | None, now: float) -> None:
        self.socket = sock
        """None while there is no descriptor for it."""
        self.backlog: deque[bytes | memoryview] = deque()
        """What the kernel has not taken yet."""
        self.connected = False
        self.writing = False
        """Watched until it can be written."""
        self.since = now
        self.pause = _RETRY[0]
        self.last = False
        """It is closed when what waits has left."""


class _Incoming:
    """One peer's connection to us."""

    __slots__ = ("filled", "frames", "large", "rest", "socket")

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.rest = b""
        """The start of a frame whose end has not come."""
        self.large: memoryview | None = None
        """A frame longer than a chunk, being filled."""
        self.filled = 0
        self.frames: list[bytes] = []
        """Frames of a message whose last one has not come."""


class Post:
    """Sends and receives frames for client *me* within one session directory."""

    def __init__(self, me: int, directory: Path) -> None:
        self.me = me
        self._directory = directory
        self._node = node_of(me)
        self._node_client = node_client(self._node)
        self._pipes: dict[int, _Pipe] = {}
        self._by_fd: dict[int, int] = {}
        """Peers whose pipes are watched until they can be written."""
        self._absent: dict[int, _Pipe] = {}
        self._forgotten: set[int] = set()
        """Peers that are dead; their numbers are never used again."""
        self.retry_at: float | None = None
        """When to try again to reach peers that are not there yet (monotonic seconds)."""
        self._reserve = Reserve()
        self._deaf = False
        """Nobody is let in, for want of descriptors."""
        self.short_since = 0.0
        """Since when somebody cannot be heard or reached for want of descriptors (0: nobody)."""
        self._incoming: dict[int, _Incoming] = {}
        # Pages of it that nothing has come into yet take no memory.
        self._chunk = memoryview(mmap(-1, _CHUNK, MAP_PRIVATE | MAP_ANONYMOUS))
        self._readiness = Readiness()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.setblocking(False)
        # Under its own name only once it listens: whoever finds it can connect.
        early = str(directory / f".{client_hex(me)}")
        self._listener.bind(early)
        self._listener.listen(socket.SOMAXCONN)
        os.rename(early, self._path(me))
        self._listening = self._listener.fileno()
        self._readiness.watch(self._listening)
        self.fd = self._readiness.fd
        """Readable while there may be news."""

    def _path(self, client: int) -> str:
        return f"{self._directory}/{client_hex(client)}"

    # -- sending ------------------------------------------------------------------

    def send(self, to: int, message: Any) -> None:
        """Encode and send; by way of this machine's node if *to* lives elsewhere."""
        frame = encode(message)
        if node_of(to) == self._node:
            self._write(to, _pack(len(frame)) + frame)
        else:
            self.send_frames(to, [frame])

    def send_frames(self, to: int, frames: list[bytes | memoryview]) -> None:
        """Send encoded frames."""
        if node_of(to) != self._node:
            to, frames = self._node_client, [envelope(to), *frames]
        parts: list[bytes | memoryview] = []
        last = len(frames) - 1
        for index, frame in enumerate(frames):
            size = len(frame)
            parts += (_pack(size if index == last else size | _MORE), frame)
        self._write(to, b"".join(parts))

    def _write(self, to: int, data: bytes) -> None:
        pipe = self._pipes.get(to)
        if pipe is None:
            if to in self._forgotten:
                return
            pipe = self._open(to)
            if pipe is None:
                return
        if pipe.backlog or not pipe.connected:
            if not pipe.last:
                pipe.backlog.append(data)
            return
        assert pipe.socket is not None, "it is connected"
        try:
            sent = pipe.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            if error.errno not in SCARCE:  # it is dead
                self._break(to)
                return
            sent = 0
        if sent < len(data):
            pipe.backlog.append(memoryview(data)[sent:])
            self._watch_writing(to, pipe)

    def _open(self, to: int) -> _Pipe | None:
        pipe = self._pipes[to] = _Pipe(None, time.monotonic())
        self._connect(to, pipe)
        return self._pipes.get(to)

    def _connect(self, to: int, pipe: _Pipe) -> None:
        """Try to connect; a peer that is not there yet is tried again, a dead one given up."""
        now = time.monotonic()
        if pipe.socket is None:
            pipe.socket = self._made()
            if pipe.socket is None:
                pipe.since = now  # it is not the peer that lets us wait
                self._absent[to] = pipe
                self._again(now + AGAIN)
                self.short_since = self.short_since or now
                return
        try:
            pipe.socket.connect(self._path(to))
        except (FileNotFoundError, BlockingIOError):
            if now - pipe.since > (0.0 if pipe.last else _PATIENCE):
                self._break(to)
                return
            self._absent[to] = pipe
            self._again(now + pipe.pause)
            pipe.pause = min(2 * pipe.pause, _RETRY[1])
        except OSError as error:
            if error.errno not in SCARCE:  # nobody listens there any more
                self._break(to)
                return
            self._absent[to] = pipe
            self._again(now + AGAIN)
        else:
            pipe.connected = True
            self._absent.pop(to, None)

    def _made(self) -> socket.socket | None:
        """A socket for a pipe; None if this process has no descriptor left, nor memory for it."""
        while True:
            try:
                sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            except OSError:
                self._again(time.monotonic() + AGAIN)
                if not self._reserve.spend():
                    return None
                continue
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            return sock

    def _again(self, due: float) -> None:
        self.retry_at = due if self.retry_at is None else min(self.retry_at, due)

    def _retry(self) -> None:
        now = time.monotonic()
        if self.retry_at is None or now < self.retry_at:
            return
        self.retry_at = None
        if not self._reserve.refill():
            self._again(now + AGAIN)
        if self._deaf and len(self._reserve) > _FOR_ANSWERS:
            self._listen(True)
            self.short_since = 0.0
        for to, pipe in list(self._absent.items()):
            self._connect(to, pipe)
            if pipe.connected and pipe.backlog:
                self._flush(to, pipe)
            if pipe.connected and pipe.last:
                self._break(to)
        if not self._deaf and all(pipe.socket is not None for pipe in self._absent.values()):
            self.short_since = 0.0

    def _flush(self, to: int, pipe: _Pipe) -> None:
        """Write what waits, as far as the kernel takes it."""
        backlog = pipe.backlog
        assert pipe.socket is not None, "it is connected"
        while backlog:
            data = backlog[0]
            try:
                sent = pipe.socket.send(data)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno in SCARCE:
                    break
                self._break(to)
                return
            if sent < len(data):
                backlog[0] = memoryview(data)[sent:]
                break
            backlog.popleft()
        if backlog:
            self._watch_writing(to, pipe)
        elif pipe.writing:
            pipe.writing = False
            fd = pipe.socket.fileno()
            self._by_fd.pop(fd, None)
            self._readiness.forget(fd)

    def _watch_writing(self, to: int, pipe: _Pipe) -> None:
        if not pipe.writing and pipe.socket is not None:
            pipe.writing = True
            fd = pipe.socket.fileno()
            self._by_fd[fd] = to
            self._readiness.watch_writing(fd)

    def _break(self, to: int) -> None:
        """The pipe is of no use any more; a new one is made if something is sent again."""
        pipe = self._pipes.pop(to, None)
        self._absent.pop(to, None)
        if pipe is not None and pipe.socket is not None:
            if pipe.writing:
                fd = pipe.socket.fileno()
                self._by_fd.pop(fd, None)
                self._readiness.forget(fd)
            pipe.socket.close()

    def forget(self, client: int) -> None:
        """Close the pipe to a process that is dead or gone; nothing more is sent to it.

        What waits only for a descriptor of ours leaves first: it may be why it has to go.
        """
        self._forgotten.add(client)
        pipe = self._pipes.get(client)
        if pipe is not None and pipe.socket is None and pipe.backlog:
            pipe.last = True
        else:
            self._break(client)

    # -- receiving ----------------------------------------------------------------

    def receive(self) -> list[list[bytes]]:
        """Messages that have arrived (lists of frames); never blocks. Moves what waits to leave."""
        got: list[list[bytes]] = []
        if self.retry_at is not None:
            self._retry()
        for fd in self._readiness.ready():
            incoming = self._incoming.get(fd)
            if incoming is not None:
                self._take(incoming, got)
            elif fd == self._listening:
                self._accept(got)
            else:
                to = self._by_fd.get(fd)
                if to is not None:
                    self._flush(to, self._pipes[to])
        return got

    def _accept(self, got: list[list[bytes]]) -> None:
        for _ in range(_AT_ONCE):  # the next ones when these have been heard
            try:
                sock, _ = self._listener.accept()
            except OSError as error:
                if error.errno in SCARCE:
                    now = time.monotonic()
                    self._again(now + AGAIN)
                    if len(self._reserve) > _FOR_ANSWERS and self._reserve.spend():
                        continue
                    self._listen(False)  # whoever waits would be reported for ever
                    self.short_since = self.short_since or now
                return
            sock.setblocking(False)
            incoming = self._incoming[sock.fileno()] = _Incoming(sock)
            self._readiness.watch(sock.fileno())
            self._take(incoming, got)

    def _listen(self, on: bool) -> None:
        """Have the poll report whoever connects, or not for a while."""
        if on != self._deaf:
            return
        self._deaf = not on
        if on:
            self._readiness.watch(self._listening)
        else:
            self._readiness.forget(self._listening)

    def _take(self, incoming: _Incoming, got: list[list[bytes]]) -> None:
        """Take what one connection has, at most a chunk."""
        large = incoming.large
        target = self._chunk if large is None else large[incoming.filled :]
        try:
            size = incoming.socket.recv_into(target)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        if not size:
            self._hang_up(incoming)
            return
        if large is None:
            data = bytes(self._chunk[:size])
            self._parse(incoming, incoming.rest + data if incoming.rest else data, got)
            return
        incoming.filled += size
        if incoming.filled == len(large):
            incoming.large = None
            self._parse(incoming, bytes(large), got)

    def _parse(self, incoming: _Incoming, data: bytes, got: list[list[bytes]]) -> None:
        position, size, frames = 0, len(data), incoming.frames
        while size - position >= 4:
            (length,) = _unpack(data, position)
            last = length < _MORE
            if not last:
                length -= _MORE
            end = position + 4 + length
            if end > size:
                if length > MAX_FRAME:
                    self._hang_up(incoming)
                    return
                if length > _CHUNK:
                    incoming.large = memoryview(bytearray(4 + length))
                    incoming.filled = size - position
                    incoming.large[: incoming.filled] = memoryview(data)[position:]
                    position = size
                break
            frames.append(data[position + 4 : end])
            position = end
            if last:
                got.append(frames)
                frames = []
        incoming.frames = frames
        incoming.rest = data[position:] if position < size else b""

    def _hang_up(self, incoming: _Incoming) -> None:
        fd = incoming.socket.fileno()
        self._readiness.forget(fd)
        del self._incoming[fd]
        incoming.socket.close()

    # -- the end ------------------------------------------------------------------

    def close(self, linger: float = 0.0) -> None:
        """Close everything; messages on their way get *linger* seconds to leave."""
        deadline = time.monotonic() + linger
        for to, pipe in list(self._pipes.items()):
            while pipe.connected and pipe.backlog and to in self._pipes:
                left = deadline - time.monotonic()
                if left <= 0 or pipe.socket is None:
                    break
                writable = select.poll()
                writable.register(pipe.socket, select.POLLOUT)
                writable.poll(left * 1000)
                self._flush(to, pipe)
        for to in list(self._pipes):
            self._break(to)
        with contextlib.suppress(OSError):
            os.unlink(self._path(self.me))
        self._listener.close()
        for incoming in self._incoming.values():
            incoming.socket.close()
        self._incoming.clear()
        self._readiness.close()
        self._reserve.close()
