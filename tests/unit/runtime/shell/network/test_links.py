"""Links to nodes of which nobody has told yet."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from links_play import closed_after

from nbray.runtime.shell.network.lanes import Lanes, make_context
from nbray.runtime.shell.network.links import Links
from nbray.wire.secret import Secret

SECRET = Secret.generate()


class Two:
    """Node 2, which has joined a moment ago, and node 3, which has not heard of it."""

    def __init__(self) -> None:
        self.contexts = [make_context(), make_context()]
        self.known: dict[int, str] = {}
        self.links = {
            2: Links(Lanes(self.contexts[0], SECRET, 2), lambda _: "", lambda: ()),
            3: Links(
                Lanes(self.contexts[1], SECRET, 3),
                lambda peer: self.known.get(peer, ""),
                lambda: self.known,
            ),
        }
        host, port = self.links[2].lanes.bind("127.0.0.1", 0)
        self.address = f"{host}:{port}"

    def heard(self, number: int, seconds: float) -> list[bytes]:
        """What *number* hears until something comes."""
        end = time.monotonic() + seconds
        got: list[bytes] = []
        while not got and time.monotonic() < end:
            for links in self.links.values():
                now = time.monotonic()
                came = links.receive(now)
                links.tick(now)
                if links is self.links[number]:
                    got += [bytes(frames[0]) for _, frames in came.control]
            time.sleep(0.005)
        return got


@pytest.fixture
def two() -> Iterator[Two]:
    yield from closed_after(Two())


def test_what_is_sent_waits_until_its_address_is_known(two: Two) -> None:
    two.links[3].send(2, [b"to somebody new"], time.monotonic())
    assert not two.heard(2, 0.3)
    two.known[2] = two.address
    assert two.heard(2, 30) == [b"to somebody new"]
    assert not two.links[3].unmet


def test_or_until_it_comes_by_itself(two: Two) -> None:
    two.links[3].send(2, [b"to somebody new"], time.monotonic())
    host, port = two.links[3].lanes.bind("127.0.0.1", 0)
    two.links[2].dial(3, f"{host}:{port}", time.monotonic())
    assert two.heard(2, 30) == [b"to somebody new"]


def test_nothing_waits_for_who_is_counted_out(two: Two) -> None:
    links = two.links[3]
    links.send(2, [b"to somebody new"], time.monotonic())
    links.counted_out(2)
    assert not links.unmet
    assert not links.mesh.links
    links.send(2, [b"again"], time.monotonic())
    assert not links.mesh.links
