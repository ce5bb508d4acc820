"""A port before anybody comes: listened at, opened for whoever knocks."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import pytest

from nbray.runtime.shell.network.lane_events import Arrived, Connected, Lane
from nbray.runtime.shell.network.listener import Door
from nbray.wire.secret import Secret

SECRET = Secret.parse("5b" * 32)


def test_it_listens_and_speaks_to_nobody() -> None:
    door = Door(SECRET, 1)
    ip, port = door.bind("127.0.0.1")
    with socket.create_connection((ip, port), 5) as knocking:
        knocking.settimeout(0.05)
        with pytest.raises(TimeoutError):
            knocking.recv(1)
    assert door.receive() == []
    assert not door.send(2, Lane.CONTROL, [b"x"])
    door.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((ip, port), 5)


def test_whoever_knocked_is_let_in_when_it_opens() -> None:
    from nbray.runtime.shell.network.lanes import Lanes, make_context

    door = Door(SECRET, 1)
    ip, port = door.bind("127.0.0.1")
    context = make_context()
    guest = Lanes(context, SECRET, 2)
    guest.dial(1, f"{ip}:{port}")
    time.sleep(0.05)
    host = door.open()
    assert door.fd == -1
    arrived: list[Arrived] = []
    deadline = time.monotonic() + 60
    while not arrived and time.monotonic() < deadline:
        for event in guest.receive():
            if isinstance(event, Connected) and event.lane is Lane.CONTROL:
                guest.send(1, Lane.CONTROL, [b"hello"])
        arrived = [event for event in host.receive() if isinstance(event, Arrived)]
        time.sleep(0.005)
    assert [bytes(frame) for frame in arrived[0].frames] == [b"hello"]
    guest.close()
    host.close()


def test_a_port_that_is_taken_is_an_error() -> None:
    first, second = Door(SECRET, 1), Door(SECRET, 1)
    ip, port = first.bind("127.0.0.1")
    with pytest.raises(OSError, match="in use"):
        second.bind(ip, port)
    first.close()


def test_a_node_without_company_does_not_load_zeromq() -> None:
    program = "import sys, nbray.runtime.shell.node.founding; print('zmq' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.stdout.strip() == "False"
