"""Addresses: reading them, and choosing where a node listens.

Owns host:port texts, the machine's own addresses, and `settle`, which turns a
request with gaps into one without. Does not own sockets that stay open.

Rule: a weak password never listens beyond this machine by itself. It does so
when the user says `--insecure-password`, or names a private address with
`--node-ip-address`, and then the user is told.
"""

from __future__ import annotations

import ipaddress
import socket

import msgspec

from nbray.config import NodeRequest, most_workers

LOOPBACK = "127.0.0.1"


def parse_address(text: str) -> tuple[str, int]:
    """The host and port in 'host:port' or '[v6]:port'.

    Raises:
        ValueError: it is neither; one sentence for the user.
    """
    host, colon, digits = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"{text!r} is not an address: write it as HOST:PORT, like 10.0.0.5:6379")
    port = int(digits)
    if not 0 < port < 1 << 16:
        raise ValueError(f"{text!r} has no valid port: it must lie between 1 and 65535")
    return host, port


def join_address(host: str, port: int) -> str:
    """'host:port', with brackets around an IPv6 host."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether *host* can only be reached from this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_this_machine(host: str) -> bool:
    """Whether *host* is loopback, or a name or an address of this machine. Sends nothing."""
    if is_loopback(host):
        return True
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)}
    except OSError:
        return False
    return any(is_loopback(str(one)) or ip_towards(str(one)) == one for one in found)


def is_private(host: str) -> bool:
    """Whether *host* is an address that the open internet cannot reach."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host == "localhost"


def ip_towards(host: str) -> str:
    """This machine's address on the way to *host* ('' if there is no way). Sends nothing."""
    try:
        family, kind, proto, _, target = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, proto) as probe:
            probe.connect(target)
            found: str = probe.getsockname()[0]
    except OSError:
        return ""
    return found


def primary_ip() -> str:
    """The address by which other machines most likely reach this one.

    That of the default route; failing that, of any interface that is up;
    failing that, loopback.
    """
    found = ip_towards("192.0.2.1")  # a documentation address: routed, never answered
    if found and not is_loopback(found):
        return found
    import psutil  # only here: it takes 12 ms to import

    for name, addresses in sorted(psutil.net_if_addrs().items()):
        for entry in addresses:
            if entry.family == socket.AF_INET and not is_loopback(entry.address):
                states = psutil.net_if_stats()
                if name in states and states[name].isup:
                    return str(entry.address)
    return LOOPBACK


def settle(request: NodeRequest) -> tuple[NodeRequest, list[str]]:
    """*request* with secret and node_ip filled in, and warnings of one line each.

    Raises:
        ValueError: it cannot be carried out; one sentence for the user.
    """
    from nbray.wire.secret import Secret, is_weak  # late: clients need only the rest

    warnings: list[str] = []
    if request.head:
        secret = request.secret.strip() or Secret.generate().text
        towards = primary_ip
    else:
        host, _ = parse_address(request.address)
        secret = request.secret.strip()
        if not secret:
            raise ValueError(
                "joining needs the cluster's secret: paste the whole line that `nbray join` prints "
                "on a machine of the cluster (or give --secret-file or --redis-password)"
            )

        def towards() -> str:
            return ip_towards(host) or primary_ip()

    node_ip = request.node_ip.strip()
    if not is_weak(secret):
        node_ip = node_ip or towards()
    elif request.head and not request.insecure_password and not is_private(node_ip):
        # (An address that was not named is '' and not private either.)
        warnings.append(
            f"the password is easy to guess, so the head listens on {LOOPBACK} only; leave "
            "--redis-password out for a strong one, or add --insecure-password"
        )
        node_ip = LOOPBACK
    else:
        node_ip = node_ip or towards()
        if not is_loopback(node_ip):
            warnings.append(
                f"the password is easy to guess: whoever can reach {node_ip} can run code here"
            )
    most = request.max_workers or most_workers()
    settled = msgspec.structs.replace(
        request, secret=secret, node_ip=node_ip, max_workers=most
    )
    return settled, warnings
