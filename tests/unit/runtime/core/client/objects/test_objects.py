"""The life of an entry: how it begins, what it may become, and when it ends."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest

from nbray.ids import client_id, node_client
from nbray.runtime.core.client.objects.objects import (
    FAILED,
    LIFE,
    MULTI,
    NEXT,
    PENDING,
    READY,
    STORED,
    Entry,
    Objects,
)
from nbray.runtime.core.effects import Effect, Send
from nbray.wire import messages as m

ME, OTHER = client_id(1, 5), client_id(2, 7)
HERE, THERE = m.Slot(1, 2, 0, 5_000, 1), m.Slot(2, 2, 0, 5_000, 1)
TASK = SimpleNamespace()
INSIDE = (OTHER, 3)


def drop(objects: Objects, *keys: m.Ref) -> list[Any]:
    objects.drop(keys)
    return [one.message for one in objects.settle_counts(len(keys)) if isinstance(one, Send)]


def test_promises_are_held_once_each_and_made_by_their_task() -> None:
    objects = Objects(ME, 1)
    objects.promise(TASK, 1, 1)
    objects.promise(TASK, MULTI, 3)
    assert sorted(objects.owned) == [1, MULTI, MULTI + 1, MULTI + 2]
    for entry in objects.owned.values():
        assert (entry.state, entry.count, entry.maker) == (PENDING, 1, TASK)
    assert objects.making(1) is objects.making(MULTI + 2) is TASK


def test_a_task_without_returns_has_an_entry_till_it_ends() -> None:
    objects = Objects(ME, 1)
    objects.promise(TASK, 4, 0)
    entry = objects.owned[4]
    assert (entry.count, objects.making(4)) == (0, TASK)
    effects: list[Effect] = []
    objects.settle(entry, b"None", effects)
    assert not objects.owned


def test_numbers_of_several_returns_stand_apart() -> None:
    objects = Objects(ME, 1)
    assert [next(objects.numbers), next(objects.numbers)] == [1, 2]
    assert [next(objects.blocks), next(objects.blocks)] == [MULTI, MULTI + (1 << 16)]


def test_what_is_put_is_ready_and_holds_what_is_in_it() -> None:
    objects = Objects(ME, 1)
    seq = objects.keep(b"value", (INSIDE,))
    entry = objects.owned[seq]
    assert (entry.state, entry.value, entry.refs) == (READY, b"value", (INSIDE,))
    objects.settle_added()
    assert objects.foreign[INSIDE].count == 1
    drop(objects, (ME, seq))
    drop(objects)
    assert not objects.owned
    objects.settle_counts(len(objects.dropped))
    assert not objects.foreign


def test_what_is_stored_is_freed_at_its_node_when_nothing_holds_it() -> None:
    objects = Objects(ME, 1)
    seq = objects.store(m.Value(b"", [HERE]))
    entry = objects.owned[seq]
    assert (entry.state, entry.count, entry.local) == (STORED, 1, HERE)
    assert drop(objects, (ME, seq)) == [m.Free(ME, [HERE])]


def test_large_arguments_are_held_by_their_task_alone() -> None:
    objects = Objects(ME, 1)
    seq = objects.store(m.Value(b"", [HERE], [INSIDE]), argument=True)
    entry = objects.owned[seq]
    assert (entry.state, entry.count, entry.refs) == (STORED, 0, ())
    assert not objects.added, "the task's pins hold what is in them"


@pytest.mark.parametrize(
    ("value", "state", "kept"),
    [
        (m.Value(b"small"), READY, False),
        (m.Value(b"", [THERE]), STORED, True),
        (m.Value(b"error", failed=True), FAILED, False),
    ],
)
def test_who_made_it_is_known_as_long_as_it_lies_in_the_store(
    value: m.Value, state: int, kept: bool
) -> None:
    objects = Objects(ME, 1)
    objects.promise(TASK, 1, 1)
    entry = objects.owned[1]
    objects.resolve(entry, value)
    assert entry.state == state
    assert (entry.maker is TASK) == kept
    assert objects.making(1) is None
    objects.resolve(entry, m.Value(b"too late"))
    assert entry.state == state


def test_only_pending_objects_of_dead_owners_are_lost() -> None:
    objects = Objects(ME, 1)
    known, unknown = objects.require((OTHER, 1)), objects.require((OTHER, 2))
    for entry, value in ((known, b"known"), (unknown, None)):
        entry.count = 1
        if value:
            objects.resolve(entry, m.Value(value))
    objects.node_died(2, b"it is gone")
    assert (known.state, known.value) == (READY, b"known")
    assert (unknown.state, unknown.value) == (FAILED, m.Value(b"it is gone", failed=True))
    late = (OTHER, 3)
    objects.hold([late])
    objects.settle_added()
    assert objects.foreign[late].state == FAILED


def test_an_actors_life_has_no_maker_and_no_value() -> None:
    objects = Objects(ME, 1)
    objects.promise(TASK, 9, 1)
    objects.live(9)
    entry = objects.owned[9]
    assert (entry.state, entry.maker, entry.value) == (LIFE, None, None)
    ended: list[Entry] = []
    objects.on_life_end = lambda entry: ended.append(entry) or []  # type: ignore[func-returns-value]
    drop(objects, (ME, 9))
    assert ended == [entry]


def test_what_is_settled_stays_so() -> None:
    """The table says so, and what would go on without it raises."""
    for before, after in product(NEXT, NEXT):
        entry = Entry((ME, 1), 1, before)
        if after in NEXT[before]:
            Objects._become(entry, after, None)
            assert entry.state == after
        else:
            with pytest.raises(AssertionError, match="cannot go from"):
                Objects._become(entry, after, None)
    assert {state for state in NEXT if NEXT[state]} == {PENDING, STORED}
    assert NEXT[STORED] == (PENDING,), "when its last copy is gone"


def test_a_copy_that_arrives_after_its_object_is_freed() -> None:
    objects = Objects(ME, 1)
    assert objects.moved(m.Moved(node_client(2), 7, THERE)) == [
        Send(node_client(2), m.Free(ME, [THERE]))
    ]


def test_a_name_of_what_is_gone_holds_up_no_other_drop() -> None:
    objects = Objects(ME, 1)
    kept = objects.keep(b"1", ())
    drop(objects, (ME, 777), (OTHER, 5), (ME, kept))
    assert kept not in objects.owned
