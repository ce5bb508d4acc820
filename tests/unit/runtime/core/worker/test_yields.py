"""What tasks have yielded leaves in few messages and in order; who reads no more is known."""

from __future__ import annotations

from client_play import ME, OWNER, WORKER, sent

from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.worker.brain import WorkerBrain
from nbray.runtime.core.worker.yields import MOST_BYTES, REMEMBERED, Unread, Yield, Yields
from nbray.wire import messages as m

ONE, OTHER = (ME, 1 << 61), (ME, (1 << 61) + (1 << 32))


def worker() -> WorkerBrain:
    return WorkerBrain(ClientBrain(WORKER, 1, lambda *_: b""))


def test_what_gathers_leaves_in_a_message_a_task() -> None:
    brain = worker()
    brain.yields.waiting += [
        Yield(ONE, 0, b"a"), Yield(ONE, 1, b"b"), Yield(OTHER, 7, b"c"), Yield(ONE, 2, b"d"),
    ]  # fmt: skip
    found = sent(brain.flush(), m.Yielded, ME)
    assert [(one.seq, one.first, one.values) for one in found] == [
        (ONE[1], 0, [b"a", b"b"]), (OTHER[1], 7, [b"c"]), (ONE[1], 2, [b"d"]),
    ]  # fmt: skip
    assert not brain.yields.waiting
    assert not sent(brain.flush(), m.Yielded)


def test_values_of_their_own_keep_their_places() -> None:
    brain = worker()
    value = m.Value(b"with", [], [(OWNER, 3)])
    brain.client.objects.hold([(OWNER, 3)])
    brain.yields.waiting += [Yield(ONE, 4, b"a"), Yield(ONE, 5, b"", value, ((OWNER, 3),))]
    effects = brain.flush()
    (message,) = sent(effects, m.Yielded, ME)
    assert (message.first, message.values, message.others) == (4, [b"a", b""], {1: value})
    kinds = [type(effect.message) for effect in effects]
    assert kinds.index(m.Borrow) < kinds.index(m.Yielded)  # its owner hears first
    assert brain.client.objects._borrowing.lent == {(ME, -(ONE[1] + 6)): ((OWNER, 3),)}


def test_large_gatherings_are_cut() -> None:
    brain = worker()
    brain.yields.waiting += [Yield(ONE, index, b"x" * (MOST_BYTES // 2)) for index in range(5)]
    found = sent(brain.flush(), m.Yielded, ME)
    assert [(one.first, len(one.values)) for one in found] == [(0, 3), (3, 2)]


def test_who_reads_no_more() -> None:
    brain = worker()
    brain.handle(m.Cancel(ME, [ONE[1]], gently=True), 1.0)
    assert ONE in brain.yields.unread
    assert not brain.cancelled
    brain.yields.closed((ME, number) for number in range(REMEMBERED))
    assert len(brain.yields.unread) == REMEMBERED
    assert ONE not in brain.yields.unread


def test_what_was_taken_is_known_of_what_pauses() -> None:
    yields = Yields(ClientBrain(WORKER, 1, lambda *_: b"").objects)
    yields.went_on(m.Taken(ME, ONE[1], 3))
    assert not yields.taken
    yields.taken[ONE] = 0
    yields.went_on(m.Taken(ME, ONE[1], 3))
    yields.went_on(m.Taken(ME, ONE[1], 2))  # nothing is taken back
    assert yields.taken[ONE] == 3


def test_what_was_taken_is_not_unread() -> None:
    unread = Unread(100)
    for count, size in ((1, 30), (4, 40), (5, 50)):
        unread.add(count, size)
    assert unread.bytes == 120
    assert unread.taken(3) == 90
    assert unread.taken(4) == 50
    assert unread.taken(9) == 0
