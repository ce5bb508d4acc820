"""The link over real sockets through a proxy that cuts the connection: nothing lost or doubled."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import zmq

from nbray.runtime.core.network.link import Link
from nbray.runtime.shell.network.lanes import (
    Arrived,
    Connected,
    Disconnected,
    Lane,
    Lanes,
    make_context,
)
from nbray.wire.secret import Secret

MESSAGES = 3000
CUTS = 5


class Proxy:
    """Forwards a TCP port; `cut` resets every connection with what is on its way."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._server, selectors.EVENT_READ)
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._cut = threading.Event()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def cut(self) -> None:
        self._cut.set()

    def close(self) -> None:
        self._end.set()
        self._thread.join()

    def _drop(self, one: socket.socket) -> None:
        other = self._pairs.pop(one, None)
        if other is not None:
            self._pairs.pop(other, None)
            for each in (one, other):
                self._selector.unregister(each)
                each.close()

    def _run(self) -> None:
        while not self._end.is_set():
            for key, _ in self._selector.select(0.02):
                source = key.fileobj
                assert isinstance(source, socket.socket)
                if source is self._server:
                    near, _ = self._server.accept()
                    far = socket.create_connection(("127.0.0.1", self._target))
                    self._pairs[near], self._pairs[far] = far, near
                    self._selector.register(near, selectors.EVENT_READ)
                    self._selector.register(far, selectors.EVENT_READ)
                elif source in self._pairs:
                    data = b""
                    with contextlib.suppress(OSError):
                        data = source.recv(65536)
                    if not data:
                        self._drop(source)
                        continue
                    with contextlib.suppress(OSError):
                        self._pairs[source].sendall(data)
            if self._cut.is_set():
                self._cut.clear()
                for one in list(self._pairs):
                    self._drop(one)
        for one in list(self._pairs):
            self._drop(one)
        self._selector.close()
        self._server.close()


class End:
    """One node's link over its lanes."""

    def __init__(self, secret: Secret, number: int, peer: int) -> None:
        self.context = make_context()
        self.lanes = Lanes(self.context, secret, number)
        self.port = self.lanes.bind("127.0.0.1")[1]
        self.peer = peer
        self.link = Link(100 + number, time.monotonic())
        self.got: list[bytes] = []
        self.losses = 0

    def transmit(self, messages: list) -> None:  # type: ignore[type-arg]
        for frames in messages:
            if not self.lanes.send(self.peer, Lane.CONTROL, frames):
                self.link.lost()
                return

    def step(self) -> None:
        now = time.monotonic()
        for event in self.lanes.receive():
            if event.lane is not Lane.CONTROL:
                continue
            match event:
                case Connected():
                    self.transmit(self.link.connected(now))
                case Disconnected(still=still):
                    self.losses += 1
                    if not still:
                        self.link.lost()
                case Arrived(frames=frames):
                    got = self.link.receive(frames, now)
                    assert not got.stale
                    self.got += [bytes(each[0]) for each in got.deliver]
                    self.transmit(got.transmit)
        if now >= self.link.next_deadline():
            self.transmit(self.link.tick(now))

    def close(self) -> None:
        self.lanes.close()
        self.context.term()


@pytest.fixture
def ends() -> Iterator[tuple[End, End, Proxy]]:
    secret = Secret.generate()
    one, two = End(secret, 1, 2), End(secret, 2, 1)
    proxy = Proxy(one.port)
    yield one, two, proxy
    one.close()
    two.close()
    proxy.close()


def test_cut_connections_lose_and_double_nothing(ends: tuple[End, End, Proxy]) -> None:
    one, two, proxy = ends
    two.lanes.dial(1, f"127.0.0.1:{proxy.port}")
    deadline = time.monotonic() + 150
    sent = cuts = 0
    wanted = [b"%d" % number for number in range(MESSAGES)]
    # The next cut waits until the one before was noticed and mended.
    while not (len(one.got) >= MESSAGES and len(two.got) >= MESSAGES and cuts == CUTS):
        assert time.monotonic() < deadline, (sent, cuts, len(one.got), len(two.got))
        for _ in range(min(20, MESSAGES - sent)):
            one.transmit(one.link.send([wanted[sent]]))
            two.transmit(two.link.send([wanted[sent]]))
            sent += 1
        mended = two.losses >= cuts and one.link.up and two.link.up
        if cuts < CUTS and mended and min(len(one.got), len(two.got)) >= cuts * MESSAGES // CUTS:
            proxy.cut()
            cuts += 1
        poller = zmq.Poller()
        for end in (one, two):
            for each in end.lanes.sockets:
                poller.register(each, zmq.POLLIN)
        poller.poll(20)
        one.step()
        two.step()
    assert one.got == wanted
    assert two.got == wanted
    while one.link.waiting or two.link.waiting:
        assert time.monotonic() < deadline
        one.step()
        two.step()
    assert one.link.in_flight == two.link.in_flight == 0
    assert not one.link.ended
    assert not two.link.ended
