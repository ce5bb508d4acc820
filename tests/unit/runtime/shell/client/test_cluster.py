"""Nodes leave when they are asked to, and only those that can."""

from __future__ import annotations

from typing import Any, cast

import pytest
from client_play import FakeLoop, brain_of_two_nodes

from nbray.ids import DRIVER_FLAG, client_id, node_client
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.shell.client.cluster import NativeCluster
from nbray.wire import messages as m


def cluster(loop: FakeLoop, brain: ClientBrain) -> NativeCluster:
    nothing = cast("Any", None)
    return NativeCluster(brain, cast("Any", loop), nothing, nothing, None)


def test_a_node_is_asked_to_leave_gently_or_at_once() -> None:
    loop, brain = FakeLoop(), brain_of_two_nodes()
    brain.members[3] = m.NodeInfo(3, "lab", "10.0.0.3", 1, {}, {})
    cluster(loop, brain).end_node(3, True)
    cluster(loop, brain).end_node(3, False)
    assert [type(send.message) for send in loop.sent] == [m.Drain, m.Exit]
    assert {send.to for send in loop.sent} == {node_client(3)}


@pytest.mark.parametrize(
    ("number", "why"), [(1, "head's node"), (2, "left the cluster already"), (4, "already")]
)
def test_a_node_that_cannot_leave_is_named(number: int, why: str) -> None:
    loop, brain = FakeLoop(), brain_of_two_nodes()
    with pytest.raises(ValueError, match=why):
        cluster(loop, brain).end_node(number, True)
    assert loop.sent == []


def test_the_node_one_is_attached_to_is_kept() -> None:
    loop, brain = FakeLoop(), ClientBrain(client_id(3, DRIVER_FLAG | 1), 3, lambda *_: b"")
    brain.members[3] = m.NodeInfo(3, "lab", "10.0.0.3", 1, {}, {})
    with pytest.raises(ValueError, match="attached through"):
        cluster(loop, brain).end_node(3, False)
