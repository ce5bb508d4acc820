"""The paths between two nodes, as ZeroMQ has them: one that is dialled, one that is accepted.

Owns a path's sockets, what is tried on one, and how ZeroMQ's refusals are worded. Does not own
which paths there are, nor who is admitted (`lanes`).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

import zmq

from nbray.runtime.shell.network.lane_events import Lane

FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_WATCHED = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | FAILED


class Dialled:
    """A connection that this node keeps up."""

    def __init__(self, peer: int, lane: Lane, address: str, socket: zmq.Socket[bytes]) -> None:
        self.peer = peer
        self.lane = lane
        self.address = address
        self.socket = socket
        self.monitor: zmq.Socket[bytes] = socket.get_monitor_socket(_WATCHED)
        self.up = False
        self.complained = False

    def close(self) -> None:
        self.socket.disable_monitor()
        self.monitor.close(0)
        self.socket.close(0)


class Accepted:
    """A connection that a peer keeps up to our port."""

    def __init__(self, peer: int, lane: Lane, route: bytes, fd: int) -> None:
        self.peer = peer
        self.lane = lane
        self.route = route
        self.fd = fd


def make_context() -> zmq.Context[zmq.Socket[bytes]]:
    """A context with an IO thread for each lane."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=2)
    context.set(zmq.MAX_SOCKETS, 16384)
    return context


def try_send(socket: zmq.Socket[bytes], frames: Sequence[bytes | memoryview]) -> bool:
    try:
        socket.send_multipart(frames, zmq.NOBLOCK)
    except zmq.ZMQError as error:
        if error.errno not in {zmq.EAGAIN, zmq.EHOSTUNREACH}:
            raise
        return False
    return True


def bind_error(ip: str, port: int, error: zmq.ZMQError) -> OSError:
    code = error.errno or errno.EIO
    if code == zmq.EADDRINUSE:
        text = (
            f"port {port} on {ip} is taken by another program: choose one with --port, "
            "or run `nbray stop` if it is an older nbray"
        )
        return OSError(errno.EADDRINUSE, text)
    if code in {zmq.EADDRNOTAVAIL, errno.ENODEV, errno.EINVAL}:
        return OSError(errno.EADDRNOTAVAIL, f"this machine has no address {ip} to listen on")
    if code == errno.EACCES:
        return OSError(code, f"port {port} needs privileges: choose one above 1023 with --port")
    return OSError(code, f"cannot listen on {ip}:{port}: {os.strerror(code)}")
