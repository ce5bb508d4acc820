"""Who waits for a dashboard that does not start hears why, if he may."""

from __future__ import annotations

import socket

import pytest

from nbray.dashboard.access import Access
from nbray.dashboard.failed_start import answer, tell

WHY = "the dashboard does not start: No module named 'tornado'"
ACCESS = Access("secret")


def request(path: str = "/", **fields: str) -> bytes:
    lines = [f"{name}: {value}" for name, value in {"Host": "127.0.0.1:8265", **fields}.items()]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode()


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (request("/?key=secret"), 503),
        (request("/x", Cookie=f"a=b; nbray-8265={ACCESS.mark('127.0.0.1')}"), 503),
        (request(), 401),
        (request("/?key=other"), 401),
        (request(Cookie="nbray-8265=other"), 401),
        (request("/?key=secret", Host="evil.com"), 403),
        (request("/?key=secret", Origin="http://evil.com"), 403),
        (b"", 403),
        (b"\xff\xfe\r\n\r\n", 403),
        (b"GET //[/?key=secret HTTP/1.1\r\nHost: localhost\r\n\r\n", 401),
    ],
)
def test_only_the_links_holder_is_told(given: bytes, status: int) -> None:
    text = answer(given, ACCESS, "nbray-8265", WHY).decode()
    assert text.startswith(f"HTTP/1.1 {status} ")
    assert (WHY in text) == (status == 503)


def test_all_who_wait_are_answered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        visitors = [socket.create_connection(listening.getsockname(), 20) for _ in range(3)]
        for visitor in visitors[:2]:
            visitor.sendall(request("/?key=secret"))
        visitors[2].shutdown(socket.SHUT_WR)  # a port scan, say
        assert tell(listening, ACCESS, "nbray-8265", WHY) == 3
        assert tell(listening, ACCESS, "nbray-8265", WHY) == 0
        for number, visitor in enumerate(visitors):
            with visitor:
                text = b""
                while part := visitor.recv(65536):
                    text += part
                assert (WHY.encode() in text) == (number < 2)
