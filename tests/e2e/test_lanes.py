"""Lanes on real loopback sockets: who gets in, what arrives, what a reconnect does."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable, Iterator

import pytest
import zmq

from nbray.config import CHUNK, MAX_FRAME
from nbray.exceptions import AuthenticationError
from nbray.runtime.shell.network.lanes import (
    Arrived,
    Connected,
    Disconnected,
    Event,
    Lane,
    Lanes,
    Refused,
    make_context,
)
from nbray.runtime.shell.network.probe import probe
from nbray.wire.secret import Secret

SECRET = Secret.generate()
TIMEOUT = 60.0


class Node:
    """Lanes with a context of their own, and everything they reported."""

    def __init__(self, secret: Secret = SECRET, number: int = 0, port: int = 0) -> None:
        self.context = make_context()
        self.lanes = Lanes(self.context, secret, number)
        self.events: list[Event] = []
        try:
            self.ip, self.port = self.lanes.bind("127.0.0.1", port)
        except OSError:
            self.close()
            raise

    @property
    def address(self) -> str:
        return f"{self.ip}:{self.port}"

    def arrived(self, lane: Lane = Lane.CONTROL) -> list[list[bytes]]:
        return [
            [bytes(frame) for frame in event.frames]
            for event in self.events
            if isinstance(event, Arrived) and event.lane is lane
        ]

    def close(self) -> None:
        self.lanes.close()
        self.context.term()


@pytest.fixture
def make() -> Iterator[Callable[..., Node]]:
    made: list[Node] = []

    def build(*args: object, **kwargs: object) -> Node:
        made.append(Node(*args, **kwargs))  # type: ignore[arg-type]
        return made[-1]

    yield build
    for node in made:
        if not node.context.closed:
            node.close()


def run(*nodes: Node, until: Callable[[], object]) -> None:
    """Drive the nodes' sockets until the condition holds."""
    deadline = time.monotonic() + TIMEOUT
    while not until():
        assert time.monotonic() < deadline, [node.events[-10:] for node in nodes]
        poller = zmq.Poller()
        for node in nodes:
            for each in node.lanes.sockets:
                poller.register(each, zmq.POLLIN)
        poller.poll(50)
        for node in nodes:
            node.events += node.lanes.receive()


def test_both_directions_on_both_lanes_over_one_dialled_link(make: Callable[..., Node]) -> None:
    head, worker = make(number=1), make()
    worker.lanes.dial(1, head.address)
    run(head, worker, until=lambda: len(worker.events) == len(head.events) == 2)
    assert all(worker.lanes.is_up(1, lane) for lane in Lane)
    peer = head.events[0].peer
    assert peer < 0  # it has no number yet
    assert all(Connected(peer, lane) in head.events for lane in Lane)
    assert worker.lanes.send(1, Lane.CONTROL, [b"hello", b"there"])
    run(head, worker, until=head.arrived)
    assert head.arrived() == [[b"hello", b"there"]]
    head.lanes.adopt(peer, 2)
    assert not head.lanes.is_up(peer, Lane.CONTROL)
    assert head.lanes.send(2, Lane.CONTROL, [b"welcome"])
    assert head.lanes.send(2, Lane.BULK, [b"head", os.urandom(CHUNK)])
    run(head, worker, until=lambda: worker.arrived() and worker.arrived(Lane.BULK))
    assert worker.arrived() == [[b"welcome"]]
    assert len(worker.arrived(Lane.BULK)[0][1]) == CHUNK
    worker.lanes.send(1, Lane.CONTROL, [b"again"])
    run(head, worker, until=lambda: len(head.arrived()) == 2)
    assert head.events[-1] == Arrived(2, Lane.CONTROL, [b"again"])


def test_a_numbered_node_presents_itself_and_order_is_kept(make: Callable[..., Node]) -> None:
    one, two = make(number=1), make(number=7)
    two.lanes.dial(1, one.address)
    run(one, two, until=lambda: one.lanes.is_up(7, Lane.CONTROL))
    for number in range(5000):
        assert one.lanes.send(7, Lane.CONTROL, [b"%d" % number])
    run(one, two, until=lambda: len(two.arrived()) == 5000)
    assert two.arrived() == [[b"%d" % number] for number in range(5000)]


def test_who_cannot_be_reached_cannot_be_sent_to(make: Callable[..., Node]) -> None:
    node = make(number=1)
    assert not node.lanes.send(9, Lane.CONTROL, [b"x"])
    node.lanes.dial(9, "127.0.0.1:1")
    assert not node.lanes.send(9, Lane.CONTROL, [b"x"])


def test_wrong_secret_is_refused_on_both_sides(make: Callable[..., Node]) -> None:
    head, stranger = make(number=1), make(Secret.generate(), number=2)
    stranger.lanes.dial(1, head.address)
    run(head, stranger, until=lambda: stranger.events and head.lanes.refused)
    assert stranger.events[0] == Refused(1, Lane.CONTROL, head.address) or (
        stranger.events[0] == Refused(1, Lane.BULK, head.address)
    )
    assert not stranger.lanes.send(1, Lane.CONTROL, [b"x"])
    assert all(isinstance(event, Refused) for event in head.events)


def test_the_right_server_key_alone_does_not_let_in(make: Callable[..., Node]) -> None:
    head = make(number=1)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.set(zmq.LINGER, 0)
    public, private = zmq.curve_keypair()
    dealer.set(zmq.CURVE_SERVERKEY, SECRET.server_keys.public)
    dealer.set(zmq.CURVE_PUBLICKEY, public)
    dealer.set(zmq.CURVE_SECRETKEY, private)
    dealer.connect(f"tcp://{head.address}")
    dealer.send(b"let me in")
    run(head, until=lambda: head.lanes.refused)
    assert head.arrived() == []
    dealer.close()
    context.term()


def test_unencrypted_peer_and_garbage_do_no_harm(make: Callable[..., Node]) -> None:
    head, worker = make(number=1), make(number=2)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    plain = context.socket(zmq.DEALER)
    plain.set(zmq.LINGER, 0)
    plain.connect(f"tcp://{head.address}")
    plain.send(b"let me in")
    raw = [socket.create_connection((head.ip, head.port)) for _ in range(3)]
    raw[0].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    raw[1].sendall(os.urandom(4096))
    raw[2].sendall(b"\xff" + b"\x00" * 8 + b"\x7f\x03" + os.urandom(200))
    run(head, until=lambda: head.lanes.refused)
    worker.lanes.dial(1, head.address)
    run(head, worker, until=lambda: worker.lanes.is_up(1, Lane.CONTROL))
    assert worker.lanes.send(1, Lane.CONTROL, [b"fine"])
    run(head, worker, until=head.arrived)
    assert head.arrived() == [[b"fine"]]
    for each in raw:
        each.close()
    plain.close()
    context.term()


def authenticated(node: Node) -> tuple[zmq.Context[zmq.Socket[bytes]], zmq.Socket[bytes]]:
    """A DEALER that holds the secret but does not keep to the rules."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.set(zmq.LINGER, 0)
    dealer.set(zmq.CURVE_SERVERKEY, SECRET.server_keys.public)
    dealer.set(zmq.CURVE_PUBLICKEY, SECRET.client_keys.public)
    dealer.set(zmq.CURVE_SECRETKEY, SECRET.client_keys.secret)
    dealer.connect(f"tcp://{node.address}")
    return context, dealer


def test_malformed_messages_of_an_authenticated_peer_are_dropped(
    make: Callable[..., Node],
) -> None:
    head = make(number=1)
    context, dealer = authenticated(head)
    for frames in ([b""], [b"x" * 12], [b"\x00nbray\x00\x01" + b"\x00" * 4], [b"a", b"b"]):
        dealer.send_multipart(frames)
    run(head, until=lambda: head.lanes.dropped == 4)
    assert head.events == []
    dealer.close()
    context.term()


def test_an_oversize_message_disconnects_its_sender_only(make: Callable[..., Node]) -> None:
    head, worker = make(number=1), make(number=2)
    worker.lanes.dial(1, head.address)
    run(head, worker, until=lambda: worker.lanes.is_up(1, Lane.CONTROL))
    with pytest.raises(ValueError, match="chunk it"):
        worker.lanes.send(1, Lane.BULK, [bytes(MAX_FRAME + 1)])
    context, dealer = authenticated(head)
    dealer.send(bytes(MAX_FRAME + 1))
    monitor: zmq.Socket[bytes] = dealer.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    run(head, worker, until=lambda: monitor.poll(1))
    assert worker.lanes.send(1, Lane.CONTROL, [b"fine"])
    run(head, worker, until=head.arrived)
    assert head.arrived() == [[b"fine"]]
    dealer.disable_monitor()
    monitor.close()
    dealer.close()
    context.term()


def test_a_restarted_port_is_found_again_and_nothing_old_arrives(
    make: Callable[..., Node],
) -> None:
    head, worker = make(number=1), make(number=2)
    worker.lanes.dial(1, head.address)
    run(head, worker, until=lambda: worker.lanes.is_up(1, Lane.CONTROL))
    port = head.port
    head.close()
    run(worker, until=lambda: Disconnected(1, Lane.CONTROL, still=False) in worker.events)
    assert not worker.lanes.send(1, Lane.CONTROL, [b"for the dead"])
    worker.events.clear()
    second = make(number=1, port=port)
    run(second, worker, until=lambda: Connected(1, Lane.CONTROL) in worker.events)
    assert worker.lanes.send(1, Lane.CONTROL, [b"for the living"])
    run(second, worker, until=second.arrived)
    assert second.arrived() == [[b"for the living"]]


def test_the_accepting_side_notices_a_lost_dialler(make: Callable[..., Node]) -> None:
    head, worker = make(number=1), make(number=2)
    worker.lanes.dial(1, head.address)
    run(head, worker, until=lambda: all(head.lanes.is_up(2, lane) for lane in Lane))
    worker.close()
    run(head, until=lambda: not any(head.lanes.is_up(2, lane) for lane in Lane))
    assert Disconnected(2, Lane.CONTROL, still=False) in head.events
    assert not head.lanes.send(2, Lane.CONTROL, [b"x"])


def test_when_both_dialled_either_path_will_do(make: Callable[..., Node]) -> None:
    one, two = make(number=1), make(number=2)
    one.lanes.dial(2, two.address)
    two.lanes.dial(1, one.address)
    run(one, two, until=lambda: one.events.count(Connected(2, Lane.CONTROL)) == 2)
    one.lanes.dial(2, two.address)  # again: nothing
    assert one.lanes.send(2, Lane.CONTROL, [b"a"])
    run(one, two, until=two.arrived)
    two.lanes.forget(1)
    run(one, two, until=lambda: Disconnected(2, Lane.CONTROL, still=True) in one.events)
    assert one.lanes.is_up(2, Lane.CONTROL)


def test_who_is_forgotten_can_be_told_so_while_he_keeps_up_a_path(
    make: Callable[..., Node],
) -> None:
    head, worker = make(number=1), make(number=2)
    worker.lanes.dial(1, head.address)
    run(head, worker, until=lambda: all(head.lanes.is_up(2, lane) for lane in Lane))
    head.lanes.forget(2)
    assert worker.lanes.send(1, Lane.CONTROL, [b"who am I?"])
    run(head, worker, until=head.arrived)
    assert head.events[-1] == Arrived(2, Lane.CONTROL, [b"who am I?"])
    assert head.lanes.send(2, Lane.CONTROL, [b"nobody"])
    run(head, worker, until=worker.arrived)
    worker.close()
    run(head, until=lambda: not any(head.lanes.is_up(2, lane) for lane in Lane))
    assert not head.lanes._peers
    assert not head.lanes._forgotten


def test_listening_on_a_second_address(make: Callable[..., Node]) -> None:
    head, worker = make(number=1), make(number=2)
    try:
        _, port = head.lanes.listen_also("127.0.0.2")
    except OSError:
        pytest.skip("this platform has one loopback address only")
    worker.lanes.dial(1, f"127.0.0.2:{port}")
    run(head, worker, until=lambda: worker.lanes.is_up(1, Lane.CONTROL))


def test_used_port_and_foreign_address_are_one_sentence(make: Callable[..., Node]) -> None:
    head = make(number=1)
    with pytest.raises(OSError, match=rf"port {head.port} on 127.0.0.1 is taken") as taken:
        make(port=head.port)
    assert taken.value.errno == errno.EADDRINUSE
    with pytest.raises(OSError, match="no address 192.0.2.77"):
        head.lanes.listen_also("192.0.2.77")


def in_background(node: Node, work: Callable[[], None]) -> BaseException | None:
    """Run *work* in a thread while the node is driven; what it raised."""
    import threading

    outcome: list[BaseException | None] = []

    def body() -> None:
        try:
            work()
        except BaseException as error:
            outcome.append(error)
        else:
            outcome.append(None)

    thread = threading.Thread(target=body)
    thread.start()
    run(node, until=lambda: outcome)
    thread.join()
    return outcome[0]


def test_probe(make: Callable[..., Node]) -> None:
    head = make(number=1)
    assert in_background(head, lambda: probe(head.address, SECRET)) is None
    error = in_background(head, lambda: probe(head.address, Secret.generate()))
    assert isinstance(error, AuthenticationError)
    assert head.address in str(error)
    assert "another secret" in str(error)


def test_a_node_that_has_no_time_is_not_said_to_have_another_secret(
    make: Callable[..., Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nbray.runtime.shell.network.probe._AT_ONCE", 0.0)
    head = make(number=1)
    error = in_background(head, lambda: probe(head.address, Secret.generate()))
    assert not isinstance(error, AuthenticationError)
    assert "asleep or overloaded" in str(error)


def test_probe_of_nothing_and_of_something_else() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConnectionError, match="says nothing: .*asleep .* it is not nbray"):
            probe(f"127.0.0.1:{port}", SECRET, timeout=0.5)
    with pytest.raises(ConnectionError, match=rf"no nbray listens at 127.0.0.1:{port}"):
        probe(f"127.0.0.1:{port}", SECRET)
    with pytest.raises(ConnectionError, match="no machine called"):
        probe("no-such-host.invalid:6379", SECRET)
    with pytest.raises(ValueError, match="HOST:PORT"):
        probe("6379", SECRET)
