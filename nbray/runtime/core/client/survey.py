"""Asking the whole cluster what it is doing, and putting the answers together.

Owns one watcher's questions (`Describe`, to every node and the head) and the
latest answer of every process. Does not own what a process says of itself
(`describing`). Rules: who does not answer, because its code holds the
interpreter, keeps its last answer while its node knows it; what has ended is
remembered here, bounded, because workers forget it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from nbray import details as d
from nbray.ids import HEAD, node_client, node_of
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.wire.messages import Describe, Described

PAUSE = 0.2
"""Least seconds between two rounds of questions."""
LISTED, LISTED_AFAR = 10_000, 2_000
"""Unfinished tasks, and largest objects, that one process lists; fewer if others must forward."""
ENDED = 20_000
"""Ended tasks that are remembered."""
TEXT = 2 << 20
"""Characters of printed text that are remembered."""
STALE = 0.3
"""Seconds by which the end of a task may be older than its owner's word and still outweigh it."""
SILENT = 1.5
"""Seconds behind the others after which a worker counts as one that cannot answer."""
_Key = tuple[int, int]


class Survey:
    """One watcher's view of all processes."""

    def __init__(self, me: int) -> None:
        self.me = me
        self.version = 0
        self._asked = float("-inf")
        self._wanted = 0
        self._round = 0
        self._heard: dict[int, int] = {}
        """Of which round the last answer of each process was."""
        self._answers: dict[int, tuple[float, Described]] = {}
        """By sender: when it came, and the last one."""
        self._on_disk: dict[int, set[int]] = {}
        """By node, the generations of objects that it has moved to disk."""
        self._processes: dict[int, list[d.ProcessRecord]] = {}
        self._gone: dict[int, d.ProcessRecord] = {}
        """Workers that have ended, of which their nodes tell."""
        self._tasks_seen: dict[int, int] = {}
        self._texts_seen: dict[int, int] = {}
        self._lost_seen: dict[int, int] = {}
        self._shifts: dict[int, float] = {}
        """By node: our clock minus its. The least difference seen, which waited least."""
        self._ended: dict[tuple[int, int, int, float], d.TaskRecord] = {}
        self._ends: dict[_Key, float] = {}
        """When a task ended last, by owner and number."""
        self._texts: list[d.TextRecord] = []
        self._text_size = 0

    def ask(self, nodes: Iterable[int], wanted: int, now: float) -> list[ClientEffect]:
        """Questions to all *nodes* and the head, if the last ones are not too fresh."""
        if now - self._asked < PAUSE and not wanted & ~self._wanted:
            return []
        return self.ask_anew(nodes, wanted, now)

    def ask_anew(self, nodes: Iterable[int], wanted: int, now: float) -> list[ClientEffect]:
        """The same however fresh the last ones are: the next `round`."""
        self._asked = now
        self._wanted = wanted
        self._round += 1
        seen = (self._tasks_seen, self._texts_seen, self._lost_seen, self._round)
        near = Describe(self.me, wanted, LISTED, *seen)
        far = Describe(self.me, wanted, LISTED_AFAR, *seen)
        here = node_of(self.me)
        out: list[ClientEffect] = [
            Send(node_client(node), near if node == here else far) for node in nodes
        ]
        if wanted & d.ACTORS:
            out.append(Send(HEAD, near))
        return out

    @property
    def round(self) -> int:
        """The number of the last questions."""
        return self._round

    def missing(self, since: int, nodes: Iterable[int], wanted: int) -> tuple[list[int], list[int]]:
        """(nodes, processes of others) that have answered none of the questions from round *since*.

        The head's is the first node's answer.
        """
        heard = self._heard
        silent = [node for node in nodes if heard.get(node_client(node), 0) < since]
        if wanted & d.ACTORS and heard.get(HEAD, 0) < since and node_of(HEAD) not in silent:
            silent.append(node_of(HEAD))
        processes = [
            one.client
            for node in nodes
            for one in self._processes.get(node, ())
            if heard.get(one.client, 0) < since
        ]
        return silent, processes

    def answered(self, message: Described, now: float) -> None:
        """Take one answer."""
        sender = message.sender
        self.version += 1
        self._heard[sender] = max(message.round, self._heard.get(sender, 0))
        if message.processes or sender == node_client(node_of(sender)):
            live = {one.client for one in message.processes}
            before = self._processes.get(node_of(sender), ())
            self._gone.update((one.client, one) for one in before if one.client not in live)
            self._processes[node_of(sender)] = message.processes
            if message.wanted & d.OBJECTS:
                self._on_disk[node_of(sender)] = set(message.on_disk)
            if not message.wanted & d.TASKS:
                return
            moved = now - message.now
            for one in message.gone:
                at = one.ended + moved if one.ended else 0.0
                self._gone[one.client] = msgspec.structs.replace(one, ended=at)
            while len(self._gone) > ENDED:
                del self._gone[next(iter(self._gone))]
        node = node_of(sender)
        shift = self._shifts[node] = min(now - message.now, self._shifts.get(node, float("inf")))
        for task in (*message.ended, *message.lost):
            key = (task.worker, task.owner, task.seq, task.started)  # may be told twice
            self._remember(key, _shifted(task, shift))
        if message.ended_count:
            self._tasks_seen[sender] = message.ended_count
        if message.lost_count:
            self._lost_seen[sender] = message.lost_count
        if message.texts_count and message.texts_count != self._texts_seen.get(sender):
            self._texts_seen[sender] = message.texts_count
            self._print([_at(one, shift) for one in message.texts])
        if sender == node_client(node):
            return
        answer = self._answers.get(sender)
        kept = message
        if answer is not None:  # what was not asked this time stays as it was
            last = answer[1]
            if not message.wanted & d.OBJECTS:
                kept = msgspec.structs.replace(
                    kept, objects=last.objects, object_count=last.object_count,
                    object_bytes=last.object_bytes, in_use=last.in_use,
                )  # fmt: skip
            if not message.wanted & d.TASKS:
                kept = msgspec.structs.replace(
                    kept, tasks=last.tasks, unfinished=last.unfinished, busy=last.busy
                )
        self._answers[sender] = (now, msgspec.structs.replace(kept, ended=[], texts=[], lost=[]))

    def _remember(self, key: tuple[int, int, int, float], task: d.TaskRecord) -> None:
        self._ended[key] = task
        self._ends[task.owner, task.seq] = task.ended
        if len(self._ended) > ENDED:
            oldest = self._ended.pop(next(iter(self._ended)))
            if self._ends.get((oldest.owner, oldest.seq)) == oldest.ended:
                del self._ends[oldest.owner, oldest.seq]

    def _print(self, texts: list[d.TextRecord]) -> None:
        self._texts += texts
        self._text_size += sum(len(one.text) for one in texts)
        drop = 0
        while self._text_size > TEXT and drop < len(self._texts) - 1:
            self._text_size -= len(self._texts[drop].text)
            drop += 1
        del self._texts[:drop]

    def details(self, now: float, alive: set[int]) -> d.Details:
        """Everything that is known, of the nodes in *alive*."""
        processes = [
            one for node, some in self._processes.items() if node in alive for one in some
        ]
        known = {one.client for one in processes} | {HEAD}
        for client in [client for client in self._answers if client not in known]:
            if node_of(client) in self._processes:
                for memory in (
                    self._answers, self._tasks_seen, self._texts_seen, self._lost_seen,
                    self._heard,
                ):  # fmt: skip
                    memory.pop(client, None)
        answers = {
            client: answer
            for client, answer in self._answers.items()
            if client in known and node_of(client) in alive
        }
        head = answers.pop(HEAD, None)
        return d.Details(
            tasks=self._merged(answers),
            unlisted=sum(
                max(0, message.unfinished - sum(one.owner == client for one in message.tasks))
                for client, (_, message) in answers.items()
            ),
            actors=tuple(head[1].actors) if head is not None else (),
            groups=tuple(head[1].groups) if head is not None else (),
            objects=self._objects(answers),
            object_count=sum(message.object_count for _, message in answers.values()),
            object_bytes=sum(message.object_bytes for _, message in answers.values()),
            cells=tuple(
                _moved(one, self._shifts[node_of(client)])
                for client, (_, message) in answers.items()
                for one in message.cells
            ),
            processes=tuple(processes),
            gone=tuple(self._gone.values()),
            texts=tuple(self._texts),
            environments={
                client: message.environment
                for client, (_, message) in answers.items()
                if message.environment is not None
            },
            me=self.me,
            version=self.version,
            # What was running when it was said: by a later clock all of it would look slow.
            now=max((came for came, _ in answers.values()), default=now),
        )

    def _objects(self, answers: dict[int, tuple[float, Described]]) -> tuple[d.ObjectRecord, ...]:
        """Owners know their objects, nodes which of them are on disk, clients what they use."""
        used = Counter(one for _, message in answers.values() for one in message.in_use)
        on_disk = self._on_disk
        found = []
        for _, message in answers.values():
            for one in message.objects:
                copies = list(zip(one.nodes, one.places, strict=False))
                disk = [node for node, place in copies if place in on_disk.get(node, ())]
                pins = sum(used[copy] for copy in copies) if used else 0
                if disk or pins:
                    one = msgspec.structs.replace(one, disk=disk, pins=pins)
                found.append(one)
        return tuple(found)

    def _merged(self, answers: dict[int, tuple[float, Described]]) -> tuple[d.TaskRecord, ...]:
        """Owners know what waits, workers what runs and has ended; a worker's word counts more."""
        running: dict[_Key, d.TaskRecord] = {}
        busy: dict[int, int] = {}
        for client, (came, message) in answers.items():
            busy[client] = message.busy
            shift = self._shifts[node_of(client)]
            for task in message.tasks:
                if task.state == d.RUNNING:
                    key = (task.owner, task.seq)
                    if self._ends.get(key, float("-inf")) < came - STALE:
                        running[key] = _shifted(task, shift)
        found = list(running.values())
        latest = max((came for came, _ in answers.values()), default=0.0)
        # Who does not answer runs code that holds the interpreter: the first task sent there.
        working = {task.worker for task in found}
        for came, message in answers.values():
            for task in message.tasks:
                key = (task.owner, task.seq)
                if task.state == d.RUNNING or key in running:
                    continue
                if self._ends.get(key, float("-inf")) >= came - STALE and not task.attempt:
                    continue
                if task.state == d.SENT:
                    worker = task.worker
                    heard = answers[worker][0] if worker in answers else float("-inf")
                    if busy.get(worker, 0) > 0:
                        busy[worker] -= 1
                        task = msgspec.structs.replace(task, state=d.RUNNING)
                    elif latest - heard > SILENT and worker not in working:
                        working.add(worker)
                        task = msgspec.structs.replace(task, state=d.RUNNING)
                found.append(task)
        return (*found, *reversed(self._ended.values()))


def _shifted(task: d.TaskRecord, shift: float) -> d.TaskRecord:
    """The record by the reader's clock."""
    started = task.started + shift if task.started else 0.0
    ended = task.ended + shift if task.ended else 0.0
    return msgspec.structs.replace(task, started=started, ended=ended)


def _at(text: d.TextRecord, shift: float) -> d.TextRecord:
    return msgspec.structs.replace(text, at=text.at + shift) if text.at else text


def _moved(cell: d.CellRecord, shift: float) -> d.CellRecord:
    view = cell.view
    view = msgspec.structs.replace(
        view, started=view.started + shift, updated=view.updated + shift,
        began=view.began and view.began + shift,
    )  # fmt: skip
    return msgspec.structs.replace(cell, view=view)
