"""Bundles on a node: room for them, their names, what runs in them, and their end."""

from __future__ import annotations

from node_play import ANNA, CPU, Play, with_two_drivers

from nbray.ids import HEAD
from nbray.options import UNIT
from nbray.runtime.core.placement import in_group
from nbray.wire import messages as m

ID = "0" * 35 + "1"
TWO = {"CPU": 2 * UNIT}


def reserve(play: Play, bundles: dict[int, m.Shape], whole: bool = True, attempt: int = 1) -> None:
    play.say(m.ReserveBundles(HEAD, ID, bundles, attempt, whole))


def test_what_is_free_is_taken_at_once_and_has_names() -> None:
    play = with_two_drivers()
    reserve(play, {0: CPU})
    assert [one.attempt for one in play.take(m.BundlesReserved, HEAD)] == [1]
    free = play.brain.ledger.free
    assert free["CPU"] == UNIT
    assert free[f"CPU_group_{ID}"] == free[f"CPU_group_0_{ID}"] == UNIT
    play.demand(ANNA, 1, resources=in_group(CPU, ID, 0))
    (granted,) = play.granted(ANNA)
    assert free[f"CPU_group_{ID}"] == 0
    play.give_back(ANNA, granted)
    play.say(m.ReturnBundles(HEAD, ID, "it was removed"))
    assert free == {"CPU": 2 * UNIT} == play.brain.ledger.total


def test_nothing_has_a_name_before_all_is_reserved() -> None:
    play = with_two_drivers()
    reserve(play, {0: CPU}, whole=False)
    assert set(play.brain.ledger.free) == {"CPU"}
    play.say(m.CommitBundles(HEAD, ID))
    assert f"CPU_group_{ID}" in play.brain.ledger.free


def test_what_is_taken_is_asked_back_for_a_bundle() -> None:
    play = with_two_drivers()
    play.demand(ANNA, 2)
    grants = play.granted(ANNA)
    reserve(play, {0: CPU, 1: CPU})
    assert not play.take(m.BundlesReserved)
    play.demand(ANNA, 0)
    play.tick(0.1)
    assert play.take(m.Reclaim, ANNA)
    for one in grants:
        play.give_back(ANNA, one)
    assert play.take(m.BundlesReserved, HEAD)


def test_a_wish_that_is_withdrawn_is_not_fulfilled() -> None:
    play = with_two_drivers()
    play.demand(ANNA, 2)
    grants = play.granted(ANNA)
    reserve(play, {0: TWO})
    play.say(m.ReturnBundles(HEAD, ID, "elsewhere"))
    play.demand(ANNA, 0)
    for one in grants:
        play.give_back(ANNA, one)
    play.tick(1)
    assert not play.take(m.BundlesReserved)
    assert play.brain.ledger.free == {"CPU": 2 * UNIT}


def test_a_removed_groups_workers_end_before_its_cpus_are_free() -> None:
    play = with_two_drivers()
    reserve(play, {0: TWO})
    play.demand(ANNA, 2, resources=in_group(CPU, ID))
    workers = {one.worker for one in play.granted(ANNA)}
    assert len(workers) == 2
    play.say(m.ReturnBundles(HEAD, ID, "it was removed"))
    assert set(play.kills()) == workers
    first, second = workers
    play.do(play.brain.worker_gone(first, "killed", play.now))
    assert play.brain.ledger.free["CPU"] == 0
    assert not play.granted(ANNA)  # nobody is let in any more
    play.do(play.brain.worker_gone(second, "killed", play.now))
    assert play.brain.ledger.free == {"CPU": 2 * UNIT} == play.brain.ledger.total
    (died,) = [one for one in play.take(m.Died, ANNA) if one.deaths[0].client == first]
    assert died.deaths[0].cause == "it was removed"


def test_gpus_of_a_bundle_are_its_own() -> None:
    play = Play(cpus=2, gpus=2)
    play.register(ANNA, driver=True)
    gpu = {"GPU": UNIT}
    reserve(play, {0: gpu, 1: gpu})
    play.demand(ANNA, 1, shape=1, resources=in_group(gpu, ID, 1))
    (second,) = play.granted(ANNA)
    play.demand(ANNA, 1, shape=2, resources=in_group(gpu, ID))
    (any_,) = play.granted(ANNA)
    assert sorted([*second.gpus, *any_.gpus]) == [0, 1]
    play.demand(ANNA, 1, shape=3, resources=gpu)
    assert not play.granted(ANNA)
    play.say(m.ReturnBundles(HEAD, ID, "it was removed"))
    for worker in (second.worker, any_.worker):
        play.do(play.brain.worker_gone(worker, "killed", play.now))
    (plain,) = play.granted(ANNA)
    assert plain.gpus in ([0], [1])
    assert "GPU_group_1_" + ID not in play.brain.ledger.total
