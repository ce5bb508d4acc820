"""What a worker takes into its queue, hands back, and lets go of."""

from __future__ import annotations

from typing import Any

import node_play
import pytest

from nbray.ids import DRIVER_FLAG, client_id, node_client
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.effects import Effect, Send
from nbray.runtime.core.worker.brain import REPORT_SECONDS, Done, Item, WorkerBrain
from nbray.wire import messages as m

ME, NODE = client_id(1, 2), node_client(1)
ANNA, BEN = client_id(1, DRIVER_FLAG | 1), client_id(1, DRIVER_FLAG | 2)
SPEC = m.Spec(1, b"f", "f", 1, b"", "", ANNA, 0, {"CPU": 10_000})


def said(effects: list[Effect], kind: type) -> list[tuple[int, Any]]:
    sends = [effect for effect in effects if isinstance(effect, Send)]
    return [(one.to, one.message) for one in sends if isinstance(one.message, kind)]


def bounced(effects: list[Effect]) -> list[tuple[int, list[int], bytes]]:
    return [(to, one.seqs, one.unknown) for to, one in said(effects, m.Bounced)]


class Play:
    """A worker with a caller's function."""

    def __init__(self) -> None:
        self.brain = WorkerBrain(ClientBrain(ME, 1, lambda *_: b""))

    def tasks(self, *seqs: int, sender: int = ANNA, lease: int = 7, **more: Any) -> list[Effect]:
        fields = {"specs": [SPEC], "functions": {b"f": b"code"}, **more}
        args = [b"%d" % seq for seq in seqs]
        return self.brain.handle(m.Tasks(sender, 1, lease, list(seqs), args, **fields), 1.0)

    def queued(self) -> list[tuple[int, int, bytes]]:
        items = [item for item in self.brain.queue if isinstance(item, Item)]
        return [(item.caller, item.seq, item.args) for item in items]

    def begins(self) -> Item:
        item = self.brain.queue.popleft()
        assert isinstance(item, Item)
        self.brain.begin(item, 1.0)
        return item

    def becomes_actor(self, incarnation: int = 0) -> None:
        spec = m.ActorSpec(
            ANNA, 5, "", "", "A", b"class", b"blob", m.Value(), (0, 0), [], {}, {}, 0, 1, False,
            False, b"", "", ANNA, 0,
        )  # fmt: skip
        self.brain.handle(m.BecomeActor(NODE, spec, incarnation, [3]), 1.0)
        self.brain.queue.clear()

    def calls(self, order: int, *seqs: int, incarnation: int = 0, **more: Any) -> None:
        args = [b"%d" % seq for seq in seqs]
        ids = [1] * len(seqs)
        self.brain.handle(m.Calls(ANNA, 5, incarnation, order, ids, list(seqs), args, **more), 1.0)


@pytest.fixture
def play() -> Play:
    return Play()


@pytest.mark.parametrize("extras", [{}, {1: m.Extra(attempt=2)}])
def test_tasks_are_queued_as_they_come_with_what_was_said_of_each(
    play: Play, extras: dict[int, m.Extra]
) -> None:
    assert play.tasks(1, 2, extras=extras, gpus=[3], patience=20_000) == []
    assert play.tasks(5, sender=BEN) == []
    assert play.queued() == [(ANNA, 1, b"1"), (ANNA, 2, b"2"), (BEN, 5, b"5")]
    first, second, third = play.brain.queue
    assert isinstance(first, Item)
    assert isinstance(second, Item)
    assert isinstance(third, Item)
    assert (first.extra, second.extra, third.extra) == (None, extras.get(1), None)
    assert (first.gpus, third.gpus) == ([3], [])
    assert (second.patience, third.patience) == (0.02, 0.01)
    assert play.brain.functions == {b"f": b"code"}


def test_what_was_sent_once_is_known_for_later_tasks_of_the_same_caller(play: Play) -> None:
    play.tasks(1)
    assert play.tasks(2, specs=[], functions={}) == []
    assert [seq for _, seq, _ in play.queued()] == [1, 2]


def test_a_function_that_is_not_here_is_asked_for(play: Play) -> None:
    assert bounced(play.tasks(1, 2, functions={})) == [(ANNA, [1, 2], b"f")]
    assert play.queued() == []


def test_functions_go_when_nothing_that_is_queued_needs_them(play: Play) -> None:
    play.tasks(1, functions={b"f": b"code", b"g": b"more"})
    play.brain.handle(m.Undefine(ANNA, [b"f", b"g"]), 1.0)
    assert play.brain.let_go() == [b"g"]
    assert set(play.brain.functions) == {b"f"}
    play.brain.queue.clear()
    assert play.brain.let_go() == [b"f"]
    assert play.brain.let_go() == []
    assert play.brain.functions == {}


def test_a_function_that_is_sent_anew_stays(play: Play) -> None:
    play.tasks(1)
    play.brain.handle(m.Undefine(ANNA, [b"f"]), 1.0)
    play.tasks(2)
    play.brain.queue.clear()
    assert play.brain.let_go() == []
    assert b"f" in play.brain.functions


def test_behind_a_task_that_waits_nothing_is_queued(play: Play) -> None:
    play.tasks(1)
    item = play.begins()
    play.brain.block(item)
    assert bounced(play.tasks(2)) == [(ANNA, [2], b"")]
    play.brain.unblock(item)
    assert bounced(play.tasks(3)) == []


def test_after_a_failure_with_gpus_nothing_of_that_lease_runs(play: Play) -> None:
    play.tasks(1, 2, gpus=[0])
    play.begins()
    assert bounced(play.brain.spoil()) == [(ANNA, [2], b"")]
    assert bounced(play.tasks(3, gpus=[0])) == [(ANNA, [3], b"")]
    assert bounced(play.tasks(4, gpus=[0], lease=8)) == []


def test_what_is_queued_behind_a_long_task_goes_back_and_what_comes_then(play: Play) -> None:
    play.tasks(1, 2, 3, patience=500_000)
    play.begins()
    assert bounced(play.brain.tick(1.5)) == []
    assert bounced(play.brain.tick(1.6)) == [(ANNA, [2, 3], b"")]
    assert bounced(play.brain.tick(1.7)) == []
    assert bounced(play.tasks(4)) == [(ANNA, [4], b"")]
    play.brain.rest()
    assert bounced(play.tasks(5)) == []
    play.begins()
    assert bounced(play.tasks(6)) == [], "that was another one"


def test_what_an_actor_has_been_called_for_never_goes_back(play: Play) -> None:
    play.becomes_actor()
    play.calls(0, 1, 2, specs=[SPEC])
    assert play.brain.give_back() == []
    assert [seq for _, seq, _ in play.queued()] == [1, 2]


def test_calls_that_come_twice_run_once_and_in_order(play: Play) -> None:
    play.becomes_actor()
    play.calls(0, 1, 2, specs=[SPEC], extras={1: m.Extra(attempt=1)})
    play.calls(1, 2, 3)
    play.calls(0, 1)
    play.calls(3, 4)
    assert [seq for _, seq, _ in play.queued()] == [1, 2, 3, 4]
    items = [item for item in play.brain.queue if isinstance(item, Item)]
    assert [item.extra for item in items] == [None, m.Extra(attempt=1), None, None]
    assert {tuple(item.gpus) for item in items} == {(3,)}


@pytest.mark.parametrize("actor", [True, False])
def test_calls_of_another_life_are_not_taken(play: Play, actor: bool) -> None:
    if actor:
        play.becomes_actor(incarnation=1)
    play.calls(0, 1, specs=[SPEC])
    assert play.queued() == []


def test_what_is_cancelled_in_the_queue_is_answered_and_what_runs_is_marked(play: Play) -> None:
    play.tasks(1, 2, 3)
    play.tasks(2, sender=BEN)
    play.begins()
    effects = play.brain.handle(m.Cancel(ANNA, [1, 2, 99]), 1.0)
    ((to, results),) = said(effects, m.Results)
    assert to == ANNA
    assert [(one.seq, one.failed, one.retry, one.cancelled) for one in results.outcomes] == [
        (2, True, False, True)
    ]
    assert play.queued() == [(ANNA, 3, b"3"), (BEN, 2, b"2")]
    assert play.brain.cancelled == {(ANNA, 1), (ANNA, 99)}
    assert play.brain.handle(m.Cancel(ANNA, [1]), 1.0) == []


@pytest.mark.parametrize("why", ["queued", "runs", "owns", ""])
def test_who_is_of_use_declines_to_end(play: Play, why: str) -> None:
    if why in ("queued", "runs"):
        play.tasks(1)
    if why == "runs":
        play.begins()
    if why == "owns":
        play.brain.client.objects.keep(b"1", ())
    effects = play.brain.handle(m.Exit(NODE, "nobody needs it", if_idle=True), 1.0)
    assert said(effects, m.Stays) == ([(NODE, m.Stays(ME))] if why else [])
    assert bool(play.brain.client.ended) is not bool(why)
    play.brain.handle(m.Exit(NODE, "the node ends"), 1.0)
    assert play.brain.client.ended


@pytest.mark.parametrize("actor", [True, False])
def test_an_actor_ends_after_its_calls(play: Play, actor: bool) -> None:
    if actor:
        spec = node_play.actor(3).spec
        play.brain.handle(m.BecomeActor(NODE, spec, 0), 1.0)
        play.brain.queue.popleft()
    assert play.brain.handle(m.Exit(NODE, "nobody has it", gently=True), 1.0) == []
    assert bool(play.brain.client.ended) is not actor, "what it does at its end may use the cluster"
    assert [one.spec.name for one in play.brain.queue if isinstance(one, Item)] == (
        ["__ray_terminate__"] if actor else []
    )


def test_its_node_hears_what_it_does_when_that_changes_and_not_too_often(play: Play) -> None:
    def told(now: float) -> list[tuple[int, int, int]]:
        worked = [one for _, one in said(play.brain.report(now), m.Worked)]
        return [(one.finished, one.failed, one.running) for one in worked]

    assert told(10.0) == []
    assert not play.brain.busy()
    play.tasks(1)
    play.begins()
    assert play.brain.busy()
    assert told(10.0) == [(0, 0, 1)]
    assert told(11.0) == []
    failed = m.Outcome(1, [m.Value(b"error", failed=True)], True)
    play.brain.done.append(Done(ANNA, 1, 1, b"", failed, 10, (), ()))
    play.brain.done.append(Done(ANNA, 2, 1, b"2", None, 10, (), ()))
    play.brain.flush()
    play.brain.rest()
    assert play.brain.busy(), "its node does not know yet"
    assert told(10.0 + REPORT_SECONDS / 2) == []
    assert told(10.0 + REPORT_SECONDS) == [(1, 1, 0)]
    assert not play.brain.busy()
    play.brain.enter()
    play.brain.enter()
    assert told(20.0) == [(1, 1, 2)]
    play.brain.leave()
    assert told(30.0) == [(1, 1, 1)]


def test_an_answer_says_how_long_the_tasks_of_one_function_took(play: Play) -> None:
    for seq, (spec, micros) in enumerate([(2, 500), (1, 30), (1, 50), (1, 20)], 1):
        play.brain.done.append(Done(ANNA, seq, spec, b"%d" % seq, None, micros, (), ()))
    ((to, answer),) = said(play.brain.flush(), m.Results)
    assert (to, answer.seqs, answer.values) == (ANNA, [1, 2, 3, 4], [b"1", b"2", b"3", b"4"])
    assert (answer.spec, answer.count, answer.micros, answer.longest) == (1, 3, 100, 50)
    assert play.brain.finished == 4
    assert play.brain.failed == 0
