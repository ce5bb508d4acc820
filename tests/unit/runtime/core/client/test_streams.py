"""What comes of tasks that yield: in order and once, taken or not, to their end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from client_play import ME, NODE, OTHER, WORKER, Play, sent

from nbray.options import DYNAMIC, STREAMING
from nbray.runtime.core.client.objects.objects import FAILED, PENDING, READY, STORED
from nbray.runtime.core.client.streams import MOST_YIELDED, STREAMS, StreamTask
from nbray.runtime.core.client.task_records import Work
from nbray.runtime.core.effects import Effect
from nbray.runtime.shell.client.streams import NativeStream
from nbray.wire import messages as m

SLOT = m.Slot(1, 3, 0, 100_000, 55)
NONE = m.Value(b"none")
ERROR = m.Value(b"broken", failed=True)


class Stage(Play):
    """A client with one task that yields, which runs at `WORKER`."""

    def __init__(self, returns: int = STREAMING, most: int = 0, granted: bool = True) -> None:
        super().__init__()
        plain = self.work()
        spec = m.Spec(1, b"f", "f", returns, b"", "", ME, 0, {"CPU": 10_000}, most_unread=most)
        work = Work(spec, 1, plain.pool, plain.tally, b"code")
        streams = self.brain.tasks.streams
        self.task_: StreamTask = StreamTask(next(streams.numbers), work, b"", returns)
        self.stream = self.task_.stream
        self.brain.objects.promise(self.task_, self.task_.seq, 1)
        self.brain.submitted.append((self.brain.tasks.add, (self.task_,)))
        if most:
            self.brain.submitted.append((streams.opened, self.stream))
        self.brain.pump(self.now)
        if granted:
            self.grant()

    def yields(
        self, first: int, *values: bytes, worker: int = WORKER, **others: m.Value
    ) -> list[Effect]:
        places = {int(place[1:]): value for place, value in others.items()}
        return self.say(m.Yielded(worker, self.task_.seq, first, list(values), places))

    def ends(self, *values: m.Value, failed: bool = False, **more: Any) -> list[Effect]:
        outcome = m.Outcome(self.task_.seq, list(values), failed, **more)
        return self.say(m.Results(WORKER, [], [], [outcome]))

    @property
    def own(self) -> Any:
        return self.brain.objects.owned[self.task_.seq]


def test_tasks_that_yield_are_numbered_in_blocks() -> None:
    stage = Stage()
    assert stage.task_.seq == STREAMS
    assert next(stage.brain.tasks.streams.numbers) == STREAMS + MOST_YIELDED
    assert stage.stream.first == STREAMS + 1


def test_small_values_gather_and_are_no_objects() -> None:
    stage = Stage()
    before = set(stage.brain.objects.owned)
    stage.yields(0, b"a", b"b")
    stage.yields(2, b"c")
    assert list(stage.stream.fresh) == [b"a", b"b", b"c"]
    assert set(stage.brain.objects.owned) == before
    stage.ends(NONE)
    assert stage.stream.ended
    assert not stage.stream.failed
    assert stage.own.state == READY


def test_what_lies_in_the_store_is_an_object_at_once() -> None:
    stage = Stage()
    stage.yields(0, b"a", b"", b"c", _1=m.Value(b"", [SLOT]))
    assert list(stage.stream.fresh) == [b"a", None, b"c"]
    entry = stage.brain.objects.owned[stage.stream.first + 1]
    assert (entry.state, entry.count) == (STORED, 1)


def test_an_attempt_gives_nothing_twice() -> None:
    stage = Stage()
    stage.yields(0, b"a", b"b")
    stage.say(m.Died(NODE, [m.Death(WORKER, "killed")]))
    stage.now += 1.0
    stage.brain.tick(stage.now)
    stage.brain.pump(stage.now)
    stage.grant(OTHER, 8)
    stage.yields(2, b"late")  # the last words of the first one
    effects = stage.yields(0, b"A", b"", b"C", worker=OTHER, _1=m.Value(b"", [SLOT]))
    assert list(stage.stream.fresh) == [b"a", b"b", b"C"]
    assert sent(effects, m.Free, NODE)[0].slots == [SLOT]


def test_who_waits_is_told_of_the_next() -> None:
    stage = Stage()
    stage.stream.promised = 0
    stage.brain.objects.promise(stage.task_, stage.stream.first, 1)
    entry = stage.brain.objects.owned[stage.stream.first]
    assert entry.state == PENDING
    stage.yields(0, b"a", b"b")
    assert (entry.state, entry.value) == (READY, b"a")
    assert list(stage.stream.fresh) == [b"b"]


def test_who_waits_is_told_of_the_end() -> None:
    stage = Stage()
    stage.stream.promised = 0
    stage.brain.objects.promise(stage.task_, stage.stream.first, 1)
    entry = stage.brain.objects.owned[stage.stream.first]
    stage.ends(NONE)
    assert entry.state == FAILED
    assert b"ObjectRefStreamEndOfStreamError" in entry.value.data


def test_an_error_of_the_task_is_its_last_return() -> None:
    stage = Stage()
    stage.yields(0, b"a")
    stage.ends(NONE, ERROR, failed=True)
    assert list(stage.stream.fresh) == [b"a", None]
    assert stage.brain.objects.owned[stage.stream.first + 1].state == FAILED
    assert stage.own.state == READY
    assert not stage.stream.failed


def test_a_crash_is_the_error_of_the_task_itself() -> None:
    stage = Stage()
    stage.yields(0, b"a")
    stage.task_.attempt = 1
    stage.say(m.Died(NODE, [m.Death(WORKER, "killed")]))
    stage.now += 1.0
    stage.brain.tick(stage.now)
    assert stage.stream.failed
    assert stage.own.state == FAILED
    assert list(stage.stream.fresh) == [b"a"]


def test_a_reader_that_is_gone_ends_the_task_gently() -> None:
    stage = Stage()
    stage.yields(0, b"a", b"", _1=m.Value(b"", [SLOT]))
    stage.brain.submitted.append((stage.brain.close_stream, stage.stream))
    effects = stage.brain.pump(stage.now)
    effects += stage.brain.pump(stage.now)
    (cancel,) = sent(effects, m.Cancel, WORKER)
    assert (cancel.seqs, cancel.gently) == ([stage.task_.seq], True)
    assert sent(effects, m.Free, NODE)[0].slots == [SLOT]
    effects = stage.yields(2, b"", _0=m.Value(b"", [SLOT]))
    assert sent(effects, m.Free, NODE)[0].slots == [SLOT]
    stage.brain.objects.drop([(ME, stage.task_.seq)])
    stage.ends(NONE)
    assert stage.task_.seq not in stage.brain.objects.owned
    assert not stage.brain.tasks.unfinished


def test_a_reader_that_is_gone_withdraws_what_has_not_begun() -> None:
    stage = Stage(granted=False)
    stage.brain.submitted.append((stage.brain.close_stream, stage.stream))
    stage.brain.pump(stage.now)
    assert stage.own.state == FAILED
    assert not stage.brain.tasks.unfinished
    assert stage.brain.close_stream(stage.stream) == []


def test_cancelling_takes_what_was_not_taken() -> None:
    stage = Stage()
    stage.yields(0, b"a", b"b")
    stage.stream.fresh.popleft()
    stage.stream.taken = 1
    effects = stage.brain.cancel([stage.task_], False)
    assert not sent(effects, m.Cancel, WORKER)[0].gently
    assert not stage.stream.fresh
    assert stage.stream.arrived == 1
    stage.yields(2, b"c")
    stage.ends(ERROR, failed=True, cancelled=True)
    assert stage.stream.failed
    assert stage.stream.arrived == stage.stream.taken


def test_a_task_that_pauses_hears_what_was_taken() -> None:
    stage = Stage(most=2)
    streams = stage.brain.tasks.streams
    assert list(streams.paced.values()) == [stage.stream]
    stage.yields(0, b"a")
    assert not stage.stream.waits
    stage.yields(1, b"b")
    assert stage.stream.waits
    assert "pauses for its reader; 2 of its values" in stage.brain.reasons(stage.now)[""][0]
    stage.stream.taken = 1
    (taken,) = sent(streams.took(stage.stream), m.Taken, WORKER)
    assert (taken.seq, taken.count) == (stage.task_.seq, 1)
    assert not stage.stream.waits
    stage.ends(NONE)
    assert not streams.paced
    assert streams.took(stage.stream) == []


def test_an_attempt_that_pauses_hears_what_the_reader_has_of_the_one_before() -> None:
    """Or it would wait for a reader who waits for what comes after that."""
    stage = Stage(most=2)
    stage.yields(0, b"a", b"b")
    stage.stream.fresh.clear()
    stage.stream.taken = 2
    stage.say(m.Died(NODE, [m.Death(WORKER, "killed")]))
    stage.now += 1.0
    stage.brain.tick(stage.now)
    stage.brain.pump(stage.now)
    stage.grant(OTHER, 8)
    (taken,) = sent(stage.yields(0, b"A", b"B", worker=OTHER), m.Taken, OTHER)
    assert taken.count == 2
    assert not sent(stage.yields(2, b"C", worker=OTHER), m.Taken), "what is new, the reader tells"


def test_values_of_a_dynamic_task_are_held_by_its_own() -> None:
    stage = Stage(DYNAMIC)
    stage.yields(0, b"a", b"b")
    names = [(ME, stage.stream.first), (ME, stage.stream.first + 1)]
    assert [stage.brain.objects.owned[seq].value for _, seq in names] == [b"a", b"b"]
    stage.ends(m.Value(b"both", [], names))
    assert [stage.brain.objects.owned[seq].count for _, seq in names] == [1, 1]
    stage.brain.objects.drop([(ME, stage.task_.seq)])
    stage.brain.pump(stage.now)
    stage.brain.pump(stage.now)
    assert not stage.brain.objects.owned


def test_a_reader_of_what_was_cut_off_waits_for_the_end_and_not_for_what_it_lost() -> None:
    """What it waited for may have come just before: it is there, and is not given."""
    stage = Stage()
    loop: Any = SimpleNamespace(locked=lambda act: act(), now=lambda: stage.now)
    engine: Any = SimpleNamespace(ended="")
    completed: Any = SimpleNamespace()
    reader = NativeStream(stage.stream, completed, stage.brain, loop, engine)
    assert reader.take() is None
    waited = reader.peek()
    assert waited is not completed
    stage.yields(0, b"one")
    stage.brain.tasks.streams.cut(stage.stream)
    assert stage.brain.objects.owned[waited.seq].state == READY
    assert reader.take() is None
    assert reader.peek() is completed
    stage.ends(ERROR, failed=True)
    assert reader.take() is completed
    with pytest.raises(StopIteration):
        reader.take()


def large(stage: Stage, first: int, count: int, megabytes: int) -> list[Effect]:
    """So many returns come that lie in the store."""
    found: list[Effect] = []
    for index in range(first, first + count):
        slot = m.Slot(1, 3, index << 20, megabytes << 20, 100 + index)
        found += stage.yields(index, b"", _0=m.Value(b"", [slot]))
    return found


def taken(stage: Stage, count: int) -> list[int]:
    """The reader takes some; what the task is told of it."""
    told: list[int] = []
    for _ in range(count):
        stage.stream.taken += 1
        stage.stream.fresh.popleft()
        if 0 < stage.stream.tells <= stage.stream.taken:
            effects = stage.brain.tasks.streams.took(stage.stream)
            told += [one.count for one in sent(effects, m.Taken, WORKER)]
    return told


def test_a_task_that_yields_much_is_told_now_and_then_what_was_taken() -> None:
    stage = Stage()
    large(stage, 0, 3, 4)
    assert taken(stage, 2) == []  # that little need not be read
    large(stage, 3, 30, 4)
    assert taken(stage, 12) == [3, 7, 11]  # each 16 MB
    assert not stage.stream.waits
    stage.stream.most_bytes = 40 << 20
    assert stage.stream.waits
    assert "of what it has yielded are not taken yet" in stage.brain.reasons(stage.now)[""][0]
    stage.ends(NONE)
    assert not stage.stream.waits


def test_who_waits_for_the_end_does_not_read() -> None:
    stage = Stage()
    streams = stage.brain.tasks.streams
    large(stage, 0, 5, 4)
    assert sent(streams.run_out(stage.stream), m.Taken, WORKER)[0].count == MOST_YIELDED
    early = Stage()
    assert early.brain.tasks.streams.run_out(early.stream) == []
    assert sent(large(early, 0, 5, 4), m.Taken, WORKER)[0].count == MOST_YIELDED
    told = Stage(most=2)
    assert told.brain.tasks.streams.run_out(told.stream) == []  # its caller wants it to pause
