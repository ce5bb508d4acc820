"""What root, node, head and workers are told at their start, and root's channel to the node.

Owns these structs, the framing of the channel, and whether a process exists. Does not own processes
(`root`). Rule: nothing here travels by argv or environment: the launcher
writes one `RootConfig` to root's standard input, children inherit by fork.
"""

import contextlib
import enum
import os
import socket
import struct
from typing import Generic, TypeVar

import msgspec

from nbray.config import NodeRequest
from nbray.text import forgiving

T = TypeVar("T")


class Front(msgspec.Struct, frozen=True):
    """Where a cluster's dashboard is to be found, from the cluster's start on."""

    port: int = 0
    """On 127.0.0.1 of the head's machine (0: there is none)."""
    key: str = ""
    """What its link carries."""
    why: str = ""
    """Why there is none, where one was wanted."""


class RootConfig(msgspec.Struct, frozen=True):
    """All that a machine's part of a cluster is started with."""

    request: NodeRequest
    """Settled: secret and node_ip are filled in."""
    directory: str
    """The session's folder, made by the launcher."""
    owner_pid: int = 0
    """Everything ends when this process does (0: nobody's)."""
    path: list[bytes] = []
    """Put before `sys.path` in workers; as the file system has them, for not all are UTF-8."""
    front: Front = Front()
    """Filled in by root, which has the dashboard's port."""
    was: int = 0
    """The number this machine had in the cluster that it has lost, and joins again (0: none)."""


class WorkerConfig(msgspec.Struct, frozen=True):
    """What a worker is started with."""

    me: int
    """Its client id."""
    directory: str
    node_pid: int
    cluster: int
    log_to_driver: bool = True


class Started(msgspec.Struct, frozen=True):
    """A machine's part runs."""

    node: int
    cluster: int
    directory: str
    address: str
    """host:port of this node's TCP port."""
    head_address: str
    """host:port of the cluster."""
    root_pid: int
    node_pid: int
    ip: str


class Fault(enum.Enum):
    """What kept a machine's part from starting: the launcher has an exception for each."""

    AUTH = "auth"
    """The cluster has another secret."""
    VERSION = "version"
    PORT = "port"
    """It cannot be bound, or the address cannot."""
    UNREACHABLE = "unreachable"
    OTHER = "other"


class Failed(msgspec.Struct, frozen=True, tag=True):
    """It does not; why in one sentence."""

    kind: Fault
    error: str


class Ready(msgspec.Struct, frozen=True, tag=True):
    """Node to root, once: it can be spoken to."""

    started: Started


class ForkWorker(msgspec.Struct, frozen=True, tag=True):
    """Node to root: fork a worker."""

    worker: int
    threads: int


class KillWorker(msgspec.Struct, frozen=True, tag=True):
    """Node to root: end a worker at once."""

    worker: int


class Outlive(msgspec.Struct, frozen=True, tag=True):
    """Node to root: do not end with the process that started everything; or do so again."""

    on: bool


class Again(msgspec.Struct, frozen=True, tag=True):
    """Node to root, last: it has lost its cluster; fork another one, which joins it again."""

    was: int
    """Its number there."""


class Ended(msgspec.Struct, frozen=True, tag=True):
    """Root to node: a child ended."""

    client: int
    """A worker's or the head's client id."""
    pid: int
    code: int
    """Exit code, -1 if a signal ended it."""
    signal: int
    max_rss: int
    """Bytes it held at most."""
    words: str = ""
    """What a worker that did not end in order had written to its stderr last."""


class Quit(msgspec.Struct, frozen=True, tag=True):
    """Root to node: end in order."""

    why: str


ToRoot = ForkWorker | KillWorker | Outlive | Ready | Failed | Again
FromRoot = Ended | Quit
Answer = Ready | Failed
"""What the launcher reads, once, as one line of JSON."""



def exists(pid: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


_LENGTH = struct.Struct("!I")


class Channel(Generic[T]):
    """Structs over one end of a socket pair, in both directions; reads never block."""

    def __init__(self, end: socket.socket, union: object) -> None:
        self._end = end
        end.setblocking(True)
        self._decode = msgspec.msgpack.Decoder(union).decode
        self._encode = forgiving(msgspec.msgpack.Encoder().encode)
        self._buffer = bytearray()
        self.closed = False
        """The other end is gone."""

    def fileno(self) -> int:
        """For polling."""
        return self._end.fileno()

    def send(self, message: msgspec.Struct) -> None:
        """Send; nothing happens if the other end is gone (`receive` finds out)."""
        data = self._encode(message)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._end.sendall(_LENGTH.pack(len(data)) + data)

    def receive(self) -> list[T]:
        """What has arrived; sets `closed` at the end."""
        while True:
            try:
                data = self._end.recv(65536, socket.MSG_DONTWAIT)
            except (BlockingIOError, InterruptedError):
                break
            except ConnectionResetError:
                data = b""
            if not data:
                self.closed = True
                break
            self._buffer += data
        found: list[T] = []
        while len(self._buffer) >= _LENGTH.size:
            size = _LENGTH.unpack_from(self._buffer)[0]
            if len(self._buffer) < _LENGTH.size + size:
                break
            found.append(self._decode(bytes(self._buffer[_LENGTH.size : _LENGTH.size + size])))
            del self._buffer[: _LENGTH.size + size]
        return found

    def close(self) -> None:
        """Close this end."""
        self._end.close()
