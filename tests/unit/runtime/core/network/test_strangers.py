"""Who knocks and does not say who he is: never many, never long, and few words about it."""

from __future__ import annotations

import random

import pytest

from nbray.runtime.core.network.strangers import LINES, MINUTE, PATIENCE, Strangers


def test_of_a_crowd_the_longest_waiting_go_first() -> None:
    some = Strangers(3)
    sent = [some.came(fd, f"10.0.0.1:{fd}"[:8], 0.0) for fd in range(5)]
    assert [fd for away in sent for fd, _ in away] == [0, 1]


def test_one_address_s_crowd_does_not_send_another_s_away() -> None:
    some = Strangers(4)
    assert some.came(1, "quiet", 0.0) == []
    sent = [fd for n in range(2, 50) for fd, _ in some.came(n, "loud", 0.1)]
    assert 1 not in sent
    assert len(sent) == 49 - 4
    assert some.gone(1) == "quiet"


def test_who_has_proved_himself_is_none_any_more() -> None:
    some = Strangers(2)
    for fd in range(100):
        assert some.came(fd, "a", 0.0) == []
        some.gone(fd)
    assert len(some) == 0
    assert some.gone(7) is None
    assert not some._counts  # nor is his address kept


def test_time_runs_out_for_each() -> None:
    some = Strangers(10)
    some.came(1, "a", 0.0)
    some.came(2, "b", 1.0)
    assert some.next_deadline() == PATIENCE
    assert some.overdue(PATIENCE - 0.1) == []
    assert some.overdue(PATIENCE) == [(1, "a")]
    assert some.overdue(PATIENCE) == []
    assert some.next_deadline() == PATIENCE + 1.0
    assert some.overdue(99.0) == [(2, "b")]


@pytest.mark.parametrize("addresses", [1, 3, 50, 5000])
def test_a_flood_makes_few_lines(addresses: int) -> None:
    some = Strangers(10)
    rng = random.Random(addresses)
    lines: list[str] = []
    for step in range(30_000):
        now = step * 0.01  # five minutes
        lines += some.refused(f"10.0.0.{rng.randrange(addresses)}", "no secret", now)
    lines += some.summary(1000.0)
    assert len(lines) <= 5 * (LINES + 1)
    assert sum(map(len, lines)) < 10_000
    assert lines[0].startswith("refused a connection from 10.0.0.")
    assert any("connections within a minute, from" in line for line in lines)


def test_a_single_one_is_told_once() -> None:
    some = Strangers(10)
    assert some.refused("a", "why", 5.0) == ["refused a connection from a: why"]
    assert some.next_deadline() == 5.0 + MINUTE
    assert some.summary(5.0 + MINUTE) == []
    assert some.next_deadline() is None
    assert some.refused("a", "why", 99.0) == ["refused a connection from a: why"]


def test_who_was_gone_before_he_was_noticed_is_forgotten() -> None:
    some = Strangers(10)
    some.came(1, "", 0.0)
    some.came(2, "a", 0.0)
    assert some.overdue(PATIENCE) == [(2, "a")]
    assert len(some) == 1
    assert some.overdue(4 * PATIENCE) == []
    assert len(some) == 0


def test_who_was_sent_away_is_known_until_he_has_gone() -> None:
    some = Strangers(10)
    some.came(1, "a", 0.0)
    assert some.overdue(PATIENCE) == [(1, "a")]
    assert some.overdue(2 * PATIENCE) == []
    assert some.gone(1) == "a"


def test_what_was_told_in_one_minute_is_not_taken_for_told_in_the_next() -> None:
    some = Strangers(10)
    for minute in range(3):
        lines = some.refused("a", "no proof", minute * MINUTE)
        assert len(lines) == 1  # the connection, and no summary of what was told
    assert some.summary(3 * MINUTE) == []
