"""Attaching while somebody looks, and only then."""

from __future__ import annotations

from unit.dashboard.fakes import RECORD, Clock, FakeLauncher

from nbray.dashboard.source import LINGER, Source


def make() -> tuple[Source, FakeLauncher, Clock]:
    launcher, clock = FakeLauncher(), Clock()
    source = Source(launcher, lambda: RECORD if launcher.lives else None, clock)
    return source, launcher, clock


def test_nothing_is_attached_before_somebody_looks() -> None:
    source, launcher, _ = make()
    assert source.alive()
    assert not launcher.attached
    source.look(3)
    assert launcher.attached == ["1.2.3.4:5"]
    assert launcher.engine.insight.asked == [3]
    assert len(source.snapshot.nodes) == 3


def test_it_detaches_when_nobody_has_looked_for_a_while_and_comes_back() -> None:
    source, launcher, clock = make()
    source.look(0)
    clock.now += LINGER - 1
    source.rest()
    assert source.attached
    clock.now += 2
    source.rest()
    assert not source.attached
    assert launcher.engine.ended
    assert len(source.snapshot.nodes) == 3, "what was seen last stays"
    source.look(0)
    assert source.attached


def test_a_cluster_that_cannot_be_reached_says_why_and_is_tried_again_later() -> None:
    source, launcher, clock = make()
    launcher.fails = "the node is gone"
    source.look(0)
    source.look(0)
    assert source.why == "the node is gone"
    assert len(launcher.attached) == 1
    clock.now += 2
    launcher.fails = ""
    source.look(0)
    assert source.attached
    assert source.why == ""


def test_the_next_cluster_is_found_when_one_has_ended() -> None:
    source, launcher, clock = make()
    source.look(0)
    launcher.lives = False
    clock.now += 2
    source.look(0)
    assert not source.attached
    assert source.why == "the cluster has ended"
    launcher.lives = True
    clock.now += 2
    source.look(0)
    assert source.attached


def test_a_cluster_that_ends() -> None:
    source, launcher, _ = make()
    source.look(0)
    launcher.lives = False
    assert not source.alive()
    assert not source.attached
    source.look(0)
    assert not source.attached
