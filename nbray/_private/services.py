"""`ray._private.services`: addresses of this machine."""

from __future__ import annotations

import socket

from nbray import session


def get_node_ip_address(address: str = "8.8.8.8:53") -> str:
    """The address by which others reach this machine: the node's, or else on the way to *address*.

    Args:
        address: host:port; nothing is sent there.
    """
    engine = session.live()
    if engine is not None and not session.is_forked():
        return engine.context.runtime().node_ip
    host, _, port = address.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, int(port)))
        except OSError:
            return "127.0.0.1"
        found: str = probe.getsockname()[0]
        return found
