"""A client's objects: where their copies lie, and who is told what of them."""

from __future__ import annotations

from typing import Any

import pytest

from nbray.ids import client_id, node_client
from nbray.runtime.core.client.objects.objects import FAILED, PENDING, READY, STORED, Entry, Objects
from nbray.runtime.core.client.objects.requested_values import RequestedValues
from nbray.runtime.core.client.waiters import Future
from nbray.runtime.core.effects import Effect, Send
from nbray.wire import messages as m

ME, OWNER, OTHER = client_id(1, 5), client_id(2, 7), client_id(3, 9)
FIRST = m.Slot(3, 1, 0, 100, 5)


def sent(effects: list[Effect], kind: type) -> list[tuple[int, Any]]:
    sends = [effect for effect in effects if isinstance(effect, Send)]
    return [(one.to, one.message) for one in sends if isinstance(one.message, kind)]


def having(key: m.Ref, state: int) -> tuple[Objects, Entry]:
    """A client that holds one object."""
    objects = Objects(ME, 1)
    value = b"small" if state == READY else m.Value(b"", [FIRST])
    entry = objects.require(key) if key[0] != ME else Entry(key, 1)
    entry.state, entry.value = state, value
    if key[0] == ME:
        objects.owned[key[1]] = entry
    return objects, entry


@pytest.mark.parametrize(("state", "here"), [(STORED, True), (FAILED, False), (PENDING, False)])
def test_what_was_fetched_is_here_from_then_on(state: int, here: bool) -> None:
    objects, entry = having((OWNER, 5), state)
    copy = m.Slot(1, 1, 0, 100, 6)
    objects.fetched(objects.find((OWNER, 5)), copy)
    assert entry.local == (copy if here else None)
    objects.fetched(objects.find((OWNER, 6)), copy)  # it was let go meanwhile


@pytest.mark.parametrize(("state", "kept"), [(STORED, True), (READY, False), (FAILED, False)])
@pytest.mark.parametrize("node", [1, 2])
def test_a_copy_is_noted_or_freed_and_used_where_it_is(node: int, state: int, kept: bool) -> None:
    objects, entry = having((ME, 3), state)
    copy = m.Slot(node, 1, 0, 100, 6)
    freed = sent(objects.moved(m.Moved(node_client(node), 3, copy)), m.Free)
    assert freed == ([] if kept else [(node_client(node), m.Free(ME, [copy]))])
    assert entry.local == (copy if kept and node == 1 else None)
    if kept:
        assert entry.value.slots == [FIRST, copy]
    assert sent(objects.moved(m.Moved(node_client(node), 4, copy)), m.Free), "let go meanwhile"


def test_no_answer_is_sent_to_the_dead() -> None:
    objects, _ = having((ME, 3), READY)
    answers = RequestedValues(objects)
    for client in (OWNER, OTHER):
        answers.locate(m.Locate(client, [3]))
    objects.client_died(OWNER, b"it has ended")
    assert [to for to, _ in sent(answers.send(), m.Located)] == [OTHER]


def test_an_owner_is_asked_once_and_whoever_waits_is_told_once() -> None:
    objects = Objects(ME, 1)
    entry = objects.require((OWNER, 5))
    told: list[object] = []
    for _ in range(2):
        entry.put_waiter(Future(lambda: told.append(entry.value)))
    entry.count = 1
    assert sent(objects.ask([entry]), m.Locate) == [(OWNER, m.Locate(ME, [5]))]
    assert not objects.ask([entry])
    for data in (b"value", b"again"):
        objects.located(m.Located(OWNER, [(5, m.Value(data)), (6, m.Value(b"unknown"))]))
    assert entry.state == READY
    assert told == [b"value"] * 2
    assert not objects.ask([entry])
