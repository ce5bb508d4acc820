"""Looking around never waits, and asks nobody once the cluster has ended."""

from __future__ import annotations

from typing import Any, cast

from client_play import ME, FakeLoop, brain_of_two_nodes
from details import EVERYTHING

from nbray import details as d
from nbray.ids import node_client
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.effects import Send
from nbray.runtime.shell.client.insight import NativeInsight
from nbray.wire import messages as m


def insight(loop: FakeLoop, brain: ClientBrain) -> NativeInsight:
    return NativeInsight(brain, cast("Any", loop), cast("Any", None), lambda: "")


def test_live_nodes_are_asked_and_answers_shown_the_next_time() -> None:
    loop, brain = FakeLoop(), brain_of_two_nodes()
    assert insight(loop, brain).details(d.TASKS).processes == ()
    (question,) = loop.sent
    assert isinstance(question, Send)
    assert question.to == node_client(1)
    one = d.ProcessRecord(ME, 7, True)
    brain.handle(m.Described(node_client(1), 0.0, d.TASKS, processes=[one]), 1.0)
    assert insight(loop, brain).details(d.TASKS).processes == (one,)


def test_nobody_is_asked_after_the_end() -> None:
    loop, brain = FakeLoop(), brain_of_two_nodes()
    brain.ended = "it is over"
    insight(loop, brain).details(EVERYTHING)
    assert loop.sent == []
