"""What a client says of who holds its objects (`core.client.describing.holdings`)."""

from __future__ import annotations

from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.client.describing import holdings
from nbray.runtime.core.client.objects.objects import LIFE, READY, STORED, Entry
from nbray.runtime.core.client.tally import Tally
from nbray.runtime.core.client.task_records import Task, Work
from nbray.wire.messages import Slot, Spec, Value

ME = 5


def test_objects_with_what_takes_and_contains_them() -> None:
    brain = ClientBrain(ME, 1, lambda *_: b"")
    owned, foreign = brain.objects.owned, brain.objects.foreign
    owned[1] = Entry((ME, 1), 1, STORED, Value(b"", [Slot(1, 2, 0, 5_000, 1)]))
    owned[2] = Entry((ME, 2), 2, READY, b"12345")
    owned[2].refs = ((ME, 1), (9, 9))
    owned[3] = Entry((ME, 3), 1, LIFE)
    foreign[9, 9] = Entry((9, 9), 1)
    spec = Spec(1, b"", "slow", 1, b"", "cell", ME, 0, {})
    task = Task(4, Work(spec, 0, None, Tally("cell", 0.0), b""), b"", 1)
    task.pins = ((ME, 1),)
    task.deps = [(0, (9, 9))]
    brain.objects.promise(task, 4, 1)
    held = holdings(brain.objects, brain.unfinished())
    found = {(one.object.owner, one.object.seq): one for one in held}
    assert set(found) == {(ME, 1), (ME, 2), (ME, 4), (9, 9)}
    assert found[ME, 1].tasks == found[9, 9].tasks == ["slow"]
    assert found[ME, 1].object.size == 5_000
    assert found[ME, 1].object.nodes == [1]
    assert found[ME, 2].inside == [(ME, 1), (9, 9)]
    assert found[ME, 4].object.maker == "slow"
    assert found[ME, 4].object.cell == "cell"
