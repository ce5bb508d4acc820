"""A node leaves: what it alone has of this client's objects is brought elsewhere."""

from __future__ import annotations

from client_play import ME, Play, sent

from nbray.ids import node_client
from nbray.wire import messages as m

LEAVER, THIRD = node_client(2), node_client(3)


def slot(node: int, number: int = 1) -> m.Slot:
    return m.Slot(node, 1, 0, 5_000_000, number)


def stored(play: Play, *slots: m.Slot) -> int:
    return play.brain.objects.store(m.Value(b"", list(slots)))


def test_the_only_copy_is_brought_to_the_owners_node_and_then_the_leaver_hears() -> None:
    play = Play()
    seq = stored(play, slot(2))
    elsewhere = stored(play, slot(2, 2), slot(3, 3))
    assert elsewhere > seq
    effects = play.say(m.Leaving(LEAVER, [slot(2), slot(2, 2), slot(2, 9)], [1, 3]))
    assert sent(effects, m.Saved, LEAVER) == [m.Saved(ME, [slot(2, 2), slot(2, 9)])]
    (fetch,) = sent(effects, m.Fetch, node_client(1))
    assert (fetch.owner, fetch.seq, fetch.slots) == (ME, seq, [slot(2)])
    play.say(m.Moved(node_client(1), seq, slot(1, 7)))
    effects = play.say(m.Fetched(node_client(1), fetch.token, slot(1, 7)))
    assert sent(effects, m.Saved, LEAVER) == [m.Saved(ME, [slot(2)])]
    play.say(m.NodeLost(node_client(1), 2, "it left"))
    assert play.brain.objects.owned[seq].value.slots == [slot(1, 7)]


def test_what_does_not_fit_goes_to_the_next_and_at_last_is_said_to_fit_nowhere() -> None:
    play = Play()
    stored(play, slot(2))
    effects = play.say(m.Leaving(LEAVER, [slot(2)], [1, 3]))
    (first,) = sent(effects, m.Fetch, node_client(1))
    effects = play.say(m.Fetched(node_client(1), first.token, None, "full", m.Why.FULL))
    (second,) = sent(effects, m.Fetch, THIRD)
    effects = play.say(m.Fetched(THIRD, second.token, None, "full", m.Why.FULL))
    (said,) = sent(effects, m.Saved, LEAVER)
    assert (said.slots, said.why) == ([slot(2)], "no other node has room for it")


def test_few_are_on_their_way_at_a_time() -> None:
    play = Play()
    slots = [slot(2, number) for number in range(10)]
    for one in slots:
        stored(play, one)
    effects = play.say(m.Leaving(LEAVER, slots, [1]))
    fetches = sent(effects, m.Fetch)
    assert len(fetches) == 4
    effects = play.say(m.Fetched(node_client(1), fetches[0].token, slot(1, 50)))
    assert len(sent(effects, m.Fetch)) == 1
