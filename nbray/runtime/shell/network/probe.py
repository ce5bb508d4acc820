"""Asking a TCP port whether it is a node of ours, before anything else is started.

Owns the three answers a user can act on: nothing there, something that is no
node, another secret. Does not own connections that stay: `lanes` does.

Rule: one sentence that names the address and the next step.
"""

from __future__ import annotations

import errno
import os
import socket
import time

import zmq

from nbray.exceptions import AuthenticationError
from nbray.runtime.shell.network.address import is_loopback, join_address, parse_address
from nbray.runtime.shell.network.monitor import parse_monitor_message
from nbray.wire.secret import Secret

_AT_ONCE = 2.0
"""Seconds within which who cannot read our greeting hangs up. Later it is for want of time."""
_SIGNATURE = 10
"""Bytes with which every ZMTP 3 peer opens: 0xFF, eight that do not matter, 0x7F."""


def probe(address: str, secret: Secret, timeout: float = 5.0) -> None:
    """Return if a node that holds *secret* listens at *address* ('host:port').

    Blocks for at most about *timeout* seconds.

    Raises:
        ValueError: *address* is not host:port.
        ConnectionError: nothing listens there, or it is no node.
        AuthenticationError: a node is there, with another secret.
    """
    host, port = parse_address(address)
    where = join_address(host, port)
    deadline = time.monotonic() + timeout
    _greet(host, port, where, timeout)
    _shake_hands(where, secret, max(1.0, deadline - time.monotonic()))


def _greet(host: str, port: int, where: str, timeout: float) -> None:
    """Connect by plain TCP, and see that what answers speaks ZMTP."""
    greeting = b""
    silent = False
    try:
        with socket.create_connection((host, port), timeout) as stream:
            # A node speaks first, and at once.
            stream.settimeout(min(timeout, 2.0))
            try:
                while len(greeting) < _SIGNATURE:
                    part = stream.recv(_SIGNATURE - len(greeting))
                    if not part:
                        break
                    greeting += part
            except TimeoutError:
                silent = not greeting
            except ConnectionResetError:
                pass
    except OSError as error:
        raise ConnectionError(_unreachable(host, port, where, error)) from None
    if silent:
        raise ConnectionError(
            f"what listens at {where} says nothing: a node there is asleep or overloaded "
            "(try again in a while), or it is not nbray: see what `nbray start --head` printed"
        )
    if len(greeting) != _SIGNATURE or greeting[0] != 0xFF or greeting[-1] != 0x7F:
        raise ConnectionError(
            f"what listens at {where} is not nbray: give the address that "
            "`nbray start --head` printed"
        )


def _shake_hands(where: str, secret: Secret, timeout: float) -> None:
    with zmq.Context(io_threads=1) as context, context.socket(zmq.DEALER) as dealer:
        dealer.set(zmq.LINGER, 0)
        dealer.set(zmq.RECONNECT_IVL, -1)
        dealer.set(zmq.CURVE_SERVERKEY, secret.server_keys.public)
        dealer.set(zmq.CURVE_PUBLICKEY, secret.client_keys.public)
        dealer.set(zmq.CURVE_SECRETKEY, secret.client_keys.secret)
        if where.startswith("["):
            dealer.set(zmq.IPV6, 1)
        monitor: zmq.Socket[bytes] = dealer.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED
            | zmq.EVENT_DISCONNECTED
            | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
            | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
            | zmq.EVENT_HANDSHAKE_FAILED_AUTH
        )
        began = time.monotonic()
        try:
            dealer.connect(f"tcp://{where}")
            if not monitor.poll(int(timeout * 1000)):
                raise ConnectionError(
                    f"the node at {where} does not answer: see whether it still runs "
                    "with `nbray status` on that machine"
                )
            event = parse_monitor_message(monitor.recv_multipart())[0]
            took = time.monotonic() - began
        finally:
            dealer.disable_monitor()
            monitor.close(0)
    if event != zmq.EVENT_HANDSHAKE_SUCCEEDED and took > _AT_ONCE:
        raise ConnectionError(
            f"the node at {where} is asleep or overloaded: it hung up on us after "
            f"{took:.0f} s, before we were let in. Try again in a while"
        )
    if event != zmq.EVENT_HANDSHAKE_SUCCEEDED:
        # A server that cannot decrypt our greeting hangs up without saying why.
        raise AuthenticationError(
            f"the cluster at {where} has another secret: paste the --redis-password that "
            "`nbray start --head` printed there"
        )


def _unreachable(host: str, port: int, where: str, error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return f"there is no machine called {host!r}: check the address {where}"
    if isinstance(error, TimeoutError):
        return (
            f"nothing answers at {where}: check the address, and that a firewall lets "
            f"port {port} through"
        )
    if error.errno == errno.ECONNREFUSED:
        hint = (
            "start a cluster with `nbray start --head`"
            if is_loopback(host)
            else "run `nbray start --head` on that machine, and check the port"
        )
        return f"no nbray listens at {where}: {hint}"
    reason = os.strerror(error.errno) if error.errno else str(error)
    return f"{where} cannot be reached ({reason}): check the address and this machine's network"
