"""A node that was counted out while it heard nothing is told so by whomever it reaches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from links_play import closed_after

from nbray.runtime.core.network.mesh import ANEW, SILENT, TOLD
from nbray.runtime.shell.network.lanes import Lanes, make_context
from nbray.runtime.shell.network.links import Links
from nbray.wire.secret import Secret

HEAD, NODE, OTHER = 1, 2, 3
TIMEOUT = 60.0


class Nodes:
    """The links of a head's node and of others; *fast* is how much *whose* clock is on."""

    def __init__(self, *numbers: int) -> None:
        secret = Secret.generate()
        self.addresses: dict[int, str] = {}
        self.contexts = []
        self.links: dict[int, Links] = {}
        for number in numbers:
            context = make_context()
            self.contexts.append(context)
            lanes = Lanes(context, secret, number)
            self.addresses[number] = f"127.0.0.1:{lanes.bind('127.0.0.1')[1]}"
            self.links[number] = Links(
                lanes, lambda peer: self.addresses.get(peer, ""), lambda: self.addresses
            )
        self.fast = dict.fromkeys(numbers, 0.0)
        self.lost: list[tuple[int, int, str]] = []

    def step(self, *numbers: int) -> None:
        """Let nodes do what there is to do."""
        for number in numbers:
            now = time.monotonic() + self.fast[number]
            links = self.links[number]
            for got in (links.receive(now), links.tick(now)):
                self.lost += [(number, peer, why) for peer, why in got.lost]
        time.sleep(0.005)

    def until(
        self, done: Callable[[], object], *numbers: int, passing: float = 0.0, at: int = HEAD
    ) -> None:
        """Go on until something is so; *passing* seconds pass *at* a node with each step."""
        deadline = time.monotonic() + TIMEOUT
        while not done():
            assert time.monotonic() < deadline, self.lost
            self.fast[at] += passing
            self.step(*numbers)


@pytest.fixture
def two() -> Iterator[Nodes]:
    yield from closed_after(Nodes(HEAD, NODE))


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("waiting", [0, 3])
def test_who_stood_still_hears_at_once_that_he_is_out(two: Nodes, waiting: int, told: bool) -> None:
    head, node = two.links[HEAD], two.links[NODE]
    node.send(HEAD, [b"hello"], time.monotonic())
    link = node.mesh.links[HEAD]
    two.until(lambda: link.up and not link.waiting, HEAD, NODE)
    two.until(lambda: two.lost, HEAD, passing=0.4)  # the node stands still
    assert two.lost == [(HEAD, NODE, SILENT)]
    del two.addresses[NODE]
    if told:
        head.counted_out(NODE)
    for _ in range(waiting):
        node.send(HEAD, [b"still here"], time.monotonic())
    two.until(lambda: len(two.lost) > 1, HEAD, NODE)
    assert two.lost[1:] == [(NODE, HEAD, ANEW)]


@pytest.fixture
def three() -> Iterator[Nodes]:
    yield from closed_after(Nodes(HEAD, NODE, OTHER))


@pytest.mark.parametrize("met", [(NODE, OTHER), (OTHER, NODE), ()])
def test_who_reaches_only_another_member_is_told_whoever_of_them_dialled(
    three: Nodes, met: tuple[int, ...]
) -> None:
    node, other = three.links[NODE], three.links[OTHER]
    node.send(HEAD, [b"hello"], time.monotonic())
    three.until(lambda: node.mesh.links[HEAD].up, HEAD, NODE)
    if met:
        dials, waits = met
        three.links[dials].send(waits, [b"hello"], time.monotonic())
        link = three.links[dials].mesh.links[waits]
        three.until(lambda: link.up and not link.waiting, NODE, OTHER)
    other.counted_out(NODE)  # and the head is not heard any more
    told = NODE, HEAD, TOLD.format(OTHER)
    three.until(lambda: told in three.lost, NODE, OTHER, passing=0.1, at=NODE)
