"""Connections at the port that ZeroMQ holds: whose they are, and hanging up on them.

ZeroMQ names a connection by its descriptor and closes it in a thread of its
own. Rule: nothing is done to a descriptor that is not the connection that was
meant; that it has become another one meanwhile is noticed.
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket

from nbray.config import STRANGERS, STRANGERS_SHARE


def most() -> int:
    """How many connections may be unproved at a time, by what this process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return STRANGERS
    return max(4, min(STRANGERS, int(soft * STRANGERS_SHARE)))


def address_of(fd: int) -> str:
    """The other end's address, 'IP:port' ('': there is none any more)."""
    try:
        stream = socket.socket(fileno=fd) if _is_socket(fd) else None
    except OSError:
        return ""  # it went between the two looks
    if stream is None:
        return ""
    try:
        name = stream.getpeername()
    except OSError:
        return ""
    finally:
        stream.detach()
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else ""


def _is_socket(fd: int) -> bool:
    import stat

    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False


def hang_up(fd: int, address: str) -> None:
    """End the connection at *fd* if it is still *address*'s; ZeroMQ then closes it."""
    if not address:
        return
    own = -1
    with contextlib.suppress(OSError):
        # One of our own, which nobody closes or uses again meanwhile, if there is one to be had.
        own = os.dup(fd)
    try:
        target = own if own >= 0 else fd
        if address_of(target) != address:
            return
        stream = socket.socket(fileno=target)
        try:
            stream.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has gone by itself
        finally:
            stream.detach()
    finally:
        if own >= 0:
            os.close(own)
