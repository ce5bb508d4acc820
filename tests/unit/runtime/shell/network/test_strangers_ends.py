"""A connection that ends while it is looked at: nothing is known of it, and nobody minds."""

from __future__ import annotations

import os
import socket

import pytest

from nbray.runtime.shell.network import strangers


def test_one_that_ends_between_two_looks_has_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = os.open(os.devnull, os.O_RDONLY)
    os.close(gone)
    assert strangers.address_of(gone) == ""
    monkeypatch.setattr(strangers, "_is_socket", lambda _fd: True)
    assert strangers.address_of(gone) == ""


def test_one_that_stands_has_its_peers_address() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    with server, socket.create_connection(server.getsockname()) as ours:
        theirs, _ = server.accept()
        with theirs:
            host, port = ours.getsockname()
            assert strangers.address_of(theirs.fileno()) == f"{host}:{port}"
            assert theirs.fileno() >= 0
