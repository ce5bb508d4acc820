"""Lost objects made again: a client's recipes, and what it does when a last copy is gone.

Owns the recipes (the tasks of which a return lies in the store), how many bytes they take, and
which tasks run again. Does not own objects (`objects`), nor how tasks run (`tasks`, `actors`).

Rules. A task whose return was stored is remembered while one of its returns lives, or while
the recipe of another object names one: so what an argument was made of is known after that
argument has ended. Small arguments are part of the recipe; small objects that are only named
inside an argument are held by it; large ones never. When the last copy of an object is gone,
its task runs again under its own numbers, after those that make what it takes, if that is gone
too; each run again is charged as an attempt (as in Ray). What cannot be made again fails, with
the reason. Past `most` bytes the oldest recipes are forgotten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from nbray.config import LINEAGE_BYTES
from nbray.ids import node_client, object_hex
from nbray.runtime.core.client.actors import Callers
from nbray.runtime.core.client.objects.handing_over import HandingOver
from nbray.runtime.core.client.objects.objects import (
    MOST_RETURNS,
    MULTI,
    PENDING,
    READY,
    STORED,
    Entry,
    Objects,
)
from nbray.runtime.core.client.replies import Replies
from nbray.runtime.core.client.streams import MOST_YIELDED, STREAMS
from nbray.runtime.core.client.task_records import ErrorMaker, Task, weight
from nbray.runtime.core.client.tasks import Submitter
from nbray.runtime.core.effects import ClientEffect, Send
from nbray.wire.messages import Bounced, CopiesGone, Leaving, Moved, Ref, Slot, Value

RECIPE_BYTES = 700
"""What a recipe takes beside the bytes of its arguments, about."""
FAILED = "ObjectReconstructionFailedError"
"""The class of the error of what cannot be made again, where there is no closer one."""
EXCEEDED = "ObjectReconstructionFailedMaxAttemptsExceededError"
EVICTED = "ObjectReconstructionFailedLineageEvictedError"

Hindrance = tuple[str, str]
"""(class of the error, why an object cannot be made again and what to do)."""
PUT: Hindrance = (
    FAILED,
    "it was put, so nothing says how to make it. Put it again, or return it from a task",
)


def number_of(seq: int) -> int:
    """The number of the task that makes the object *seq*, if a task does."""
    if seq >= STREAMS:
        return seq - (seq - STREAMS) % MOST_YIELDED
    if seq >= MULTI:
        return seq - (seq - MULTI) % MOST_RETURNS
    return seq


class Recipe:
    """A task by which objects can be made again."""

    __slots__ = ("alive", "held", "life", "names", "size", "task")

    def __init__(self, task: Task, size: int, names: Sequence[Ref], held: Sequence[Ref]) -> None:
        self.task = task
        self.size = size
        self.names = names
        """What it takes, in whatever way."""
        self.held = held
        """Small objects among them that are held."""
        self.life: Ref | None = None
        """The actor that it calls."""
        self.alive = 0
        """Returns of it that lie in the store."""


class Lineage:
    """The recipes of one client."""

    def __init__(
        self, objects: Objects, submitter: Submitter, callers: Callers, error: ErrorMaker,
        replies: Replies,
    ) -> None:  # fmt: skip
        self._objects = objects
        self._submitter = submitter
        self._callers = callers
        self._error = error
        self.most = LINEAGE_BYTES
        """Bytes that the recipes may take."""
        self.bytes = 0
        """What the recipes take, about."""
        self.recipes: dict[int, Recipe] = {}
        """By task, oldest first."""
        self.wanted: Counter[int] = Counter()
        """How many recipes name returns of each task."""
        self.due: list[Entry] = []
        """What was stored on a node that had gone before the news of it came."""
        self._over = submitter.over
        self._lost: dict[int, list[Entry]] = {}
        """What each task that runs again is to make, by its number."""
        self._handing = HandingOver(objects, replies.expect, replies.take)
        self._cause = "no copy of it is left"
        objects.on_stored = self._stored
        objects.on_stored_end = self._ended
        submitter.has_called = self._called

    @property
    def restless(self) -> bool:
        """Whether `step` has something to do."""
        return bool(self.due or self._over or self._handing.restless)

    # -- recipes -----------------------------------------------------------------

    def _stored(self, entry: Entry) -> None:
        """A task's return lies in the store."""
        task, slots = entry.maker, entry.value.slots
        if all(self._objects.lost(node_client(slot.node)) is not None for slot in slots):
            self.due.append(entry)
        if not isinstance(task, Task) or not task.work.max_retries:
            return
        recipe = self.recipes.get(task.seq)
        if recipe is None:
            recipe = self._keep(task)
        recipe.alive += 1
        if self.bytes > self.most:
            self._evict()

    def _keep(self, task: Task) -> Recipe:
        objects, names = self._objects, self._names(task)
        inline = self._inline(task)
        held, size = [], RECIPE_BYTES + len(task.args) + weight(task.extra)
        for key in names:
            if key[0] != objects.me:
                continue
            self.wanted[number_of(key[1])] += 1
            entry = objects.owned.get(key[1])
            small = entry is not None and entry.state == READY and not entry.refs
            if entry is not None and small and key not in inline:
                held.append(key)
                size += len(entry.value)
        objects.hold(held)
        recipe = self.recipes[task.seq] = Recipe(task, size, names, held)
        self.bytes += size
        return recipe

    @staticmethod
    def _inline(task: Task) -> dict[Ref, Value]:
        """Arguments of which the recipe itself has the value."""
        given = task.extra.deps if task.extra is not None else ()
        return {key: value for _, value, key in given if not (value.slots or value.failed)}

    def _names(self, task: Task) -> Sequence[Ref]:
        """What a task takes, in whatever way."""
        inside = [ref for value in self._inline(task).values() for ref in value.refs]
        return list(dict.fromkeys((*task.pins, *inside)))

    def _called(self, task: Task, life: Ref | None) -> None:
        """A call of the actor with this *life* has ended."""
        recipe = self.recipes.get(task.seq) if life is not None else None
        if recipe is not None:
            recipe.life = life

    def _ended(self, entry: Entry) -> None:
        """Nothing holds one of a task's returns any more."""
        task = entry.maker
        recipe = self.recipes.get(task.seq) if isinstance(task, Task) else None
        if recipe is not None:
            recipe.alive -= 1
            self._release(recipe)

    def _release(self, recipe: Recipe) -> None:
        """Forget a recipe of which nobody has any use, and those that are known for it alone."""
        unused = [recipe]
        while unused:
            one = unused.pop()
            number = one.task.seq
            if one.alive > 0 or self.wanted[number] > 0 or number in self._objects.again:
                continue
            unused += self._forget(one)

    def _forget(self, recipe: Recipe) -> list[Recipe]:
        """Forget a recipe; those that it has named last."""
        if self.recipes.pop(recipe.task.seq, None) is None:
            return []
        self.bytes -= recipe.size
        self._objects.drop(recipe.held)
        last: list[Recipe] = []
        for owner, seq in recipe.names:
            number = number_of(seq)
            if owner != self._objects.me:
                continue
            self.wanted[number] -= 1
            if self.wanted[number] <= 0:
                del self.wanted[number]
                if number in self.recipes:
                    last.append(self.recipes[number])
        return last

    def _evict(self) -> None:
        """The recipes take too much: the oldest go, except those of tasks that have not ended."""
        for number in list(self.recipes):
            if self.bytes <= self.most:
                return
            recipe = self.recipes.get(number)
            if recipe is None or self._objects.running(number) is not None:
                continue
            task = recipe.task
            if task.lease is not None:
                continue
            for other in self._forget(recipe):
                self._release(other)
            task.args, task.extra, task.deps, task.pins = b"", None, None, ()

    # -- losses --------------------------------------------------------------------

    def node_died(self, node: int, why: str) -> list[ClientEffect]:
        """A node is gone, with every copy there."""
        self._cause = f"its only copy was on a node that is gone: {why}"
        effects = self._handing.node_died(node)
        return [*effects, *self.recover(self._objects.without_node(node))]

    def heard(self, message: Moved | CopiesGone | Leaving) -> list[ClientEffect]:
        """News of copies of our objects: there is one more, or fewer than thought, or soon."""
        if isinstance(message, Leaving):
            return self._handing.asked(message)
        if isinstance(message, Moved):
            return self._objects.moved(message)
        lost: list[Entry] = []
        for seq, slots in message.copies:
            lost += self._without((self._objects.me, seq), slots)
        return self.recover(lost)

    def bounced(self, message: Bounced) -> list[ClientEffect]:
        """A worker gives tasks back; it may lack what they take."""
        effects: list[ClientEffect] = []
        for key, slots in message.gone:
            effects += self.missing(key, slots)
        return effects + self._submitter.bounced(message)

    def missing(self, key: Ref, slots: Sequence[Slot]) -> list[ClientEffect]:
        """These copies of an object were not found: its owner is to know, and is asked again."""
        lost = self._without(key, slots)
        if key[0] == self._objects.me:
            return self.recover(lost)
        told = CopiesGone(self._objects.me, [(key[1], list(slots))])
        return [Send(key[0], told), *self.recover(lost)]

    def _without(self, key: Ref, slots: Sequence[Slot]) -> list[Entry]:
        entry = self._objects.find(key)
        if entry is None or entry.state != STORED:
            return []
        return [entry] if self._objects.without(entry, set(slots).__contains__) else []

    def step(self) -> list[ClientEffect]:
        """Look at what has run again, and at what came too late."""
        effects = self._handing.step() if self._handing.restless else []
        over, self._over[:] = list(self._over), []
        for task in over:
            self._objects.again.pop(task.seq, None)
            for entry in self._lost.pop(task.seq, ()):
                if entry.state == PENDING and self._objects.find(entry.key) is entry:
                    why = "its generator ran again and did not yield it; see its own error, if any"
                    effects += self._fail(entry, (FAILED, why))
            recipe = self.recipes.get(task.seq)
            if recipe is not None:
                self._release(recipe)
        due, self.due = self.due, []
        lost = [
            entry for entry in due
            if entry.state == STORED and self._objects.without(
                entry, lambda slot: self._objects.lost(node_client(slot.node)) is not None
            )
        ]  # fmt: skip
        return [*effects, *self.recover(lost)]

    def recover(self, lost: Sequence[Entry]) -> list[ClientEffect]:
        """Have what is lost made again; it is pending already."""
        effects = self.step() if self._over else []
        objects, keys = self._objects, {entry.key for entry in lost}
        for entry in lost:
            owner = entry.key[0]
            if owner != objects.me:
                error = objects.lost(owner)  # else it is asked again by whoever waits for it
                if error is not None:
                    effects += objects.lose(entry, error)
                continue
            task = entry.maker if isinstance(entry.maker, Task) else None
            recipe = self.recipes.get(task.seq) if task is not None else None
            if recipe is not None:
                recipe.alive -= 1
            if task is None:
                effects += self._fail(entry, PUT)
                continue
            runs = objects.running(task.seq) is task and (owner, task.seq) not in keys
            if task.seq in objects.again or runs:
                objects.again[task.seq] = task  # it will come to this
                task.held = True
                self._lost.setdefault(task.seq, []).append(entry)
                continue
            hindrance = self._hindrance(task)
            if hindrance is not None:
                effects += self._fail(entry, hindrance)
                if recipe is not None:
                    self._release(recipe)
                continue
            self._lost.setdefault(task.seq, []).append(entry)
            self._again(task, effects)
        return effects

    def _fail(self, entry: Entry, hindrance: Hindrance) -> list[ClientEffect]:
        kind, why = hindrance
        task = entry.maker
        name = f" of {task.work.spec.name}" if isinstance(task, Task) else ""
        text = (
            f"object {object_hex(*entry.key)}{name} is lost ({self._cause}), and cannot be made "
            f"again: {why}"
        )
        return self._objects.resolve(entry, Value(self._error(kind, text), failed=True))

    def _hindrance(self, task: Task) -> Hindrance | None:
        """Why *task* cannot run again."""
        work = task.work
        limit = work.max_retries
        recipe = self.recipes.get(task.seq)
        called = work.pool is None
        option = "max_task_retries" if called else "max_retries"
        if not limit:
            what = "an actor's method" if called else "a task"
            return FAILED, (
                f"it was returned by {what} with {option}=0, which never runs twice. Allow it by "
                f"{option}=3, if running it again does no harm"
            )
        if recipe is None:
            return EVICTED, (
                f"its recipe was forgotten, because recipes had taken {self.most:,} bytes. "
                "NBRAY_MAX_LINEAGE_BYTES allows more"
            )
        if 0 <= limit <= task.attempt:
            return EXCEEDED, (
                f"its task has run {task.attempt + 1} times, which is all that {option}={limit} "
                f"allows. Allow more by {option}"
            )
        if task.cancelled:
            return FAILED, "its task was cancelled"
        ref = task.extra.args_ref if task.extra is not None else None
        if ref is not None and self._objects.find(ref) is None:
            return FAILED, (
                f"the arguments of {work.spec.name} were too large to be kept. Put them "
                "(nbray.put) or have a task make them, and keep that reference"
            )
        if called and (recipe.life is None or self._objects.find(recipe.life) is None):
            return FAILED, "its actor has ended"
        return None

    # -- again ---------------------------------------------------------------------

    def _again(self, task: Task, effects: list[ClientEffect]) -> None:
        """Run *task* again, after those that make what it takes and what is gone."""
        objects = self._objects
        stack, order = [task], []
        held: list[Ref] = []
        failed: list[tuple[Entry, Hindrance]] = []
        while stack:
            one = stack.pop()
            if one.seq in objects.again:
                continue
            objects.again[one.seq] = one
            order.append(one)
            inline, names = self._inline(one), self._names(one)
            held += names
            for key in names:
                if objects.find(key) is not None:
                    continue
                if key in inline:
                    objects.have_again(key, inline[key])
                elif key[0] == objects.me:
                    recipe = self.recipes.get(number_of(key[1]))
                    maker = recipe.task if recipe is not None else None
                    entry = objects.promise_again(maker, key[1])
                    why = PUT if maker is None else self._hindrance(maker)
                    if maker is None or (why is not None and maker.seq not in objects.again):
                        failed.append((entry, why or PUT))
                        continue
                    self._lost.setdefault(maker.seq, []).append(entry)
                    stack.append(maker)
        objects.hold(held)
        effects += objects.settle_added()
        for entry, why in failed:
            effects += self._fail(entry, why)
        for one in reversed(order):
            effects += self._run(one)
        objects.drop(held)

    def _run(self, task: Task) -> list[ClientEffect]:
        task.attempt += 1
        work = task.work
        work.tally.remade += 1
        if work.pool is not None:
            effects = self._submitter.add((task,))
        else:
            life = self.recipes[task.seq].life
            assert life is not None
            link = self._callers.links.get(life)
            effects = self._callers.call(life, link.name if link else "", task)
        task.held = True  # its end is looked at
        return effects

    # -- views ---------------------------------------------------------------------

    def sentences(self, others: Mapping[str, list[str]]) -> dict[str, list[str]]:
        """*others*, by cell, and what is made again. Any thread: it looks at a copy."""
        found = dict(others)
        again = list(self._objects.again.values()) if self._objects.again else ()
        for cell, count in Counter(task.work.spec.cell for task in again).items():
            said = f"{count:,} running again: what they had made was lost with its node"
            found[cell] = [said, *found.get(cell, ())]
        return found


__all__ = ["Lineage", "Recipe", "number_of"]
