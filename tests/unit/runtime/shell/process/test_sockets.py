"""The sockets of one machine, over real Unix sockets: order, size, absent and dead peers."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import private_folder

from nbray.ids import client_hex, client_id, node_client
from nbray.runtime.shell.process.sockets import Post
from nbray.wire.codec import encode, envelope

A, B, C = client_id(1, 2), client_id(1, 3), client_id(1, 4)


@pytest.fixture
def post() -> Iterator[Callable[[int], Post]]:
    folder = private_folder("nbt-")
    made: list[Post] = []

    def make(me: int) -> Post:
        made.append(Post(me, folder))
        return made[-1]

    yield make
    for one in made:
        one.close()
    assert not list(folder.iterdir()), "an inbox outlives its process"
    folder.rmdir()


def take(post: Post, count: int, *others: Post, seconds: float = 60) -> list[list[bytes]]:
    """*count* messages; *others* go on sending meanwhile."""
    got: list[list[bytes]] = []
    deadline = time.monotonic() + seconds
    while len(got) < count and time.monotonic() < deadline:
        poll = select.poll()
        poll.register(post.fd, select.POLLIN)
        poll.poll(2)
        got += post.receive()
        for other in others:
            other.receive()
    return got


def test_messages_keep_their_order_and_their_frames(post: Callable[[int], Post]) -> None:
    a, b = post(A), post(B)
    for number in range(1000):
        a.send_frames(B, [b"%d" % number, b"", b"x" * (number % 7)])
    assert take(b, 1000) == [[b"%d" % n, b"", b"x" * (n % 7)] for n in range(1000)]


def test_send_encodes(post: Callable[[int], Post]) -> None:
    a, b = post(A), post(B)
    a.send(B, {"x": 1})
    assert take(b, 1) == [[encode({"x": 1})]]


@pytest.mark.parametrize("size", [(1 << 17) - 4, 1 << 17, (1 << 17) + 1, 5_000_000])
def test_frames_of_any_size(post: Callable[[int], Post], size: int) -> None:
    a, b = post(A), post(B)
    large = bytes(range(256)) * (size // 256 + 1)
    a.send_frames(B, [b"before"])
    a.send_frames(B, [large[:size], b"tail"])
    a.send_frames(B, [b"after"])
    assert take(b, 3, a) == [[b"before"], [large[:size], b"tail"], [b"after"]]


def test_what_the_kernel_does_not_take_leaves_later(post: Callable[[int], Post]) -> None:
    a, b = post(A), post(B)
    for number in range(200):  # far more than a socket holds; never blocks
        a.send_frames(B, [b"%d" % number, bytes(100_000)])
    assert [frames[0] for frames in take(b, 200, a)] == [b"%d" % n for n in range(200)]


def test_the_inbox_can_be_polled_until_it_is_drained(post: Callable[[int], Post]) -> None:
    a, b = post(A), post(B)
    poll = select.poll()
    poll.register(b.fd, select.POLLIN)
    assert not poll.poll(0)
    a.send_frames(B, [b"x"])
    assert poll.poll(1000)
    assert poll.poll(0), "reported again while it is there"
    assert take(b, 1) == [[b"x"]]
    assert not poll.poll(0)


def test_a_peer_that_is_not_there_yet_gets_everything(post: Callable[[int], Post]) -> None:
    a = post(A)
    for number in range(10):
        a.send_frames(B, [b"%d" % number])
    assert a.retry_at is not None
    b = post(B)
    assert take(b, 10, a) == [[b"%d" % n] for n in range(10)]
    a.receive()
    assert a.retry_at is None


def test_a_dead_peer_is_dropped_and_harms_nobody(post: Callable[[int], Post]) -> None:
    a, b, c = post(A), post(B), post(C)
    a.send_frames(B, [b"x"])
    take(b, 1)
    b.close()
    for _ in range(3):
        a.send_frames(B, [b"lost"])
    a.forget(B)
    a.send_frames(B, [b"lost"])
    a.send_frames(C, [b"here"])
    assert take(c, 1) == [[b"here"]]


def test_last_words_that_wait_for_a_descriptor_are_heard(
    post: Callable[[int], Post], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is refused for want of descriptors is told so, when there is one for that."""
    a, b = post(A), post(B)
    made = a._made
    monkeypatch.setattr(a, "_made", lambda: None)
    a.send_frames(B, [b"no room"])
    a.forget(B)
    a.send_frames(B, [b"lost"])
    assert a.retry_at is not None
    monkeypatch.setattr(a, "_made", made)
    assert take(b, 1, a) == [[b"no room"]]
    assert not a._pipes
    assert not a._absent


def test_a_path_that_a_killed_process_left_is_a_dead_peer(post: Callable[[int], Post]) -> None:
    a = post(A)
    path = Path(a._path(B))
    left = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    left.bind(str(path))
    left.close()
    a.send_frames(B, [b"lost"])
    assert a.retry_at is None
    path.unlink()


def test_what_a_peer_sent_before_it_died_arrives(post: Callable[[int], Post]) -> None:
    a, b = post(A), post(B)
    a.send_frames(B, [b"last words"])
    a.close()
    assert take(b, 1) == [[b"last words"]]


def test_closing_lets_messages_leave(post: Callable[[int], Post]) -> None:
    a, b = post(A), post(B)
    a.send_frames(B, [b"x"])
    take(b, 1)
    a.send_frames(B, [bytes(300_000)])
    a.close(linger=1.0)
    assert take(b, 1) == [[bytes(300_000)]]


def test_other_machines_go_by_way_of_the_node(post: Callable[[int], Post]) -> None:
    a, node = post(A), post(node_client(1))
    far = client_id(2, 9)
    a.send(far, {"x": 1})
    assert take(node, 1) == [[envelope(far), encode({"x": 1})]]


def test_a_frame_that_is_too_large_closes_its_connection(post: Callable[[int], Post]) -> None:
    a, b = post(A), post(B)
    stranger = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stranger.connect(b._path(B))
    stranger.send(b"\xff\xff\xff\x7f" + b"x" * 100)
    b.receive()
    a.send_frames(B, [b"still here"])
    assert take(b, 1) == [[b"still here"]]
    assert stranger.recv(10) == b""
    stranger.close()


def test_inboxes_are_told_apart_by_their_owners(post: Callable[[int], Post]) -> None:
    a = post(A)
    assert Path(a._path(A)).name == client_hex(A)
