"""What a node asks of which others, for its own clients."""

from __future__ import annotations

import pytest
from node_play import ANNA, CPU, Play

from nbray.ids import HEAD, client_id, node_client, node_of
from nbray.options import UNIT
from nbray.wire import messages as m


def playing(free: dict[int, int], total: int = 4) -> Play:
    """A node without CPUs beside others, each with so many of its *total* CPUs *free*."""
    play = Play(cpus=0)
    play.register(ANNA, driver=True)
    told(play, free, total)
    return play


def told(play: Play, free: dict[int, int], total: int = 4) -> None:
    shape = {"CPU": total * UNIT}
    others = [
        m.NodeInfo(number, f"m{number}", "10.0.0.2", 7000, shape, {"CPU": count * UNIT})
        for number, count in free.items()
    ]
    play.say(m.Members(HEAD, [*play.members.values(), *others]))


def asked(play: Play) -> dict[int, int]:
    """What was asked of whom since the last look; nobody twice."""
    found = [(node_of(to), said.count) for to, said in play.sent if isinstance(said, m.Demand)]
    play.take(m.Demand)
    assert len(dict(found)) == len(found)
    return dict(found)


def test_what_has_the_most_room_is_asked_first_and_the_rest_of_the_next() -> None:
    play = playing({2: 1, 3: 3, 4: 2})
    play.demand(ANNA, 3)
    assert asked(play) == {3: 3}
    play.demand(ANNA, 4)
    assert asked(play) == {4: 1}
    play.demand(ANNA, 6)
    assert asked(play) == {2: 1, 4: 2}


def test_what_nobody_has_free_is_asked_of_all_as_far_as_they_could_ever_hold_it() -> None:
    play = playing({2: 0, 3: 1})
    play.demand(ANNA, 2)
    assert asked(play) == {2: 1, 3: 2}
    play.demand(ANNA, 50)
    assert asked(play) == {2: 4, 3: 4}


def test_what_a_node_holds_is_still_asked_of_it() -> None:
    play = playing({2: 2, 3: 0})
    play.demand(ANNA, 2)
    assert asked(play) == {2: 2}
    play.say(m.Holding(node_client(2), ANNA, 1, 2))
    told(play, {2: 0, 3: 0})
    play.demand(ANNA, 3)
    assert asked(play) == {2: 3, 3: 1}


def test_one_that_has_been_asked_already_does_not_hide_a_later_one() -> None:
    play = playing({2: 1})
    play.demand(ANNA, 2)
    assert asked(play) == {2: 2}
    told(play, {2: 0, 3: 0})
    assert asked(play) == {3: 2}
    play.demand(ANNA, 0)
    assert asked(play) == {2: 0, 3: 0}


def test_all_that_a_node_holds_may_be_withdrawn_by_its_loss() -> None:
    play = playing({2: 1, 3: 1})
    play.demand(ANNA, 1)
    assert asked(play) == {2: 1}
    play.say(m.Holding(node_client(2), ANNA, 1, 1))
    play.say(m.NodeLost(HEAD, 2, "it is gone"))
    assert asked(play) == {3: 1}


def test_explanations_of_what_waits_are_not_given_to_who_asks_for_another() -> None:
    """Its own node gives them."""
    play = Play(cpus=1, others={2: 1})
    far = m.Demand(node_client(2), 7, CPU, 3, 0, 0, ANNA + (1 << 32))
    play.say(far)
    play.tick(10)
    assert not play.take(m.Waiting)


def test_work_for_one_other_node_is_told_why_it_waits() -> None:
    play = playing({2: 0, 3: 1})
    play.demand(ANNA, 1, node=2)
    assert asked(play) == {2: 1}
    play.tick(6)
    (waiting,) = play.take(m.Waiting, ANNA)
    assert "m2 has 0 of 4 CPUs free" in waiting.why
    told(play, {2: 1})
    play.say(m.Holding(node_client(2), ANNA, 1, 1))
    assert play.take(m.Waiting, ANNA)[-1].why == ""


@pytest.mark.parametrize("wanted", [True, False])
def test_only_who_still_wants_it_hears_that_nobody_can_do_it_any_more(wanted: bool) -> None:
    play = Play(cpus=0, others={2: 1})
    play.register(ANNA, driver=True)
    play.demand(ANNA, 1)
    play.say(m.Holding(node_client(2), ANNA, 1, 1))
    if not wanted:
        play.demand(ANNA, 0)
    play.say(m.NodeLost(HEAD, 2, "it is gone"))
    assert len(play.take(m.Infeasible, ANNA)) == wanted


def test_who_asks_for_another_says_by_itself_what_nobody_can_do() -> None:
    play = Play(cpus=1, others={2: 1})
    play.say(m.Demand(node_client(2), 7, {"GPU": UNIT}, 3, 0, 0, client_id(2, 5)))
    assert not play.take(m.Infeasible)


def test_what_a_node_has_free_itself_is_in_what_it_explains() -> None:
    play = Play(cpus=2)
    play.register(ANNA, driver=True)
    play.demand(ANNA, 1)
    play.demand(ANNA, 1, shape=2, resources={"CPU": 2 * UNIT})
    play.tick(6)
    (waiting,) = play.take(m.Waiting, ANNA)
    assert "1 of 2 CPUs free" in waiting.why
    play.tick(6)
    assert not play.take(m.Waiting), "nothing has changed"


@pytest.mark.parametrize(
    "end",
    [m.Holding(node_client(2), ANNA, 1, 0), m.NodeLost(HEAD, 2, "it is gone")],
)
def test_a_client_is_told_why_only_after_it_has_had_nothing_for_a_while(end: m.Message) -> None:
    play = playing({2: 0, 3: 0})
    play.demand(ANNA, 2)
    play.tick(4.9)
    assert not play.take(m.Waiting)
    play.say(m.Holding(node_client(2), ANNA, 1, 1))
    play.tick(9)
    assert not play.take(m.Waiting), "it has one"
    play.say(end)
    play.tick(4.9)
    assert not play.take(m.Waiting)
    play.tick(0.2)
    assert play.take(m.Waiting, ANNA)


def near(free: dict[int, int], cpus: int = 2) -> Play:
    """A node with *cpus* beside others."""
    play = Play(cpus=cpus)
    play.register(ANNA, driver=True)
    told(play, free)
    play.sent.clear()
    return play


def test_the_node_that_has_the_data_is_asked_first_though_this_one_is_free() -> None:
    play = near({2: 4, 3: 1})
    play.demand(ANNA, 1, near={3: 1})
    assert asked(play)[3] == 1
    assert not play.granted(ANNA)


def test_what_the_node_with_the_data_has_no_room_for_is_had_here_at_once() -> None:
    play = near({2: 1})
    play.demand(ANNA, 3, near={2: 3})
    assert asked(play)
    assert len(play.granted(ANNA)) == 2


@pytest.mark.parametrize("free", [0, 1])
def test_nobody_waits_for_a_busy_node_that_has_the_data(free: int) -> None:
    play = near({2: free})
    play.demand(ANNA, 1, near={2: 1})
    assert len(play.granted(ANNA)) == 1 - free
    play.tick(1.0)  # it does not grant: what was known of it was old
    assert len(play.granted(ANNA)) == free
