"""Filters and details of the state API."""

from __future__ import annotations

from typing import Any

import pytest

from nbray.util.state.choosing import convert, passes, states
from nbray.util.state.common import NodeState, TaskState, WorkerState
from nbray.util.state.exception import RayStateApiException


@pytest.mark.parametrize(
    ("given", "has", "good"),
    [
        (("state", "=", "running"), "RUNNING", True),
        (("STATE", "=", "RUNNING"), "RUNNING", True),
        (("state", "!=", "running"), "RUNNING", False),
        (("worker_pid", "=", "12"), 12, True),
        (("worker_pid", "!=", 12), None, True),
        (("error_type", "=", "x"), None, False),
    ],
)
def test_what_passes(given: Any, has: Any, good: bool) -> None:
    assert passes({given[0].lower(): has}, convert(TaskState, [given])) is good


def test_truth_in_words() -> None:
    filters = convert(WorkerState, [("is_alive", "=", "True")])
    assert passes({"is_alive": True}, filters)
    assert not passes({"is_alive": False}, filters)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (("start_time_ms", "=", 1), "is not supported"),
        (("worker_pid", "=", "many"), "for a int type column"),
    ],
)
def test_what_is_refused(given: Any, why: str) -> None:
    with pytest.raises(RayStateApiException, match=why):
        convert(TaskState, [given])
    with pytest.raises(RayStateApiException, match="for a boolean type column"):
        convert(WorkerState, [("is_alive", "=", "perhaps")])


def test_details_are_left_out() -> None:
    row = dict.fromkeys(NodeState.list_columns(), 1)
    (plain,), (full,) = states(NodeState, [row], False), states(NodeState, [row], True)
    assert (plain.node_ip, plain.start_time_ms) == (1, None)
    assert full.start_time_ms == 1
    assert plain["node_ip"] == 1
    with pytest.raises(AttributeError):
        plain["nothing"]
