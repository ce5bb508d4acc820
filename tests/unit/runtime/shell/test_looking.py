"""Looking around never waits, and asks nobody once the cluster has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from nbray import details as d
from nbray.ids import DRIVER_FLAG, client_id, node_client
from nbray.runtime.core.client import ClientBrain
from nbray.runtime.core.effects import Send
from nbray.runtime.shell.looking import end_node, look_around
from nbray.wire import messages as m

ME = client_id(1, DRIVER_FLAG | 1)


class FakeLoop:
    def __init__(self) -> None:
        self.sent: list[Any] = []

    def flush(self) -> None:
        """Nothing has arrived."""

    def locked(self, action: Callable[[], Any]) -> None:
        self.sent += action()


def brain_of_two_nodes() -> ClientBrain:
    brain = ClientBrain(ME, 1, lambda *_: b"")
    for number, alive in ((1, True), (2, False)):
        brain.members[number] = m.NodeInfo(number, "host", "127.0.0.1", 1, {}, {}, alive=alive)
    return brain


def test_live_nodes_are_asked_and_answers_shown_the_next_time() -> None:
    loop, brain = FakeLoop(), brain_of_two_nodes()
    assert look_around(cast("Any", loop), brain, d.TASKS).processes == ()
    (question,) = loop.sent
    assert isinstance(question, Send)
    assert question.to == node_client(1)
    one = d.ProcessRecord(ME, 7, True)
    brain.handle(m.Described(node_client(1), 0.0, d.TASKS, processes=[one]), 1.0)
    assert look_around(cast("Any", loop), brain, d.TASKS).processes == (one,)


def test_nobody_is_asked_after_the_end() -> None:
    loop, brain = FakeLoop(), brain_of_two_nodes()
    brain.ended = "it is over"
    look_around(cast("Any", loop), brain, d.EVERYTHING)
    assert loop.sent == []


def test_a_node_is_asked_to_leave_gently_or_at_once() -> None:
    loop, brain = FakeLoop(), brain_of_two_nodes()
    brain.members[3] = m.NodeInfo(3, "lab", "10.0.0.3", 1, {}, {})
    end_node(cast("Any", loop), brain, 3, True)
    end_node(cast("Any", loop), brain, 3, False)
    assert [type(send.message) for send in loop.sent] == [m.Drain, m.Exit]
    assert {send.to for send in loop.sent} == {node_client(3)}


@pytest.mark.parametrize(
    ("number", "why"), [(1, "head's node"), (2, "left the cluster already"), (4, "already")]
)
def test_a_node_that_cannot_leave_is_named(number: int, why: str) -> None:
    loop, brain = FakeLoop(), brain_of_two_nodes()
    with pytest.raises(ValueError, match=why):
        end_node(cast("Any", loop), brain, number, True)
    assert loop.sent == []


def test_the_node_one_is_attached_to_is_kept() -> None:
    loop, brain = FakeLoop(), ClientBrain(client_id(3, DRIVER_FLAG | 1), 3, lambda *_: b"")
    brain.members[3] = m.NodeInfo(3, "lab", "10.0.0.3", 1, {}, {})
    with pytest.raises(ValueError, match="attached through"):
        end_node(cast("Any", loop), brain, 3, False)
