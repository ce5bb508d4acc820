"""The links of several nodes over carriers that can be parted, as playbooks."""

from __future__ import annotations

import itertools

import pytest

from nbray.config import DETOUR, HEAD_PATIENCE, HEARTBEAT, NODE_TIMEOUT
from nbray.runtime.core.network.mesh import ANEW, SILENT, TOLD, Got, Mesh, Out, patience


class Net:
    """Nodes 1, 2 and 3, each connected to the others; frames arrive at once."""

    def __init__(self, numbers: tuple[int, ...] = (1, 2, 3)) -> None:
        self.now = 0.0
        self.apart: set[frozenset[int]] = set()
        self.members = set(numbers)
        self.heard: list[tuple[int, int, bytes]] = []
        self.lost: list[tuple[int, int, str]] = []
        self.meshes: dict[int, Mesh] = {}
        for number in numbers:
            self.start(number)
        for one, other in itertools.combinations(numbers, 2):
            self.connect(one, other)

    def start(self, number: int) -> None:
        sessions = itertools.count(number * 1000 + 1)
        self.meshes[number] = Mesh(
            lambda: next(sessions), self.members.__contains__, lambda: self.members, number
        )

    def connect(self, one: int, other: int) -> None:
        self.apart.discard(frozenset((one, other)))
        ends = ((one, other), (other, one))
        outs = [self.meshes[here].connected(there, self.now) for here, there in ends]
        for (here, _), out in zip(ends, outs, strict=True):
            self.carry(here, out)

    def part(self, one: int, other: int, silent: bool = False) -> None:
        self.apart.add(frozenset((one, other)))
        if not silent:
            self.meshes[one].disconnected(other)
            self.meshes[other].disconnected(one)

    def carry(self, here: int, out: list[Out]) -> None:
        for lane, payload in out:
            if frozenset((here, lane)) not in self.apart and lane in self.meshes:
                self.came(lane, self.meshes[lane].arrived(here, payload, self.now))

    def came(self, here: int, got: Got) -> None:
        self.heard += [(here, peer, bytes(frames[0])) for peer, frames in got.deliver]
        for peer, why in got.lost:
            self.lost.append((here, peer, why))
            self.meshes[here].links.pop(peer, None)
            if here == 1:
                self.members.discard(peer)
        for peer in got.dial:
            if frozenset((here, peer)) not in self.apart:
                self.connect(here, peer)
        self.carry(here, got.out)

    def send(self, here: int, peer: int, text: bytes) -> None:
        self.carry(here, self.meshes[here].send(peer, [text]))

    def rest(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.25)):
            self.now += 0.25
            for number, mesh in list(self.meshes.items()):
                self.came(number, mesh.tick(self.now))


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize(("one", "other"), [(2, 3), (1, 2), (1, 3)])
def test_two_that_lose_each_other_speak_by_way_of_the_third(
    one: int, other: int, silent: bool
) -> None:
    net = Net()
    net.part(one, other, silent)
    net.send(one, other, b"early")
    net.rest(60)
    net.send(other, one, b"late")
    net.send(one, other, b"later")
    assert net.heard == [(other, one, b"early"), (one, other, b"late"), (other, one, b"later")]
    assert not net.lost
    net.connect(one, other)
    net.rest(3)
    assert net.meshes[one].links[other].via == 0
    net.part(one, min({1, 2, 3} - {one, other}))  # the detour is not needed any more
    net.send(one, other, b"directly")
    assert net.heard[-1] == (other, one, b"directly")


def test_two_that_never_met_find_each_other_by_way_of_the_third() -> None:
    net = Net((1, 2))
    net.start(3)
    net.members.add(3)
    net.connect(1, 3)
    net.apart.add(frozenset((2, 3)))
    net.meshes[2].open(3, net.now)
    net.send(2, 3, b"hello")
    assert not net.heard
    net.rest(DETOUR + 2 * HEARTBEAT)
    net.send(3, 2, b"and to you")
    assert net.heard == [(3, 2, b"hello"), (2, 3, b"and to you")]


def test_the_third_dials_whom_it_does_not_know_yet() -> None:
    net = Net((1, 2))
    net.start(3)
    net.members.add(3)
    net.connect(1, 3)
    net.part(1, 3)
    net.send(1, 3, b"by way of 2")
    net.rest(DETOUR + 3 * HEARTBEAT)
    assert net.heard == [(3, 1, b"by way of 2")]
    assert not net.lost


def test_only_the_heads_machine_takes_silence_for_death() -> None:
    net = Net()
    for other in (1, 2):
        net.part(3, other, silent=True)
    net.rest(NODE_TIMEOUT + 1)
    assert net.lost == [(1, 3, SILENT)]
    net.rest(HEAD_PATIENCE)
    assert net.lost == [(1, 3, SILENT), (3, 1, SILENT)]


def test_who_was_given_up_hears_it_when_it_is_back_even_by_a_detour() -> None:
    net = Net()
    net.part(3, 1)
    net.part(3, 2)
    net.rest(NODE_TIMEOUT + 1)
    net.connect(2, 3)
    net.rest(3)
    assert (3, 1, ANEW) in net.lost


@pytest.mark.parametrize("by", [2, 4])
@pytest.mark.parametrize("silent", [False, True])
def test_who_was_counted_out_and_reaches_only_another_member_is_told_by_that(
    by: int, silent: bool
) -> None:
    net = Net((1, 2, 3, 4))
    for other in (1, 2, 4):
        net.part(3, other, silent)
    net.rest(NODE_TIMEOUT + 1)
    for other in (1, 2, 4):  # the head tells all
        net.meshes[other].forget(3)
    net.connect(by, 3)
    net.rest(1)
    assert (3, 1, TOLD.format(by)) in net.lost
    assert 3 not in net.meshes[by].links


@pytest.mark.parametrize("met", [True, False])
def test_who_reaches_another_member_dials_it_when_that_has_given_the_carrier_up(met: bool) -> None:
    net = Net((1, 2, 3))
    net.part(3, 1)
    net.meshes[3].disconnected(2)
    for other in (1, 2):
        net.meshes[other].forget(3)
    if not met:
        del net.meshes[3].links[2]
    net.rest(DETOUR + 2 * HEARTBEAT)
    assert (3, 1, TOLD.format(2)) in net.lost


def test_who_hears_of_nobody_dials_some_not_all_the_same_and_the_head_nobody() -> None:
    net = Net(tuple(range(1, 9)))
    dialled: dict[int, set[int]] = {number: set() for number in net.meshes}
    for number, mesh in net.meshes.items():
        for peer in list(mesh.links):
            if 1 in (number, peer):
                mesh.disconnected(peer)
            else:
                del mesh.links[peer]
        for now in (1.0, 2.0, 3.0):
            dialled[number].update(mesh.tick(now).dial)
    assert not dialled.pop(1)
    assert dialled[2] == {1, 3, 4, 5}
    assert dialled[7] == {1, 8, 2, 3}


def test_who_comes_back_and_reaches_the_head_hears_it_once() -> None:
    net = Net()
    net.part(3, 1)
    net.part(3, 2)
    net.rest(NODE_TIMEOUT + 1)
    for other in (1, 2):
        net.meshes[other].forget(3)
    net.connect(1, 3)
    net.rest(NODE_TIMEOUT + 1)
    assert [lost for lost in net.lost if lost[0] == 3] == [(3, 1, ANEW)]
    assert [lost for lost in net.lost if lost[0] == 1] == [(1, 3, SILENT)]


def test_who_is_only_refused_by_another_member_goes_on() -> None:
    net = Net()
    del net.meshes[2].links[3]  # not at the head's word
    net.send(3, 2, b"hello")
    net.rest(1)
    assert net.lost == [(3, 2, ANEW)]


def test_a_word_for_another_session_is_not_believed() -> None:
    net = Net()
    net.meshes[2].forget(3)
    frame = net.meshes[3].send(2, [b"hello"])[0][1]
    ((_, word),) = net.meshes[2].arrived(3, frame, net.now).out
    del net.meshes[3].links[2]
    net.meshes[3].connected(2, net.now)
    assert net.meshes[3].arrived(2, word, net.now) == Got()


def test_what_is_sent_while_the_carrier_is_broken_goes_when_it_stands_again() -> None:
    net = Net((1, 2))
    net.meshes[2].disconnected(1)
    assert not net.meshes[2].send(1, [b"hello"])
    net.connect(1, 2)
    assert net.heard == [(1, 2, b"hello")]


def test_a_lost_detour_is_followed_by_another() -> None:
    net = Net((1, 2, 3, 4))
    net.part(3, 4)
    net.rest(5)
    via = net.meshes[3].links[4].via
    assert via in (1, 2)
    net.part(3, via, silent=True)
    net.send(3, 4, b"still")
    net.rest(6)
    assert net.heard == [(4, 3, b"still")]
    assert not [lost for lost in net.lost if via != 1]


def test_nobody_passes_on_what_has_been_passed_on() -> None:
    net = Net()
    frame = net.meshes[3]._by(1, 2, [[b"x", b"y"]])[0][1]
    net.meshes[1].links[2].lost()
    got = net.meshes[1].arrived(3, frame, 0.0)
    assert not got.out
    assert not got.deliver


def test_bulk_takes_the_same_way() -> None:
    net = Net()
    lane, frames = net.meshes[2].bulk(3, [b"m", b"bytes"])
    assert (lane, net.meshes[3].bulk_arrived(2, frames).deliver) == (3, [(2, [b"m", b"bytes"])])
    net.part(2, 3)
    net.rest(5)
    lane, frames = net.meshes[2].bulk(3, [b"m", b"bytes"])
    assert lane == 1
    ((target, passed),) = net.meshes[1].bulk_arrived(2, frames).out
    assert target == 3
    assert net.meshes[3].bulk_arrived(1, passed).deliver == [(2, [b"m", b"bytes"])]


def test_who_may_call_whom_dead() -> None:
    assert patience(1, 2) == NODE_TIMEOUT
    assert patience(2, 1) == patience(0, 1) == HEAD_PATIENCE
    assert patience(2, 3) == float("inf")
    assert patience(1, -4) == patience(2, -4) == NODE_TIMEOUT


@pytest.mark.parametrize("frames", [[], [b""], [b"D" * 18], [b"D\x01" + bytes(16), b"x"]])
def test_what_is_no_detour_is_a_links_business(frames: list[bytes]) -> None:
    mesh = Net().meshes[1]
    assert mesh.arrived(2, frames, 0.0) == Got()
    assert mesh.links[2].corrupt == 1
