"""What of the free resources is kept for those who wait, and until when."""

from __future__ import annotations

import math

import pytest

from nbray.options import UNIT
from nbray.runtime.core.node.scheduling.leases import Lease
from nbray.runtime.core.node.scheduling.scheduler import Kept

NOW = 100.0


def cpus(count: int) -> dict[str, int]:
    return {"CPU": count * UNIT}


def lease(number: int, age: float, count: int = 1, reclaimed: float = 0.0) -> Lease:
    made = Lease(number, (1, 1), number, cpus(count), [], 0, NOW - age)
    made.reclaimed = reclaimed
    return made


def test_all_that_he_needs_is_kept_for_who_lacks_only_what_is_about_to_come_back() -> None:
    kept = Kept(cpus(1), [lease(1, 0.25), lease(2, 0.5), lease(3, 9.0)], NOW)
    assert kept.leaves(cpus(1), cpus(1))
    kept.keep(cpus(2), math.inf)
    assert not kept.leaves(cpus(1), cpus(1))
    assert kept.leaves({"GPU": UNIT}, {**cpus(1), "GPU": UNIT})
    assert kept.leaves(cpus(1), cpus(3)), "one is left"
    assert kept.until == NOW + 0.5, "when the older one is no longer young"


def test_a_lease_that_was_just_asked_back_is_about_to_come() -> None:
    kept = Kept(cpus(0), [lease(1, 50.0, reclaimed=NOW - 0.25), lease(2, 1.0)], NOW)
    kept.keep(cpus(1), NOW - 1.5)
    assert not kept.leaves(cpus(1), cpus(1))
    assert kept.until == NOW + 0.75
    kept.keep(cpus(1), NOW - 1.5)
    assert kept.until == NOW + 0.5, "for the other one, who lacks a long task's"
    assert kept.leaves(cpus(1), cpus(2))


@pytest.mark.parametrize(
    ("waited", "his", "until"),
    [(0.0, True, 1.0), (0.5, True, 1.0), (1.0, False, 2.0), (1.5, False, 2.0), (2.0, True, 4.0),
     (3.5, True, 4.0), (4.0, False, 8.0), (7.5, False, 8.0), (8.0, True, 16.0),
     (-1.0, True, 1.0)],
)  # fmt: skip
def test_who_waits_for_long_tasks_has_turns_that_double(
    waited: float, his: bool, until: float
) -> None:
    kept = Kept(cpus(1), [lease(1, 60.0)], NOW)
    kept.keep(cpus(2), NOW - waited)
    assert kept.leaves(cpus(1), cpus(1)) is not his
    assert kept.until == NOW - waited + until


@pytest.mark.parametrize(("need", "since"), [(4, NOW), (1, None)])
def test_nothing_is_kept_for_who_waits_for_what_never_comes_back(
    need: int, since: float | None
) -> None:
    kept = Kept(cpus(1), [lease(1, 60.0, 2)], NOW)
    kept.keep(cpus(need), since)
    assert kept.leaves(cpus(1), cpus(1))
    assert kept.until == math.inf


def test_what_somebody_has_got_for_life_is_counted_on_no_more() -> None:
    kept = Kept(cpus(2), [lease(1, 0.25)], NOW)
    kept.taken(cpus(2))
    kept.keep(cpus(2), math.inf)
    assert kept.leaves(cpus(1), cpus(1)), "he lacks more than can come back"
    kept.keep(cpus(1), math.inf)
    assert not kept.leaves(cpus(1), cpus(1))


def test_cpus_that_a_lease_has_lent_come_back_to_nobody() -> None:
    lent = lease(1, 0.25, 2)
    lent.lent = 2 * UNIT
    kept = Kept(cpus(1), [lent], NOW)
    kept.keep(cpus(2), math.inf)
    assert kept.leaves(cpus(1), cpus(1))
    assert lent.frees() == cpus(0)
