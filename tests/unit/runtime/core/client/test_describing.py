"""What processes say of themselves: their tasks, objects and prints."""

from __future__ import annotations

from typing import Any

from details import EVERYTHING, STATES

from nbray import details as d
from nbray.config import TASKS_REMEMBERED
from nbray.ids import DRIVER_FLAG, HEAD, client_id, node_client
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.client.describing import MOST_TEXT, Recent
from nbray.runtime.core.client.host import Host
from nbray.runtime.core.client.objects.objects import READY, STORED, Entry
from nbray.runtime.core.client.tally import Tally
from nbray.runtime.core.client.task_records import Task, Work
from nbray.runtime.core.effects import Send
from nbray.runtime.core.head.brain import HeadBrain
from nbray.runtime.core.worker.brain import Done, Item, WorkerBrain
from nbray.wire import messages as m

ME = client_id(1, DRIVER_FLAG | 1)
ASKER = client_id(1, DRIVER_FLAG | 2)
WORKER = client_id(1, 2)
NODE = node_client(1)
CPU = {"CPU": 10_000}
SPEC = m.Spec(1, b"f", "f", 1, b"", "cell", ME, 0, CPU)


def make_error(kind: str, text: str, cause: bytes = b"", actor: str = "") -> bytes:
    return text.encode()


def ask(brain: Any, wanted: int = EVERYTHING, limit: int = 100, **seen: Any) -> m.Described:
    (effect,) = brain.handle(m.Describe(ASKER, wanted, limit, **seen), 50.0)
    assert isinstance(effect, Send)
    assert effect.to == ASKER
    assert isinstance(effect.message, m.Described)
    return effect.message


class Play:
    def __init__(self) -> None:
        self.brain = ClientBrain(ME, 1, make_error)
        self.pool = self.brain.tasks.pools.pool(CPU, 0, 0)
        self.work = Work(SPEC, 3, self.pool, self.brain.tally("cell", 10.0), b"code")

    def submit(self, count: int, deps: tuple[m.Ref, ...] = ()) -> list[Task]:
        made = []
        for _ in range(count):
            seq = next(self.brain.objects.numbers)
            task = Task(seq, self.work, b"", 1)
            if deps:
                task.deps = list(enumerate(deps))
                task.pins = deps
            self.brain.objects.promise(task, seq, 1)
            self.brain.submitted.append(task)
            made.append(task)
        self.brain.pump(20.0)
        return made

    def grant(self) -> None:
        self.brain.handle(m.Granted(NODE, self.pool.id, 9, WORKER), 21.0)
        self.brain.pump(21.0)


def test_tasks_at_workers_in_queues_and_waiting_for_arguments() -> None:
    play = Play()
    first = play.submit(3)
    play.submit(2, deps=((ME, first[0].seq),))
    play.grant()
    play.brain.handle(m.Waiting(NODE, play.pool.id, "waiting for 1 GPU"), 22.0)
    answer = ask(play.brain)
    assert [STATES[one.state] for one in answer.tasks] == [
        "sent", "queued", "queued", "waiting", "waiting",
    ]  # fmt: skip
    assert answer.tasks[0].worker == WORKER
    assert answer.tasks[1].why == "waiting for 1 GPU"
    assert answer.unfinished == 5
    assert {one.cell for one in answer.tasks} == {"cell"}


def test_one_that_waits_is_listed_once_however_many_returns_it_has() -> None:
    play = Play()
    play.brain.objects.owned[90] = Entry((ME, 90), 1)
    (task,) = play.submit(1, deps=((ME, 90),))
    task.returns = 2
    play.brain.objects.promise(task, task.seq, 2)
    assert [one.seq for one in ask(play.brain).tasks] == [task.seq]


def test_the_list_is_bounded_and_says_how_many_there_are() -> None:
    play = Play()
    play.submit(500)
    answer = ask(play.brain, limit=10)
    assert len(answer.tasks) == 10
    assert answer.unfinished == 500


def test_only_what_is_wanted_is_told_but_cells_always() -> None:
    play = Play()
    play.submit(2)
    answer = ask(play.brain, wanted=0)
    assert (answer.tasks, answer.objects, answer.texts) == ([], [], [])
    (cell,) = answer.cells
    assert (cell.driver, cell.view.submitted, cell.label) == (ME, 2, "")
    play.brain.attach(Host(cell_label={"cell": "[3] f()"}.__getitem__))
    assert ask(play.brain, wanted=0).cells[0].label == "[3] f()"


def test_objects_largest_first_with_totals() -> None:
    play = Play()
    (task,) = play.submit(1)
    owned = play.brain.objects.owned
    for seq in range(100, 150):
        owned[seq] = Entry((ME, seq), 1, READY, bytes(seq))
    slot = m.Slot(2, 0, 0, 1 << 20, 0)
    owned[200] = Entry((ME, 200), 2, STORED, m.Value(b"", [slot]))
    owned[200].maker = task
    owned[200].borrowers = {WORKER}
    answer = ask(play.brain, limit=3)
    assert [one.size for one in answer.objects] == [1 << 20, 149, 148]
    assert answer.objects[0] == d.ObjectRecord(
        ME, 200, 2, 1 << 20, [2], 2, 1, "f", "cell", places=[0]
    )
    assert answer.object_count == 52
    assert answer.object_bytes == (1 << 20) + sum(range(100, 150))


def test_printed_text_is_told_once() -> None:
    play = Play()
    for number in range(3):
        play.brain.handle(m.Printed(WORKER, "cell", 7, "f", "stdout", f"{number}\n"), 30.0)
    answer = ask(play.brain)
    assert [one.text for one in answer.texts] == ["0\n", "1\n", "2\n"]
    assert answer.texts_count == 3
    play.brain.handle(m.Printed(WORKER, "cell", 7, "f", "stderr", "3\n"), 31.0)
    (one,) = ask(play.brain, texts_seen={ME: 3}).texts
    assert one == d.TextRecord(1, 7, "cell", ME, "f", "stderr", "3\n", 31.0)


def test_little_printed_text_is_kept() -> None:
    recent = Recent()
    for _ in range(10):
        recent.add(m.Printed(WORKER, "", 7, "f", "stdout", "x" * (MOST_TEXT // 4)), 1.0)
    assert recent.count == 10
    assert len(recent.after(0)) == 4
    assert recent.after(9) == recent.after(0)[-1:]
    assert recent.after(11) == []


def test_a_worker_tells_what_it_runs_and_what_ended_once() -> None:
    client = ClientBrain(WORKER, 1, make_error)
    brain = WorkerBrain(client)
    for seq, error in ((1, None), (2, "ValueError: bad"), (3, "")):
        brain.past.append((SPEC, ME, seq, 40.0 + seq, 500_000, error))
        outcome = None if error is None else m.Outcome(seq, [m.Value(b"e", failed=True)], True)
        brain.done.append(Done(ME, seq, 1, b"", outcome, 500_000, (), ()))
    brain.begin(Item(ME, SPEC, 4, b"", None, [], 1.0), 49.0)
    answer = ask(brain)
    (running,) = answer.tasks
    assert (running.seq, STATES[running.state], running.started) == (4, "running", 49.0)
    assert [(one.seq, STATES[one.state], one.why) for one in answer.ended] == [
        (1, "done", ""), (2, "failed", "ValueError: bad"), (3, "cancelled", ""),
    ]  # fmt: skip
    assert (answer.ended[0].started, answer.ended[0].ended) == (41.0, 41.5)
    assert answer.ended_count == 3
    brain.flush()
    again = ask(brain, tasks_seen={WORKER: 2})
    assert [one.seq for one in again.ended] == [3]


def test_a_worker_remembers_few_tasks() -> None:
    brain = WorkerBrain(ClientBrain(WORKER, 1, make_error))
    for seq in range(TASKS_REMEMBERED + 500):
        brain.past.append((SPEC, ME, seq, 1.0, 10, None))
    brain.finished = TASKS_REMEMBERED + 500
    assert len(ask(brain).ended) == TASKS_REMEMBERED


def test_the_head_tells_of_actors() -> None:
    brain = HeadBrain(1, m.Versions(1, "3.11.0", "0"))
    node = m.NodeInfo(1, "host", "127.0.0.1", 1, {"CPU": 40_000}, {"CPU": 40_000})
    brain.handle(m.Join(NODE, 0, node, m.Versions(1, "3.11.0", "0")), 1.0)
    spec = m.ActorSpec(
        ME, 5, "boss", "space", "Counter", b"", b"", m.Value(), (0, 0), [], {"CPU": 10_000}, {}, 2,
        1, False, False, b"", "cell", ME,
    )  # fmt: skip
    brain.handle(m.CreateActor(ME, spec), 2.0)
    sent = [e.message for e in brain.handle(m.Describe(ASKER, d.ACTORS, 9), 3.0)
            if isinstance(e, Send) and e.to == ASKER]  # fmt: skip
    (answer,) = sent
    assert answer.sender == HEAD
    (actor,) = answer.actors
    assert (actor.class_name, actor.name, actor.namespace) == ("Counter", "boss", "space")
    assert d.ACTOR_STATES[actor.state] == "starting"
    assert actor.resources == {"CPU": 1.0}
    assert (actor.cell, actor.job, actor.max_restarts) == ("cell", ME, 2)


def test_an_unknown_tally_does_not_matter() -> None:
    play = Play()
    play.brain.tallies["other"] = Tally("other", 1.0)
    assert {one.view.cell for one in ask(play.brain).cells} == {"cell", "other"}


def test_tasks_that_no_worker_speaks_for_are_told_by_their_owner() -> None:
    play = Play()
    crashed, *_ = play.submit(2)
    play.work.max_retries = 0
    play.grant()
    play.brain.handle(m.Died(NODE, [m.Death(WORKER, "killed by signal 9")]), 22.0)
    play.brain.tick(23.0)
    play.brain.handle(m.Infeasible(NODE, play.pool.id, "no node has 9 CPUs"), 24.0)
    answer = ask(play.brain)
    assert [(one.seq, one.worker, STATES[one.state], one.why) for one in answer.lost] == [
        (crashed.seq, WORKER, "failed", "killed by signal 9"),
        (crashed.seq + 1, 0, "failed", "no node has 9 CPUs"),
    ]
    assert answer.lost_count == 2
    (waiting,) = play.submit(1)
    play.brain.cancel([waiting], force=False)
    (one,) = ask(play.brain, lost_seen={ME: 2}).lost
    assert (one.seq, STATES[one.state]) == (waiting.seq, "cancelled")


def test_what_was_cancelled_is_in_no_queue() -> None:
    play = Play()
    first, second = play.submit(2)
    play.brain.cancel([first], force=False)
    assert [one.seq for one in ask(play.brain).tasks] == [second.seq]


def test_cancelled_calls_are_in_no_queue() -> None:
    play = Play()
    calls = []
    for seq in (50, 51):
        calls.append(Task(seq, Work(SPEC, 0, None, play.work.tally, b""), b"", 1))
        play.brain.submitted.append((play.brain.actors.call, (ASKER, 6), "A", calls[-1]))
    play.brain.pump(20.0)
    play.brain.cancel(calls[:1], force=False)
    assert [(one.seq, one.name) for one in ask(play.brain).tasks] == [(51, "A.f")]
