"""Addresses, and where a node listens."""

from __future__ import annotations

import pytest

from nbray.config import NodeRequest
from nbray.runtime.shell.network import address
from nbray.runtime.shell.network.address import join_address, parse_address, settle

STRONG = "correct horse battery staple"
WEAK = "5241590000000000"


@pytest.fixture(autouse=True)
def _route(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine is 10.1.2.3 to the world."""

    def towards(host: str) -> str:
        return "127.0.0.1" if address.is_loopback(host) else "10.1.2.3"

    monkeypatch.setattr(address, "ip_towards", towards)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("10.0.0.5:6379", "10.0.0.5", 6379), (" box:1 ", "box", 1), ("[::1]:80", "::1", 80)],
)
def test_parse(text: str, host: str, port: int) -> None:
    assert parse_address(text) == (host, port)
    assert join_address(host, port) == text.strip()


@pytest.mark.parametrize("text", ["", "box", "box:", ":80", "box:x", "box:0", "box:65536", "b:²"])
def test_parse_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"HOST:PORT|valid port"):
        parse_address(text)


def test_a_head_makes_its_secret_and_listens_on_the_primary_address() -> None:
    settled, warnings = settle(NodeRequest(head=True))
    assert len(settled.secret) == 43
    assert settled.node_ip == "10.1.2.3"
    assert warnings == []


def test_a_weak_password_stays_on_this_machine() -> None:
    settled, warnings = settle(NodeRequest(head=True, secret=WEAK))
    assert settled.node_ip == "127.0.0.1"
    assert len(warnings) == 1
    assert "--insecure-password" in warnings[0]


@pytest.mark.parametrize(
    ("request_", "ip"),
    [
        (NodeRequest(head=True, secret=WEAK, insecure_password=True), "10.1.2.3"),
        (NodeRequest(head=True, secret=WEAK, node_ip="172.17.0.2"), "172.17.0.2"),
        (NodeRequest(head=True, secret=WEAK, node_ip="8.8.8.8", insecure_password=True), "8.8.8.8"),
        (NodeRequest(head=False, secret=WEAK, address="172.17.0.2:6379"), "10.1.2.3"),
    ],
)
def test_unless_the_user_said_so(request_: NodeRequest, ip: str) -> None:
    settled, warnings = settle(request_)
    assert settled.node_ip == ip
    assert len(warnings) == 1
    assert "easy to guess" in warnings[0]


def test_a_public_address_alone_is_not_saying_so() -> None:
    settled, _ = settle(NodeRequest(head=True, secret=WEAK, node_ip="8.8.8.8"))
    assert settled.node_ip == "127.0.0.1"


def test_a_strong_password_needs_no_warning() -> None:
    settled, warnings = settle(NodeRequest(head=True, secret=STRONG, node_ip="8.8.8.8"))
    assert (settled.node_ip, settled.secret, warnings) == ("8.8.8.8", STRONG, [])


def test_joining_on_this_machine_listens_on_this_machine() -> None:
    settled, warnings = settle(NodeRequest(head=False, address="127.0.0.1:6379", secret=WEAK))
    assert settled.node_ip == "127.0.0.1"
    assert warnings == []


def test_joining_needs_the_secret_and_an_address() -> None:
    with pytest.raises(ValueError, match="--redis-password"):
        settle(NodeRequest(head=False, address="10.0.0.5:6379"))
    with pytest.raises(ValueError, match="HOST:PORT"):
        settle(NodeRequest(head=False, address="10.0.0.5", secret=STRONG))


def test_the_primary_address_without_a_route(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "ip_towards", lambda host: "")
    assert parse_address(f"{address.primary_ip()}:1")[1] == 1
