"""Placement groups at the head: planned, reserved, committed; nodes that die; who may keep one."""

from __future__ import annotations

from head_play import ANNA, BEN, CPU, Play, info, spec, started

from nbray.events import Figures
from nbray.ids import HEAD, node_client
from nbray.options import UNIT
from nbray.runtime.core.placement import in_group
from nbray.where import Where
from nbray.wire import messages as m

ID = f"{ANNA:016x}{1:012x}{ANNA & 0xFFFFFFFF:08x}"
TWO = {"CPU": 2 * UNIT}


def group(number: int = 1, bundles: int = 2, strategy: str = "PACK", **more) -> m.GroupSpec:  # type: ignore[no-untyped-def]
    fields = {
        "id": f"{ANNA:016x}{number:012x}{ANNA & 0xFFFFFFFF:08x}", "name": "", "namespace": "",
        "bundles": [CPU] * bundles, "strategy": strategy, "job": ANNA, **more,
    }  # fmt: skip
    return m.GroupSpec(**fields)


def made(play: Play, **more) -> m.GroupSpec:  # type: ignore[no-untyped-def]
    wanted = group(**more)
    play.say(m.CreateGroup(ANNA, wanted))
    return wanted


def asked(play: Play) -> dict[int, m.ReserveBundles]:
    found = {to: x for to, x in play.sent if isinstance(x, m.ReserveBundles)}
    play.take(m.ReserveBundles)
    return found


def agree(play: Play, wishes: dict[int, m.ReserveBundles]) -> None:
    for node, wish in wishes.items():
        play.say(m.BundlesReserved(node, wish.id, wish.attempt))


def states(play: Play, to: int = ANNA) -> list[int]:
    return [one.state for one in play.take(m.GroupState, to)]


def test_a_group_on_one_node_is_whole_at_once() -> None:
    play = Play()
    wanted = made(play)
    wishes = asked(play)
    ((node, wish),) = wishes.items()
    assert node == node_client(1)
    assert (wish.id, set(wish.bundles), wish.whole) == (wanted.id, {0, 1}, True)
    agree(play, wishes)
    assert states(play) == [m.PLACED]
    assert not play.take(m.CommitBundles)


def test_one_on_two_nodes_is_committed_when_both_have_reserved() -> None:
    play = Play(2)
    made(play, strategy="STRICT_SPREAD")
    wishes = asked(play)
    assert set(wishes) == {node_client(1), node_client(2)}
    first, second = wishes
    agree(play, {first: wishes[first]})
    assert not states(play)
    assert not play.take(m.CommitBundles)
    agree(play, {second: wishes[second]})
    assert states(play) == [m.PLACED]
    assert len(play.take(m.CommitBundles)) == 2


def test_what_is_promised_to_one_is_not_to_another() -> None:
    play = Play()
    first = made(play, number=1)
    agree(play, asked(play))
    made(play, number=2)
    assert not asked(play)
    (told,) = [one for one in play.take(m.GroupState, ANNA) if one.why]
    assert (told.state, told.never) == (m.WAITING, False)
    assert "2 bundles placed" in told.why
    play.say(m.RemoveGroup(ANNA, first.id))
    assert play.take(m.ReturnBundles, node_client(1))
    assert asked(play)


def test_what_no_node_has_says_so_and_waits_for_one_that_has() -> None:
    play = Play()
    made(play, bundles=1, strategy="PACK")
    play.say(m.RemoveGroup(ANNA, ID))
    made(play, number=2, bundles=3)
    (told,) = [one for one in play.take(m.GroupState, ANNA) if one.never]
    assert "2 of 3 bundles placed" in told.why
    play.say(m.Join(0, 9, info(0), m.Versions(1, "3.11.7", "0.1")))
    assert len(asked(play)) == 2


def test_a_node_that_dies_while_it_reserves() -> None:
    play = Play(3)
    made(play, strategy="STRICT_SPREAD")
    wishes = asked(play)
    assert set(wishes) == {node_client(1), node_client(2)}
    agree(play, {node_client(1): wishes[node_client(1)]})
    play.say(m.NodeLost(node_client(1), 2, "it burnt"))
    (back,) = play.take(m.ReturnBundles, node_client(1))
    again = asked(play)
    assert set(again) == {node_client(1), node_client(3)}
    agree(play, wishes)  # late ones of the first try
    assert not states(play)
    agree(play, again)
    assert states(play) == [m.PLACED]
    assert back.id == ID


def test_a_bundle_whose_node_dies_is_placed_again_and_no_other() -> None:
    play = Play(3)
    made(play, strategy="STRICT_SPREAD")
    agree(play, asked(play))
    play.take(m.GroupState)
    play.say(m.NodeLost(node_client(1), 2, "it burnt"))
    ((node, wish),) = asked(play).items()
    assert node == node_client(3)
    assert len(wish.bundles) == 1
    assert states(play) == [m.REPLACING]
    agree(play, {node: wish})
    assert states(play) == [m.PLACED]


def test_a_reservation_that_takes_long_goes_where_there_is_room() -> None:
    play = Play(2)
    play.load(1, {})
    play.load(2, {})
    made(play, bundles=1)
    ((node, _),) = asked(play).items()
    other = 2 if node == node_client(1) else 1
    play.tick(2)
    play.load(other, TWO)
    assert play.take(m.ReturnBundles, node)
    ((chosen, wish),) = asked(play).items()
    assert chosen == node_client(other)
    agree(play, {chosen: wish})
    assert m.PLACED in states(play)


def test_what_became_free_early_is_looked_at_when_it_takes_long() -> None:
    play = Play(2)
    play.load(1, {})
    play.load(2, {})
    made(play, bundles=1)
    ((node, _),) = asked(play).items()
    other = 2 if node == node_client(1) else 1
    play.load(other, TWO)  # at once, and nothing is said afterwards
    assert not asked(play)
    play.tick(1.5)
    assert list(asked(play)) == [node_client(other)]
    assert play.brain.next_deadline() is not None
    play.tick(60)
    assert play.brain.next_deadline() is None


def test_what_it_has_reserved_itself_counts_when_it_goes_elsewhere() -> None:
    play = Play(3)
    for number in (1, 2, 3):
        play.load(number, {} if number == 2 else TWO)
    play.say(m.RemoveGroup(ANNA, "0" * 36))
    made(play, bundles=2, strategy="STRICT_SPREAD")
    wishes = asked(play)
    assert set(wishes) == {node_client(1), node_client(3)}
    agree(play, {node_client(1): wishes[node_client(1)]})
    play.load(1, CPU)
    play.load(3, {})  # somebody was quicker
    play.load(2, TWO)
    play.tick(2)
    assert set(asked(play)) == {node_client(1), node_client(2)}


def test_who_watches_what_is_never_made_hears_so() -> None:
    play = Play(2)
    play.say(m.WatchGroup(BEN, group(5).id))
    assert not play.take(m.GroupState, BEN)
    play.say(m.Died(node_client(1), [m.Death(ANNA, "it crashed")]))
    assert states(play, BEN) == [m.REMOVED]


def test_groups_end_with_their_driver_unless_they_are_detached() -> None:
    play = Play()
    made(play, number=1, bundles=1)
    made(play, number=2, bundles=1, detached=True)
    agree(play, asked(play))
    play.say(m.WatchGroup(BEN, ID))
    play.take(m.GroupState)
    play.say(m.Died(node_client(1), [m.Death(ANNA, "it ended")]))
    (back,) = play.take(m.ReturnBundles)
    assert back.id == ID
    assert states(play, BEN) == [m.REMOVED]


def test_what_an_actor_has_made_ends_when_the_driver_has_ended_too() -> None:
    play = Play()
    play.say(m.CreateActor(ANNA, spec(detached=True)))
    started(play)
    made(play, bundles=1, actor=(ANNA, 5))
    agree(play, asked(play))
    play.say(m.Died(node_client(1), [m.Death(ANNA, "it ended")]))
    assert not play.take(m.ReturnBundles)
    play.say(m.EndActor(BEN, ANNA, 5, True, "killed"))
    assert play.take(m.ReturnBundles)


def test_an_actor_waits_for_its_group_and_ends_with_it() -> None:
    play = Play()
    wanted = made(play, bundles=1)
    need = in_group(CPU, wanted.id)
    inside = spec(resources=need, placement=need, where=Where(group=wanted.id))
    play.say(m.CreateActor(ANNA, inside))
    assert not play.take(m.StartActor)
    agree(play, asked(play))
    names = {**in_group(CPU, wanted.id), f"bundle_group_{wanted.id}": 10 * UNIT}
    free = {**CPU, **names}
    play.say(m.Load(node_client(1), free, Figures(), False, names))
    to, _ = started(play)
    assert to == node_client(1)
    play.take(m.ActorState)
    play.say(m.RemoveGroup(ANNA, wanted.id))
    (state,) = play.take(m.ActorState, ANNA)
    assert (state.state, state.kind) == (m.DEAD, m.Why.UNSCHEDULABLE)
    assert "placement group was removed" in state.cause


def test_a_node_that_says_anew_what_it_is_has_its_bundles_still() -> None:
    play = Play()
    wanted = made(play, bundles=1)
    agree(play, asked(play))
    names = in_group(CPU, wanted.id)
    for _ in range(2):
        play.say(m.Load(node_client(1), {**CPU, **names}, Figures(), False, names))
        assert set(names) <= set(play.brain.membership.nodes[1].total)
        play.say(m.Join(node_client(1), 0, info(1), m.Versions(1, "3.11.7", "0.1")))


def test_names_and_what_is_known() -> None:
    play = Play()
    play.say(m.CreateGroup(ANNA, group(1, 1, name="a"), 7))
    play.say(m.CreateGroup(BEN, group(2, 1, name="a"), 8))
    assert [one.why for one in play.take(m.GroupMade)] == [
        "", f"Failed to create placement group '{group(2).id}' because name 'a' already exists.",
    ]  # fmt: skip
    play.say(m.FindGroups(BEN, 9, name="a"))
    (found,) = play.take(m.GroupsFound, BEN)
    assert [one.id for one in found.groups] == [ID]
    play.say(m.WatchGroup(BEN, group(5).id))
    assert not play.take(m.GroupState, BEN)  # its creation may be on its way
    play.say(m.RemoveGroup(ANNA, ID))
    play.say(m.WatchGroup(BEN, ID))
    assert states(play, BEN) == [m.REMOVED]
    assert HEAD
