"""The node's brain as playbooks: who waits for long tasks, and who gets the room meanwhile."""

from __future__ import annotations

import pytest
from node_play import ANNA, BEN, CPU, Play

from nbray.ids import HEAD
from nbray.options import UNIT
from nbray.wire import messages as m

SMALL = {"CPU": UNIT // 4}
LARGE = {"CPU": 4 * UNIT}
DAN = BEN + 1


@pytest.fixture
def play() -> Play:
    made = Play(cpus=4)
    for client in (ANNA, BEN, DAN):
        made.register(client, driver=True)
    made.sent.clear()
    return made


def grants(play: Play, client: int, seconds: float) -> list[tuple[float, m.Granted]]:
    """What *client* is granted in that time, and after how many seconds (to a tenth)."""
    found, start = [], play.now
    while play.now < start + seconds:
        found += [(round(play.now - start, 1), grant) for grant in play.granted(client)]
        play.tick(0.1)
    return found


def start(number: int, needs: dict[str, int]) -> m.StartActor:
    spec = m.ActorSpec(
        ANNA, number, "", "", "A", b"", b"", m.Value(), (ANNA, 90 + number), [], needs, needs, 0,
        1, False, False, b"", "", ANNA, 0,
    )  # fmt: skip
    return m.StartActor(HEAD, spec, 0)


@pytest.mark.parametrize("same", [True, False])
def test_a_small_task_does_not_wait_behind_a_large_one_that_waits_for_endless_ones(
    play: Play, same: bool
) -> None:
    play.demand(ANNA, 3, shape=1, resources=SMALL)
    assert len(play.granted(ANNA)) == 3  # they never end
    play.demand(BEN, 3, shape=2, resources=LARGE)
    play.tick(0.2)
    play.demand(ANNA if same else DAN, 4 if same else 1, shape=1, resources=SMALL)
    ((after, _),) = grants(play, ANNA if same else DAN, 5)
    assert after <= 1.5


def test_a_large_task_is_served_at_the_end_of_long_ones_however_many_small_ones_come(
    play: Play,
) -> None:
    """Long ones of 7 s each, by turns, so that one is always there; small ones without an end."""
    play.demand(ANNA, 1000, shape=1, resources=CPU)
    running = {grant.lease: (grant, play.now + 7 - n) for n, grant in enumerate(play.granted(ANNA))}
    play.demand(BEN, 1, shape=2, resources=LARGE)
    for _ in range(1000):
        play.tick(0.1)
        for grant, until in list(running.values()):
            if play.now >= until:
                del running[grant.lease]
                play.give_back(ANNA, grant)
        for grant in play.granted(ANNA):
            running[grant.lease] = (grant, play.now + 7)
        if play.granted(BEN):
            break
    else:
        pytest.fail("the large one starves")
    assert not running


def test_room_is_kept_for_whoever_waits_only_for_leases_that_come_back_at_once(
    play: Play,
) -> None:
    """Its turn, however long it has waited: what is missing was granted or asked back just now."""
    play.demand(ANNA, 1, shape=1, resources=CPU)
    (long,) = play.granted(ANNA)
    play.demand(BEN, 1, shape=2, resources=LARGE)
    play.tick(5)
    play.demand(DAN, 3, shape=1, resources=CPU)
    few = play.granted(DAN)  # everybody else's turn: 4 s to 8 s
    assert len(few) == 3
    play.give_back(ANNA, long)
    play.demand(ANNA, 0, shape=1)
    play.tick(0.1)
    assert len(play.take(m.Reclaim, DAN)) == 3
    for grant in few:
        assert not play.granted(DAN)
        play.give_back(DAN, grant)
    assert play.granted(BEN)


def test_whoever_was_served_waits_anew(play: Play) -> None:
    play.demand(ANNA, 1, shape=1, resources=CPU)
    (long,) = play.granted(ANNA)
    play.demand(BEN, 2, shape=2, resources=LARGE)
    play.tick(1.5)
    play.give_back(ANNA, long)
    play.demand(ANNA, 0, shape=1)
    (large,) = play.granted(BEN)
    play.demand(ANNA, 1, shape=3, resources=CPU)
    play.give_back(BEN, large)
    assert play.granted(ANNA)
    play.tick(0.5)
    play.demand(ANNA, 1, shape=4, resources=SMALL)
    ((after, _),) = grants(play, ANNA, 3)
    assert 0.3 <= after <= 0.7  # its first second is over then


@pytest.mark.parametrize("large", [3, 4])
def test_an_actor_does_not_wait_behind_one_whose_place_others_have_for_life(
    play: Play, large: int
) -> None:
    play.say(start(1, {"CPU": 2 * UNIT}))
    play.say(start(2, {"CPU": large * UNIT}))
    play.say(start(3, CPU))
    assert [x.spec.actor for x in play.take(m.BecomeActor)] == [1, 3]
    play.say(start(4, {"CPU": 2 * UNIT}))
    play.say(start(5, CPU))
    assert [x.spec.actor for x in play.take(m.BecomeActor)] == [5]


def test_an_actor_behind_a_large_one_waits_while_tasks_end(play: Play) -> None:
    play.demand(ANNA, 4, shape=1, resources=CPU)
    tasks = play.granted(ANNA)
    play.say(start(1, LARGE))
    play.say(start(2, CPU))
    play.tick(0.1)
    play.demand(ANNA, 0, shape=1)
    for task in tasks:
        assert not play.take(m.BecomeActor)
        play.give_back(ANNA, task)
    assert [x.spec.actor for x in play.take(m.BecomeActor)] == [1]


def test_an_actor_behind_a_large_one_that_waits_for_an_endless_task_gets_its_turn(
    play: Play,
) -> None:
    play.demand(ANNA, 1, shape=1, resources=CPU)
    assert play.granted(ANNA)
    play.say(start(1, LARGE))
    play.say(start(2, CPU))
    play.tick(0.5)
    assert not play.take(m.BecomeActor)
    play.tick(1)
    assert [x.spec.actor for x in play.take(m.BecomeActor)] == [2]
