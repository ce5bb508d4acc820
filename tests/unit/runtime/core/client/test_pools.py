"""What is sent to a leased worker, after what it has answered and given back."""

from __future__ import annotations

import pytest
from client_play import NODE, OTHER, WORKER, Play, sent

from nbray.runtime.core.client.brain import CROWDED
from nbray.runtime.core.client.host import Host
from nbray.runtime.core.client.task_records import Task
from nbray.runtime.core.effects import Effect
from nbray.wire import messages as m


class Pipeline(Play):
    """A worker that has been sent *count* short tasks at once."""

    def __init__(self, count: int = 4) -> None:
        super().__init__()
        self.f = self.work()
        self.f.estimate = 1e-5
        self.f.tally = self.brain.tally("", self.now)
        self.tasks = [self.task(self.f) for _ in range(count)]
        self.brain.pump(self.now)
        assert self.went(self.grant()) == [(WORKER, one.seq) for one in self.tasks]

    @staticmethod
    def went(effects: list[Effect]) -> list[tuple[int, int]]:
        """The tasks that were sent, with the worker."""
        return [
            (worker, seq)
            for worker in (WORKER, OTHER)
            for message in sent(effects, m.Tasks, worker)
            for seq in message.seqs
        ]

    def bounce(self, tasks: list[Task]) -> list[tuple[int, int]]:
        return self.went(self.say(m.Bounced(WORKER, [one.seq for one in tasks])))


def test_who_gives_back_what_waits_behind_its_task_gets_no_more_until_it_answers() -> None:
    play = Pipeline()
    first, *others = play.tasks
    assert play.bounce(others) == []
    late = play.task(play.f)
    assert play.went(play.brain.pump(play.now)) == []
    effects = play.say(m.Results(WORKER, [first.seq], [b"1"]))
    assert play.went(effects) == [(WORKER, one.seq) for one in (*others, late)]


def test_another_worker_runs_what_one_gives_back() -> None:
    play = Pipeline()
    _, *others = play.tasks
    play.bounce(others)
    assert play.went(play.grant(OTHER, 8)) == [(OTHER, one.seq) for one in others]


def test_who_gives_all_back_and_runs_nothing_gets_it_again_at_once() -> None:
    play = Pipeline()
    assert play.bounce(play.tasks) == [(WORKER, one.seq) for one in play.tasks]


@pytest.mark.parametrize("unknown", [b"f", b""])
def test_a_function_that_a_worker_does_not_have_is_sent_with_the_task_again(unknown: bytes) -> None:
    play = Pipeline(1)
    (tasks,) = sent(play.say(m.Bounced(WORKER, [play.tasks[0].seq], unknown)), m.Tasks, WORKER)
    assert tasks.functions == ({b"f": b"code"} if unknown else {})


def test_what_was_cancelled_and_is_given_back_is_not_sent_again() -> None:
    play = Pipeline()
    cancelled, kept = play.tasks[2:]
    play.brain.cancel([cancelled], force=False)
    play.bounce([cancelled, kept])
    assert play.brain.objects.owned[cancelled.seq].value.data.startswith(b"TaskCancelledError")
    assert play.went(play.grant(OTHER, 8)) == [(OTHER, kept.seq)]


@pytest.mark.parametrize("backwards", [False, True])
def test_what_has_ended_already_cannot_be_given_back(backwards: bool) -> None:
    play = Pipeline()
    first, second, *_ = play.tasks
    play.say(m.Results(WORKER, [first.seq], [b"1"]))
    play.bounce([second, first] if backwards else [first, second])
    assert play.went(play.grant(OTHER, 8)) == [(OTHER, second.seq)]
    assert play.brain.objects.owned[first.seq].value == b"1"


def oldest(play: Play) -> float:
    return play.brain.cells(play.now)[""].oldest


def test_what_runs_has_run_since_the_worker_last_answered_or_was_idle() -> None:
    play = Pipeline(2)
    play.now += 2.0
    assert oldest(play) == 2.0
    play.say(m.Results(WORKER, [play.tasks[0].seq], [b"1"]))
    play.now += 1.0
    assert oldest(play) == 1.0
    play.say(m.Results(WORKER, [play.tasks[1].seq], [b"2"]))
    play.now += 0.3
    assert oldest(play) == 0.0
    play.task(play.f)
    play.brain.pump(play.now)
    play.now += 0.5
    assert oldest(play) == 0.5


def test_the_longest_of_several_counts() -> None:
    play = Play()
    work = play.work()
    work.tally = play.brain.tally("", play.now)
    for worker, lease in ((WORKER, 7), (OTHER, 8)):
        play.task(work)
        play.brain.pump(play.now)
        play.grant(worker, lease)
        play.now += 1.0
    assert oldest(play) == 2.0
    play.say(m.Results(WORKER, [1], [b"1"]))
    assert oldest(play) == 1.0


@pytest.mark.parametrize("rich", [False, True])
def test_much_that_is_printed_is_shown_at_once_and_then_counted_anew(rich: bool) -> None:
    play = Play()
    calls: list[int] = []
    play.brain.attach(Host(crowded=lambda: calls.append(len(play.brain.printed))))
    for _ in range(9):
        if rich:
            play.say(m.Displayed(NODE, "c", 9, "f", {}, {}, size=CROWDED // 2))
        else:
            play.say(m.Printed(NODE, "c", 9, "f", "stdout", "x" * (CROWDED // 2)))
    assert calls == [3, 6, 9]


def test_who_is_tried_again_goes_alone_so_that_he_is_charged_with_nobodys_death() -> None:
    """Who has ended and not been answered for is charged with the death of who runs behind."""
    play = Play()
    work = play.work(retries=1)
    work.estimate = 1e-5
    tasks = [play.task(work) for _ in range(4)]
    tasks[1].attempt = 1
    play.brain.pump(play.now)
    first, second, third, last = (task.seq for task in tasks)
    (sends,) = (sent(play.grant(), m.Tasks, WORKER),)
    assert [list(one.seqs) for one in sends] == [[first]]
    sends = sent(play.say(m.Results(WORKER, [first], [b"1"])), m.Tasks, WORKER)
    assert [list(one.seqs) for one in sends] == [[second]]
    sends = sent(play.say(m.Results(WORKER, [second], [b"1"])), m.Tasks, WORKER)
    assert [list(one.seqs) for one in sends] == [[third, last]]
