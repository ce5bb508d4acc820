"""What the process of an ended actor may still read is not freed before that process is gone.

Callers hear of the end first: a constructor, or a call, may be reading its arguments then.
"""

from __future__ import annotations

import pytest
from client_play import CPU, KEY, ME, Caller, sent

from nbray.ids import HEAD, client_id
from nbray.runtime.core.client.actors import ALIVE, DEAD, RESTARTING
from nbray.runtime.core.client.tally import Tally
from nbray.runtime.core.client.task_records import Task, Work
from nbray.wire import messages as m

WORKER = client_id(1, 2)
SLOT = m.Slot(1, 1, 0, 100_000, 7)


def stored(caller: Caller) -> m.Ref:
    """A large object of the caller's, which only what comes holds."""
    return ME, caller.brain.objects.store(m.Value(slots=[SLOT]), argument=True)


def freed(caller: Caller, *messages: m.ToClient) -> list[m.Slot]:
    effects = [e for message in messages for e in caller.brain.handle(message, 1.0)]
    effects += caller.brain.pump(1.0)
    return [slot for free in sent(effects, m.Free) for slot in free.slots]


def state(now: int, incarnation: int = 0, worker: int = 0, lingers: bool = False) -> m.ActorState:
    return m.ActorState(HEAD, *KEY, now, incarnation, worker, "it was killed", lingers=lingers)


def gone(incarnation: int = 0) -> m.ActorGone:
    return m.ActorGone(HEAD, *KEY, incarnation)


def actor(number: int, restarts: int = 0) -> m.ActorSpec:
    return m.ActorSpec(
        ME, number, "", "", "A", b"", b"", m.Value(), (0, 0), [], {}, CPU, restarts, 1, False,
        False, b"", "", ME,
    )  # fmt: skip


def made(restarts: int = 0, ready: bool = True) -> Caller:
    """A client that has made an actor from a large object."""
    caller = Caller()
    key = stored(caller) if ready else (client_id(1, 9), 5)
    task = Task(0, Work(m.Spec(1, b"", "A", 1, b"", "", ME, 0, CPU), 0, None, Tally("", 0.0), b""),
                b"", 1)  # fmt: skip
    task.deps, task.pins = [(0, key)], (key,)
    caller.brain.submitted.append((caller.brain.actors.create, task, actor(KEY[1], restarts)))
    assert bool(sent(caller.brain.pump(1.0), m.CreateActor)) is ready
    return caller


def drop(caller: Caller) -> list[m.Slot]:
    """The last handle goes."""
    caller.brain.objects.drop([KEY])
    return freed(caller)


@pytest.mark.parametrize("known", ["is being made", "lives"])
def test_what_a_constructor_reads_stays_until_its_process_is_gone(known: str) -> None:
    caller = made()
    if known == "lives":
        assert not freed(caller, state(ALIVE, 0, WORKER))
    assert not drop(caller)
    assert not freed(caller, state(DEAD, lingers=True))
    assert not freed(caller, gone(3)), "another life"
    assert freed(caller, gone()) == [SLOT]
    assert not caller.brain.actors.ended


@pytest.mark.parametrize(
    "word",
    [
        state(DEAD), m.ActorCreated(HEAD, KEY[1], why="that name is taken"),
        m.ActorCreated(HEAD, KEY[1], existing=actor(2)),
    ],
)  # fmt: skip
def test_where_there_never_was_a_process_it_goes_with_the_heads_word(word: m.ToClient) -> None:
    caller = made()
    assert not drop(caller)
    assert freed(caller, word) == [SLOT]
    assert not caller.brain.actors.ended


def test_an_actor_that_nobody_was_asked_to_make_leaves_nothing() -> None:
    caller = made(ready=False)
    assert not drop(caller)
    assert not caller.brain.actors.ended
    assert not freed(caller)
    assert not caller.brain.objects.foreign


def test_who_kills_an_actor_keeps_what_it_was_made_from_for_as_long() -> None:
    caller = made(restarts=-1)
    caller.told(ALIVE, 0, WORKER)
    assert not freed(caller, state(DEAD, lingers=True))
    assert not drop(caller)
    assert freed(caller, gone()) == [SLOT]


@pytest.mark.parametrize("after", [DEAD, RESTARTING])
def test_what_a_killed_call_reads_stays_until_its_process_is_gone(after: int) -> None:
    caller = Caller()
    entry, _ = caller.call(0, stored(caller))
    assert caller.told(ALIVE, 0, WORKER)
    told = state(after, int(after == RESTARTING), lingers=True)
    assert not freed(caller, told)
    assert entry.state, "its caller has the error at once"
    assert not freed(caller, gone(1))
    assert freed(caller, gone()) == [SLOT]


def test_what_a_call_read_whose_process_is_gone_is_freed_at_once() -> None:
    caller = Caller()
    caller.call(0, stored(caller))
    assert caller.told(ALIVE, 0, WORKER)
    assert freed(caller, state(DEAD)) == [SLOT]


def test_a_third_machines_news_of_an_end_keep_their_order() -> None:
    """What may still be answered is waited for first (`DEAD_GRACE`)."""
    caller = Caller(client_id(3, 1))
    objects = caller.brain.objects
    slot = m.Slot(3, 1, 0, 100_000, 7)
    seq = objects.store(m.Value(slots=[slot]), argument=True)
    caller.call(0, (caller.brain.me, seq))
    assert caller.told(ALIVE, 0, client_id(2, 9))
    assert not freed(caller, state(DEAD, lingers=True), gone())
    effects = [*caller.brain.tick(9.0), *caller.brain.pump(9.0)]
    assert [free.slots for free in sent(effects, m.Free)] == [[slot]]
    assert not caller.brain.actors.ended
