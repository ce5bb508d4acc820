"""The node's only TCP port, and its connections to other nodes: encrypted, in two lanes.

Owns one ROUTER (the port), two DEALERs for each node that this one dialled
(control and bulk), the ZAP handler and the sockets' monitors. Does not own
reliability (`core.network.link`), meaning, or threads: everything is polled in the
loop of its owner, and nothing here blocks.

Rules. Nobody gets in without the secret: CURVE on every socket, and ZAP admits
the one client key that follows from it. A link serves both directions, whoever
dialled; a path this node dialled is preferred. Nothing is handed to a lane that
does not stand; what was on its way when one broke may arrive late, twice or
never, and the link mends that. A malformed message from an authenticated peer,
or one before its dialler has presented itself, is dropped and counted. Whoever
has not presented itself is a stranger (`core.network.strangers`): there are never many.

A node that dials presents itself on each lane with its number (0 before it has
one). Until `adopt` gives such a peer a number it goes by a negative one.

Two IO threads and messages of at most 1 MiB on the bulk lane keep control
quick: a DEALER's lane is bound to its own thread.
"""

from __future__ import annotations

import contextlib
import os
import struct
import time
from collections import deque
from collections.abc import Container, Iterable, Sequence

import zmq

from nbray.config import HEARTBEAT, MAX_FRAME, NODE_TIMEOUT
from nbray.runtime.core.network.strangers import PATIENCE, Strangers
from nbray.runtime.shell.network.address import join_address, parse_address
from nbray.runtime.shell.network.lane_events import Arrived as Arrived
from nbray.runtime.shell.network.lane_events import Connected as Connected
from nbray.runtime.shell.network.lane_events import Disconnected as Disconnected
from nbray.runtime.shell.network.lane_events import Event as Event
from nbray.runtime.shell.network.lane_events import Lane as Lane
from nbray.runtime.shell.network.lane_events import Refused as Refused
from nbray.runtime.shell.network.monitor import parse_monitor_message
from nbray.runtime.shell.network.paths import FAILED, Accepted, Dialled, bind_error, try_send
from nbray.runtime.shell.network.paths import make_context as make_context
from nbray.runtime.shell.network.strangers import address_of, hang_up, most
from nbray.wire.secret import Secret

_ZAP_ENDPOINT = "inproc://zeromq.zap.01"
_ZAP_DOMAIN = b"nbray"
_HELLO = struct.Struct("!8sI")
"""The first message on a lane: this mark and the dialler's number."""
_HELLO_MARK = b"\x00nbray\x00\x01"
_ROUTE = struct.Struct("!B16sB")
"""A dialler's routing id: 'N', its incarnation, the lane."""
_ROUTE_MARK = 0x4E
_HANDSHAKE_MS = 5000
assert _HANDSHAKE_MS > PATIENCE * 1000, "ZeroMQ would hang up first, without a word"
_UNPROVED = "it has not this cluster's secret, or is no nbray"
_SILENT = f"it did not prove who it is within {PATIENCE:g} s"


class Lanes:
    """All TCP of one node. Peers are node numbers (negative: not numbered yet).

    Attributes:
        number: this node's number, 0 before the head has given it one.
        dropped: malformed messages of authenticated peers.
        refused: handshakes at our port that failed.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], secret: Secret, number: int = 0
    ) -> None:
        self._context = context
        self._secret = secret
        self.number = number
        self._incarnation = os.urandom(16)
        self._affinity = context.get(zmq.IO_THREADS) >= len(Lane)
        self._port = 0
        self._dialled: dict[tuple[int, Lane], Dialled] = {}
        self._accepted: dict[tuple[int, Lane], Accepted] = {}
        self._routes: dict[bytes, Accepted] = {}
        self._peers: dict[bytes, int] = {}
        """Incarnation of whoever dialled us to its peer number."""
        self._forgotten: set[int] = set()
        """Peers that are gone for us and keep up a path to us."""
        self._unnumbered = 0
        self._events: deque[Event] = deque()
        self.dropped = 0
        self.refused = 0
        # The handler must stand before the port: without one nobody would be checked.
        self._strangers = Strangers(most())
        self._failed = False
        """A handshake has just failed; whose, the next disconnection tells."""
        self._lines: list[str] = []
        self._zap: zmq.Socket[bytes] = context.socket(zmq.REP)
        self._zap.set(zmq.LINGER, 0)
        self._zap.bind(_ZAP_ENDPOINT)
        self._router = self._socket(zmq.ROUTER)
        self._router.set(zmq.ROUTER_MANDATORY, 1)
        self._router.set(zmq.ROUTER_HANDOVER, 1)
        self._router.set(zmq.CURVE_SERVER, 1)
        self._router.set(zmq.CURVE_SECRETKEY, secret.server_keys.secret)
        self._router.set(zmq.ZAP_DOMAIN, _ZAP_DOMAIN)
        self._router_monitor: zmq.Socket[bytes] = self._router.get_monitor_socket(
            zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | FAILED
        )

    # -- the port ------------------------------------------------------------------

    def bind(self, ip: str, port: int = 0) -> tuple[str, int]:
        """Open the port (0: any free one) on *ip*; where it is.

        Raises:
            OSError: it is taken, or *ip* is not this machine's; one sentence.
        """
        self._port = self._bind(ip, port)
        return ip, self._port

    def take_over(self, ip: str, port: int, listening: int) -> None:
        """Go on with a port that was opened already.

        Args:
            listening: descriptor of a listening socket, which is ours from now on.
        """
        self._port = port
        self._router.set(zmq.USE_FD, listening)
        self._bind(ip, port)
        self._router.set(zmq.USE_FD, -1)

    def listen_also(self, ip: str) -> tuple[str, int]:
        """Open the same port on a further address of this machine.

        Raises:
            OSError: as `bind`.
        """
        self._bind(ip, self._port)
        return ip, self._port

    def _bind(self, ip: str, port: int) -> int:
        if ":" in ip:
            self._router.set(zmq.IPV6, 1)
        try:
            self._router.bind(f"tcp://{join_address(ip, port)}" if port else f"tcp://{ip}:*")
        except zmq.ZMQError as error:
            raise bind_error(ip, port, error) from None
        endpoint = self._router.get_string(zmq.LAST_ENDPOINT)
        return parse_address(endpoint.removeprefix("tcp://"))[1]

    # -- peers ---------------------------------------------------------------------

    def dial(self, peer: int, address: str) -> None:
        """Keep both lanes to *peer* up, at 'host:port'. Again with the same: nothing.

        Raises:
            ValueError: *address* is none.
        """
        host, port = parse_address(address)
        target = join_address(host, port)
        for lane in Lane:
            old = self._dialled.get((peer, lane))
            if old is not None:
                if old.address == target:
                    continue
                old.close()
            socket = self._socket(zmq.DEALER)
            keys = self._secret.client_keys
            socket.set(zmq.CURVE_SERVERKEY, self._secret.server_keys.public)
            socket.set(zmq.CURVE_PUBLICKEY, keys.public)
            socket.set(zmq.CURVE_SECRETKEY, keys.secret)
            socket.set(zmq.ROUTING_ID, _ROUTE.pack(_ROUTE_MARK, self._incarnation, lane))
            # Not IMMEDIATE: with it, libzmq 4.3.5 aborts the process when a connection
            # breaks between two frames that are being received (fq.cpp, `!_more`).
            socket.set(zmq.RECONNECT_IVL, 100)
            socket.set(zmq.RECONNECT_IVL_MAX, 2000)
            socket.set(zmq.CONNECT_TIMEOUT, _HANDSHAKE_MS)
            if ":" in host:
                socket.set(zmq.IPV6, 1)
            if self._affinity:
                socket.set(zmq.AFFINITY, 1 << lane)
            self._dialled[peer, lane] = Dialled(peer, lane, target, socket)
            socket.connect(f"tcp://{target}")

    def adopt(self, peer: int, number: int) -> None:
        """The unnumbered *peer* is node *number* from now on."""
        self._forgotten.discard(peer)
        for incarnation, known in self._peers.items():
            if known == peer:
                self._peers[incarnation] = number
        for lane in Lane:
            path = self._accepted.pop((peer, lane), None)
            if path is not None:
                path.peer = number
                self._accepted[number, lane] = path
            dialled = self._dialled.pop((peer, lane), None)
            if dialled is not None:
                dialled.peer = number
                self._dialled[number, lane] = dialled

    def forget(self, peer: int) -> None:
        """Keep up no path to *peer*, which is dead or gone.

        One that it keeps up by itself stands as long as it does, so that it can be told.
        """
        for lane in Lane:
            dialled = self._dialled.pop((peer, lane), None)
            if dialled is not None:
                dialled.close()
        self._forgotten.add(peer)
        self._unname(peer)

    def _unname(self, peer: int) -> None:
        """Forget the incarnation of a forgotten peer to which no path is left."""
        if not any((peer, lane) in self._accepted for lane in Lane):
            self._forgotten.discard(peer)
            self._peers = {key: known for key, known in self._peers.items() if known != peer}

    def is_up(self, peer: int, lane: Lane) -> bool:
        """Whether a message could be sent now."""
        dialled = self._dialled.get((peer, lane))
        return (dialled is not None and dialled.up) or (peer, lane) in self._accepted

    # -- messages ------------------------------------------------------------------

    def send(self, peer: int, lane: Lane, frames: Sequence[bytes | memoryview]) -> bool:
        """Hand a message over; False if no path stands (a `Connected` follows when one does).

        True does not mean that it arrives: a connection may be lost with it.

        Raises:
            ValueError: a frame is larger than the peer accepts (`MAX_FRAME`).
        """
        for frame in frames:
            if len(frame) > MAX_FRAME:
                raise ValueError(f"a frame of {len(frame)} bytes is over {MAX_FRAME}: chunk it")
        dialled = self._dialled.get((peer, lane))
        if dialled is not None and dialled.up and try_send(dialled.socket, frames):
            return True
        path = self._accepted.get((peer, lane))
        if path is None:
            return False
        if try_send(self._router, [path.route, *frames]):
            return True
        self._drop_path(path)
        return False

    def receive(
        self, limit: int = 1000, ready: Container[object] | None = None
    ) -> list[Event]:
        """What happened, in order: connections, refusals, at most about *limit* messages.

        Never blocks, never raises for what a peer did. Call again while `pending`.
        *ready*: the sockets that a poll found readable; others are not looked at
        (asking one that has nothing costs as much as a message).
        """
        self._service(ready)
        budget = limit
        if ready is None or self._router in ready:
            budget -= self._drain_router(budget)
        for path in list(self._dialled.values()):
            if ready is None or path.socket in ready:
                budget -= self._drain_dialled(path, max(1, budget))
        events = list(self._events)
        self._events.clear()
        return events

    @property
    def sockets(self) -> list[zmq.Socket[bytes]]:
        """All sockets to poll for reading; the list changes with `dial` and `forget`."""
        found = [self._router, self._zap, self._router_monitor]
        for path in self._dialled.values():
            found += [path.socket, path.monitor]
        return found

    def pending(self) -> bool:
        """Whether `receive` has something to do now."""
        return bool(self._events) or any(
            int(socket.get(zmq.EVENTS)) & zmq.POLLIN for socket in self.sockets
        )

    def identify(self, number: int) -> None:
        """This node has its number now; presented wherever it dials from here on."""
        self.number = number

    def close(self) -> None:
        """Close every socket at once. The context is its owner's to end."""
        for path in self._dialled.values():
            path.close()
        self._dialled.clear()
        self._accepted.clear()
        self._routes.clear()
        self._router.disable_monitor()
        self._router_monitor.close(0)
        self._router.close(0)
        self._zap.close(0)

    # -- within --------------------------------------------------------------------

    def _socket(self, kind: int) -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.SNDHWM, 0)
        socket.set(zmq.RCVHWM, 0)
        socket.set(zmq.MAXMSGSIZE, MAX_FRAME)
        socket.set(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
        socket.set(zmq.HEARTBEAT_IVL, int(HEARTBEAT * 1000))
        socket.set(zmq.HEARTBEAT_TIMEOUT, int(NODE_TIMEOUT * 1000))
        socket.set(zmq.BACKLOG, 256)
        return socket

    def _service(self, ready: Container[object] | None) -> None:
        """Answer ZAP's questions and read the monitors."""
        if ready is None or self._zap in ready:
            with contextlib.suppress(zmq.Again):
                while True:
                    self._admit(self._zap.recv_multipart(zmq.NOBLOCK))
        if ready is None or self._router_monitor in ready:
            self._read_router_monitor()
        for path in list(self._dialled.values()):
            if ready is not None and path.monitor not in ready:
                continue
            with contextlib.suppress(zmq.Again):
                while True:
                    self._on_dialled(path, path.monitor.recv_multipart(zmq.NOBLOCK))

    def _admit(self, question: list[bytes]) -> None:
        """Answer one ZAP request (RFC 27): the derived client key, and nobody else."""
        version, request = question[0], question[1]
        ok = (
            len(question) == 7  # version, request, domain, address, identity, mechanism, key
            and question[2] == _ZAP_DOMAIN
            and question[5] == b"CURVE"
            and self._secret.accepts(question[6])
        )
        status, text = (b"200", b"OK") if ok else (b"400", b"not this cluster's secret")
        self._zap.send_multipart([version, request, status, text, b"", b""])

    def _read_router_monitor(self) -> None:
        now = time.monotonic()
        with contextlib.suppress(zmq.Again):
            while True:
                event, value, _ = parse_monitor_message(
                    self._router_monitor.recv_multipart(zmq.NOBLOCK)
                )
                if event == zmq.EVENT_ACCEPTED:
                    # '' if it has gone already: its end, which is the next to come, is noted.
                    self._send_away(self._strangers.came(value, address_of(value), now))
                elif event & FAILED:
                    self.refused += 1
                    # Without a word: whoever looked whether somebody listens, and went.
                    self._failed = event != zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
                elif event == zmq.EVENT_DISCONNECTED:
                    address = self._strangers.gone(value)
                    if address is not None and self._failed:
                        self._note(address, _UNPROVED, now)
                    self._failed = False
                    for path in [p for p in self._routes.values() if p.fd == value]:
                        self._drop_path(path)

    def _send_away(self, whom: Iterable[tuple[int, str]]) -> None:
        for fd, address in whom:
            hang_up(fd, address)

    def _note(self, address: str, why: str, now: float) -> None:
        ip = address.rpartition(":")[0]
        self._lines += self._strangers.refused(ip, why, now)

    def tick(self, now: float) -> None:
        """Let time pass: whoever has had his time to prove himself is hung up on."""
        late = self._strangers.overdue(now)
        self._send_away(late)
        for _, address in late:
            self._note(address, _SILENT, now)
        self._lines += self._strangers.summary(now)

    def next_deadline(self) -> float | None:
        """When `tick` has something to do."""
        return self._strangers.next_deadline()

    def lines(self) -> list[str]:
        """What there is to say of whoever was refused at the port, once."""
        lines, self._lines = self._lines, []
        return lines

    def _on_dialled(self, path: Dialled, raw: list[bytes]) -> None:
        event = parse_monitor_message(raw)[0]
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            if not try_send(path.socket, [_HELLO.pack(_HELLO_MARK, self.number)]):
                return  # already lost again; its own event follows
            path.up = True
            path.complained = False
            self._events.append(Connected(path.peer, path.lane))
        elif path.up:
            path.up = False
            still = (path.peer, path.lane) in self._accepted
            self._events.append(Disconnected(path.peer, path.lane, still))
        elif not path.complained:
            # A server that cannot read our greeting hangs up without a word.
            path.complained = True
            self._events.append(Refused(path.peer, path.lane, path.address))

    def _drain_router(self, limit: int) -> int:
        router = self._router
        count = 0
        while count < limit:
            try:
                route = router.recv(zmq.NOBLOCK)
            except zmq.Again:
                break
            count += 1
            frames: list[bytes | memoryview] = []
            path = self._routes.get(route)
            bulk = path is not None and path.lane is Lane.BULK
            first: zmq.Frame | None = None
            while router.get(zmq.RCVMORE):
                frame = router.recv(zmq.NOBLOCK, copy=False)
                first = first or frame
                frames.append(frame.buffer if bulk else frame.bytes)
            if len(frames) == 1 and len(frames[0]) == _HELLO.size and first is not None:
                mark, number = _HELLO.unpack(frames[0])
                if mark == _HELLO_MARK and self._on_hello(route, number, first):
                    continue
            if path is None or not frames:
                self.dropped += 1
                continue
            self._events.append(Arrived(path.peer, path.lane, frames))
        return count

    def _on_hello(self, route: bytes, number: int, frame: zmq.Frame) -> bool:
        """A dialler presents itself on one lane; False if it does not make sense."""
        if len(route) != _ROUTE.size:
            return False
        mark, incarnation, lane_number = _ROUTE.unpack(route)
        if mark != _ROUTE_MARK or lane_number >= len(Lane):
            return False
        lane = Lane(lane_number)
        # The monitor may still speak of an older connection with the same descriptor.
        self._read_router_monitor()
        peer = self._peers.get(incarnation)
        if peer is None:
            self._unnumbered -= 1
            peer = number or self._unnumbered
            self._peers[incarnation] = peer
        fd = int(frame.get(zmq.SRCFD))
        self._strangers.gone(fd)  # it is none any more
        path = Accepted(peer, lane, route, fd)
        self._routes[route] = path
        self._accepted[peer, lane] = path
        self._events.append(Connected(peer, lane))
        return True

    def _drop_path(self, path: Accepted) -> None:
        if self._routes.get(path.route) is not path:
            return
        del self._routes[path.route]
        key = path.peer, path.lane
        if self._accepted.get(key) is path:
            del self._accepted[key]
        if path.peer in self._forgotten:
            self._unname(path.peer)
        dialled = self._dialled.get(key)
        still = dialled is not None and dialled.up
        self._events.append(Disconnected(path.peer, path.lane, still))

    def _drain_dialled(self, path: Dialled, limit: int) -> int:
        count = 0
        bulk = path.lane is Lane.BULK
        with contextlib.suppress(zmq.Again):
            while count < limit:
                frames: list[bytes | memoryview] = []
                if bulk:
                    parts = path.socket.recv_multipart(zmq.NOBLOCK, copy=False)
                    frames.extend(part.buffer for part in parts)
                else:
                    frames.extend(path.socket.recv_multipart(zmq.NOBLOCK))
                count += 1
                self._events.append(Arrived(path.peer, path.lane, frames))
        return count
