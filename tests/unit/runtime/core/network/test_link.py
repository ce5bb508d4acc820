"""The link between nodes: playbooks of one rule each, and a seeded storm."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from nbray.config import DETOUR, HEARTBEAT, NODE_TIMEOUT, PIECE
from nbray.runtime.core.network.link import (
    ACK_BYTES,
    ACK_DELAY,
    ACK_FRAMES,
    HEADER_SIZE,
    Link,
    Payload,
    opens,
    refusal,
)


def pair(up: bool = True) -> tuple[Link, Link]:
    one, two = Link(11, 0.0), Link(22, 0.0)
    if up:
        carry(one.connected(0.0), two)
        carry(two.connected(0.0), one)
    return one, two


def carry(messages: Sequence[Payload], to: Link, now: float = 0.0) -> list[bytes]:
    """Deliver *messages*, ignoring answers; the first frames of what *to* hands on."""
    return [bytes(got[0]) for raw in messages for got in to.receive(raw, now).deliver]


def talk(one: Link, two: Link, messages: Sequence[Payload], now: float = 0.0) -> list[bytes]:
    """Deliver *messages* of *one*'s to *two*, and all that follows from them."""
    delivered: list[bytes] = []
    pending = [(two, raw) for raw in messages]
    while pending:
        to, raw = pending.pop(0)
        got = to.receive(raw, now)
        if to is two:
            delivered += [bytes(frames[0]) for frames in got.deliver]
        pending += [(one if to is two else two, answer) for answer in got.transmit]
    return delivered


def test_message_arrives_with_all_its_frames() -> None:
    one, two = pair()
    (raw,) = one.send([b"head", b"body"])
    assert len(raw[0]) == HEADER_SIZE
    assert two.receive(raw, 0.0).deliver == [[b"head", b"body"]]


def test_acknowledgement_waits_a_little_and_frees_the_sender() -> None:
    one, two = pair()
    carry(one.send([b"12345"]), two, 1.0)
    assert one.in_flight == 5
    assert two.next_deadline() <= 1.0 + ACK_DELAY
    carry(two.tick(1.0 + ACK_DELAY), one, 1.0)
    assert one.in_flight == 0
    assert one.waiting == 0


def test_acknowledgement_rides_on_an_answer() -> None:
    one, two = pair()
    carry(one.send([b"question"]), two)
    assert carry(two.send([b"answer"]), one) == [b"answer"]
    assert one.waiting == 0
    assert two.next_deadline() > ACK_DELAY


def test_many_messages_are_acknowledged_at_once() -> None:
    one, two = pair()
    answers: list[Payload] = []
    for _ in range(ACK_FRAMES):
        (raw,) = one.send([b"x"])
        answers += two.receive(raw, 0.0).transmit
    assert len(answers) == 1
    carry(answers, one)
    assert one.waiting == 0


def test_large_messages_are_acknowledged_sooner_and_counted_anew() -> None:
    one, two = pair()
    answers = []
    for _ in range(6):
        (raw,) = one.send([b"x" * (ACK_BYTES // 2)])
        answers.append(len(two.receive(raw, 0.0).transmit))
    assert answers == [0, 1] * 3


def test_duplicates_are_delivered_once() -> None:
    one, two = pair()
    raw = one.send([b"x"])
    assert carry([*raw, *raw], two) == [b"x"]


def test_nothing_leaves_while_the_carrier_is_down_and_all_is_replayed_after() -> None:
    one, two = pair()
    one.send([b"lost"])
    one.lost()
    assert one.send([b"kept"]) == []
    assert one.tick(HEARTBEAT / 2) == []
    assert carry(one.connected(HEARTBEAT), two) == [b"lost", b"kept"]


def test_another_way_is_sought_as_soon_as_the_one_in_use_was_silent_for_so_long() -> None:
    one, _ = pair()
    found = []
    for step in range(1, 8):
        one.tick(step * DETOUR / 5)
        found.append(one.seeking)
    assert found == [False] * 4 + [True] * 3


def test_a_heartbeat_after_its_carrier_broke_an_end_seeks_another_way() -> None:
    one, two = pair()
    one.lost()
    assert one.tick(HEARTBEAT / 2) == []
    (sign,) = one.tick(HEARTBEAT)
    assert two.receive(sign, HEARTBEAT, via=3).transmit  # answered by the way it came
    assert two.via == 3


@pytest.mark.parametrize(("steps", "dead"), [(14, False), (15, True)])
def test_an_end_is_dead_when_it_was_silent_for_all_the_patience(steps: int, dead: bool) -> None:
    one, _ = pair()
    for step in range(1, steps + 1):
        one.tick(step * NODE_TIMEOUT / 15)
    assert one.dead is dead


def test_a_gap_is_reported_once_and_filled() -> None:
    one, two = pair()
    one.send([b"a"])
    later = [*one.send([b"b"]), *one.send([b"c"])]
    assert talk(one, two, later) == [b"a", b"b", b"c"]


def test_a_lost_last_message_is_found_by_the_next_sign() -> None:
    one, two = pair()
    one.send([b"last"])
    assert talk(one, two, one.tick(HEARTBEAT), HEARTBEAT) == [b"last"]


def test_stale_session_is_refused_and_learns_it() -> None:
    one, two = pair()
    fresh = Link(33, 0.0)
    (raw,) = two.connected(0.0)[-1:]
    assert talk(one, two, one.send([b"fine"])) == [b"fine"]
    # `two` is replaced by another incarnation, of which `one` knows nothing.
    answer = fresh.receive(one.send([b"for the dead"])[0], 0.0)
    assert answer.deliver == []
    got = one.receive(answer.transmit[0], 0.0)
    assert got.stale
    assert one.ended
    assert one.send([b"more"]) == []
    assert one.in_flight == 0
    # Whoever still speaks to the ended link is refused in turn, and refusals end there.
    back = one.receive(raw, 0.0).transmit
    assert two.receive(back[0], 0.0).stale
    assert one.receive(back[0], 0.0).transmit == []


def test_a_replaced_peer_cannot_enter_an_old_link() -> None:
    one, two = pair()
    impostor = Link(44, 0.0)
    impostor.connected(0.0)
    (raw,) = impostor.send([b"x"])
    got = one.receive(raw, 0.0)
    assert got.deliver == []
    assert not one.ended
    assert impostor.receive(got.transmit[0], 0.0).stale
    assert talk(two, one, two.send([b"ok"])) == [b"ok"]


def test_a_node_that_was_given_up_is_told_so() -> None:
    one, _ = pair()
    (raw,) = one.send([b"x"])
    answer = refusal(raw, 99)
    assert answer is not None
    assert one.receive(answer, 0.0).stale
    assert refusal(answer, 99) is None
    assert refusal([b"junk"], 99) is None


@pytest.mark.parametrize("out", [False, True])
def test_a_refusal_says_whether_the_head_has_counted_the_node_out(out: bool) -> None:
    one, _ = pair()
    (raw,) = one.send([b"x"])
    answer = refusal(raw, 99, out)
    assert answer is not None
    got = one.receive(answer, 0.0)
    assert (got.stale, got.out, got.transmit) == (True, out, [])
    assert not one.receive(raw, 0.0).out
    assert refusal(answer, 99, not out) is None
    assert not opens(answer)


@pytest.mark.parametrize(
    "junk",
    [
        [],
        [b""],
        [b"junk"],
        [b"\x00" * HEADER_SIZE],
        [b"\xff" * HEADER_SIZE, b"x"],
        [b"L\x01" + b"\x01" * 32],
        [b"L\x02" + b"\x01" * 32, b"x"],
        [b"L\x09" + b"\x01" * 32, b"x"],
    ],
)
def test_malformed_frames_are_counted(junk: list[bytes]) -> None:
    one, two = pair()
    assert two.receive(junk, 0.0).deliver == []
    assert two.corrupt == 1
    assert carry(one.send([b"x"]), two) == [b"x"]


def test_acknowledging_what_was_never_sent_is_malformed() -> None:
    one, two = pair()
    for _ in range(3):
        carry(one.send([b"x"]), two)
    (sign,) = two.connected(0.0)
    young = Link(11, 0.0)
    young.receive(sign, 0.0)
    assert young.corrupt == 1


def test_silence_kills_in_ticks_observed() -> None:
    one, _ = pair()
    now = 0.0
    while not one.dead:
        now += HEARTBEAT
        one.tick(now)
    assert now == pytest.approx(NODE_TIMEOUT)
    assert one.send([b"x"]) == []


def test_a_word_in_time_keeps_it_alive() -> None:
    one, two = pair()
    now = 0.0
    for _ in range(30):
        now += HEARTBEAT
        carry(two.tick(now), one, now)
        carry(one.tick(now), two, now)
    assert not one.dead
    assert not two.dead


def test_a_suspended_machine_kills_nobody_on_waking() -> None:
    one, two = pair()
    one.tick(HEARTBEAT)
    one.tick(3600.0)
    assert not one.dead
    carry(two.tick(3600.0), one, 3600.0)
    one.tick(3600.0 + HEARTBEAT)
    assert not one.dead


def test_reconnecting_alone_is_no_sign_of_life() -> None:
    one, _ = pair()
    now = 0.0
    while not one.dead:
        assert now < 2 * NODE_TIMEOUT
        now += HEARTBEAT
        one.lost()
        one.connected(now)
        one.tick(now)


def test_a_session_is_not_zero() -> None:
    with pytest.raises(ValueError, match="not 0"):
        Link(0, 0.0)


class Storm:
    """A carrier that drops, duplicates, delays, and reorders across reconnects."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.links = [Link(1, 0.0), Link(2, 0.0)]
        self.inboxes: list[list[bytes]] = [[], []]
        self.wire: list[tuple[float, int, Payload]] = []
        self.clear = [0.0, 0.0]
        """Until when each direction is busy: a connection keeps the order."""

    def transmit(self, sender: int, messages: Sequence[Payload], calm: bool) -> None:
        for raw in messages:
            fate = 1.0 if calm else self.random.random()
            if fate < 0.05:
                continue
            at = max(self.clear[sender], self.now + self.random.uniform(0.0, 0.3))
            self.clear[sender] = at
            for _ in range(2 if fate < 0.1 else 1):
                self.wire.append((at, 1 - sender, raw))

    def step(self, calm: bool) -> None:
        self.now += 0.05
        due = [entry for entry in self.wire if entry[0] <= self.now]
        self.wire = [entry for entry in self.wire if entry[0] > self.now]
        for _, to, raw in sorted(due, key=lambda entry: entry[0]):
            got = self.links[to].receive(raw, self.now)
            assert not got.stale
            self.inboxes[to] += [bytes(frames[0]) for frames in got.deliver]
            self.transmit(to, got.transmit, calm)
        for end, link in enumerate(self.links):
            if not calm and self.random.random() < 0.02:
                link.lost()
                # What is on its way may still come, after younger messages.
                self.clear[end] = self.now
            elif not link.up and (calm or self.random.random() < 0.3):
                self.transmit(end, link.connected(self.now), calm)
            if self.now >= link.next_deadline():
                self.transmit(end, link.tick(self.now), calm)


@pytest.mark.parametrize("seed", range(60))
def test_storm(seed: int) -> None:
    storm = Storm(seed)
    sent: list[list[bytes]] = [[], []]
    for number in range(400):
        end = storm.random.randrange(2)
        payload = b"%d" % number
        sent[end].append(payload)
        storm.transmit(end, storm.links[end].send([payload]), calm=False)
        if storm.random.random() < 0.5:
            storm.step(calm=False)
    for _ in range(400):
        storm.step(calm=True)
    assert storm.inboxes == [sent[1], sent[0]]
    for link in storm.links:
        assert not link.ended
        assert link.in_flight == 0
        assert link.corrupt == 0


@pytest.mark.parametrize("size", [PIECE, PIECE + 1, 5 * PIECE + 7])
@pytest.mark.parametrize("lost", [0, 1, 3])
def test_a_message_of_any_size_arrives_once_whatever_is_lost(size: int, lost: int) -> None:
    one, two = pair()
    large = random.Random(size).randbytes(size)
    sent = one.send([b"to", large])
    assert all(len(frame) <= PIECE for raw in sent for frame in raw)
    got = [raw for index, raw in enumerate([*sent, *one.send([b"after"])]) if index != lost]
    delivered: list[list[bytes]] = []
    for raw in [*got, *one.connected(1.0)]:  # what is missing is replayed
        delivered += [[bytes(f) for f in frames] for frames in two.receive(raw, 1.0).deliver]
    assert delivered == [[b"to", large], [b"after"]]
