"""A node is dead when its machine says so, and for no lesser reason."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from nbray.runtime.shell.network.suspects import PATIENCE, Suspects

PEER = 3


class Port:
    """A listening socket that stands for a node's."""

    def __init__(self, backlog: int = 16) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"


@pytest.fixture
def port() -> Iterator[Port]:
    made = Port()
    yield made
    made.socket.close()


def drive(suspects: Suspects, seconds: float) -> list[int]:
    """Let time pass, in the steps that it asks for; who is found dead."""
    dead: list[int] = []
    now = until = time.monotonic()
    until += seconds
    while (due := suspects.next_deadline()) is not None and due < until:
        time.sleep(max(0.0, due - now))
        now = time.monotonic()
        dead += suspects.tick(now)
    return dead


def reached(port: Port) -> Suspects:
    suspects = Suspects(lambda _peer: port.address)
    suspects.stands(PEER, time.monotonic())
    assert drive(suspects, 5.0) == []
    return suspects


def test_whose_port_is_refused_twice_is_dead(port: Port) -> None:
    suspects = reached(port)
    port.socket.close()
    suspects.broke(PEER, time.monotonic())
    assert drive(suspects, 5.0) == [PEER]


def test_who_still_listens_is_not(port: Port) -> None:
    suspects = reached(port)
    suspects.broke(PEER, time.monotonic())
    assert drive(suspects, 5.0) == []


def test_who_dials_again_is_not(port: Port) -> None:
    suspects = reached(port)
    port.socket.close()
    suspects.broke(PEER, time.monotonic())
    assert suspects.tick(time.monotonic() + 1.0) == []  # the first refusal
    suspects.stands(PEER, time.monotonic())
    assert drive(suspects, 5.0) == []


def test_who_could_never_be_reached_is_judged_by_silence_alone(port: Port) -> None:
    port.socket.close()  # a firewall that refuses looks the same
    suspects = reached(port)
    suspects.broke(PEER, time.monotonic())
    assert suspects.next_deadline() is None


def test_who_does_not_answer_is_judged_by_silence_alone(port: Port) -> None:
    full = Port(backlog=0)
    suspects = Suspects(lambda _peer: full.address)
    suspects.stands(PEER, time.monotonic())
    assert drive(suspects, 5.0) == []
    held = []
    for _ in range(4):  # nobody accepts: further ones are not answered
        held.append(socket.socket())
        held[-1].setblocking(False)
        held[-1].connect_ex(full.socket.getsockname())
    suspects.broke(PEER, time.monotonic())
    assert drive(suspects, PATIENCE + 2) == []
    for one in (*held, full.socket):
        one.close()


def test_an_address_that_is_not_known_yet_is_asked_for_again(port: Port) -> None:
    known: list[str] = [""]
    suspects = Suspects(lambda _peer: known[0])
    suspects.stands(PEER, 0.0)
    assert suspects.tick(1.0) == []
    known[0] = port.address
    assert suspects.tick(10.0) == []
    time.sleep(0.05)
    suspects.tick(11.0)
    port.socket.close()
    suspects.broke(PEER, time.monotonic())
    assert drive(suspects, 5.0) == [PEER]


def test_who_is_forgotten_is_not_tried(port: Port) -> None:
    suspects = reached(port)
    port.socket.close()
    suspects.broke(PEER, time.monotonic())
    suspects.forget(PEER)
    assert suspects.next_deadline() is None
    suspects.broke(PEER, time.monotonic())
    assert suspects.next_deadline() is None
    suspects.close()
