"""Attaching while somebody looks, and only then."""

from __future__ import annotations

from unit.dashboard.fakes import RECORD, Clock, FakeNative

from nbray.dashboard.source import LINGER, Source


def make() -> tuple[Source, FakeNative, Clock]:
    native, clock = FakeNative(), Clock()
    source = Source(native, lambda: RECORD if native.lives else None, clock)
    return source, native, clock


def test_nothing_is_attached_before_somebody_looks() -> None:
    source, native, _ = make()
    assert source.alive()
    assert not native.starts
    source.look(3)
    assert [config.address for config in native.starts] == ["1.2.3.4:5"]
    assert native.engine.asked == [3]
    assert len(source.snapshot.nodes) == 3


def test_it_detaches_when_nobody_has_looked_for_a_while_and_comes_back() -> None:
    source, native, clock = make()
    source.look(0)
    clock.now += LINGER - 1
    source.rest()
    assert source.attached
    clock.now += 2
    source.rest()
    assert not source.attached
    assert native.engine.closed
    assert len(source.snapshot.nodes) == 3, "what was seen last stays"
    source.look(0)
    assert source.attached


def test_a_cluster_that_cannot_be_reached_says_why_and_is_tried_again_later() -> None:
    source, native, clock = make()
    native.fails = "the node is gone"
    source.look(0)
    source.look(0)
    assert source.why == "the node is gone"
    assert len(native.starts) == 1
    clock.now += 2
    native.fails = ""
    source.look(0)
    assert source.attached
    assert source.why == ""


def test_the_next_cluster_is_found_when_one_has_ended() -> None:
    source, native, clock = make()
    source.look(0)
    native.lives = False
    clock.now += 2
    source.look(0)
    assert not source.attached
    assert source.why == "the cluster has ended"
    native.lives = True
    clock.now += 2
    source.look(0)
    assert source.attached


def test_a_cluster_that_ends() -> None:
    source, native, _ = make()
    source.look(0)
    native.lives = False
    assert not source.alive()
    assert not source.attached
    source.look(0)
    assert not source.attached
