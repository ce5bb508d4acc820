"""Programs about who owns what, made of a few steps, and a model of what must come of them.

Owns the steps, what each must give, and which objects are alive after each. Does not own what they
run on: a `Doer` does it, over the simulation (`test_ownership`) or over real processes
(`e2e/test_ownership`). Rules: whatever is held, by a variable, inside another value, in an actor's
state, by a generator that is not read to its end, can be read and is right; whatever is not held
goes. Only what a killed process owned may be lost, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import msgspec
from hypothesis import strategies as st

LARGE = 150_000
"""Bytes that lie in the store; others ride in messages."""
LOST = ("OwnerDiedError", "ObjectLostError", "ActorDiedError", "WorkerCrashedError")
"""How what was lost says so."""


class Node(msgspec.Struct, eq=False):
    """What a reference must lead to: a box with a number and further references."""

    tag: int
    inside: list[Node] = []
    size: int = 0
    owner: str = "driver"
    """'driver', 'worker', or the number of an actor."""
    call: int = 0
    """The actor whose answer it is."""
    lost: bool = False
    """Its owner may be dead."""
    by: list[Node] = []
    """What it was made from: if that was lost, so may it be."""

    def may_be_lost(self, seen: frozenset[int] = frozenset()) -> bool:
        """Whether reading it may fail."""
        if id(self) in seen:
            return False
        return self.lost or any(one.may_be_lost(seen | {id(self)}) for one in self.by)


class Actor(msgspec.Struct, eq=False):
    """An actor and what it holds."""

    number: int
    handle: Any
    held: list[Node] = []


class Doer(Protocol):
    """What carries the steps out."""

    def put(self, value: Any) -> Any:
        """A reference to *value*."""

    def box(self, tag: int, size: int, refs: list[Any]) -> Any:
        """A value with a number, so many bytes and references."""

    def opened(self, value: Any) -> tuple[int, list[Any]]:
        """The number and the references of a box, checked."""

    def get(self, ref: Any) -> Any:
        """The value of a reference."""

    def submit(self, name: str, *args: Any) -> Any:
        """The reference of a task, the function *name* of `ownership_tasks`."""

    def stream(self, name: str, *args: Any) -> Iterator[Any]:
        """The references of one that yields."""

    def actor(self, refs: list[Any]) -> Any:
        """A handle to a `Shelf` that holds these."""

    def call(self, handle: Any, method: str, *args: Any) -> Any:
        """The reference of a call."""

    def kill(self, handle: Any) -> None:
        """End an actor at once."""

    def stored(self, expected: int) -> int:
        """How many objects lie in stores, once that is as expected or nothing moves any more."""


STEPS = (
    "put", "put", "make", "make", "nest", "nest", "unwrap", "unwrap", "read", "read", "drop",
    "drop", "top", "relay", "actor", "hold", "hold", "give", "own", "part", "kill", "crash",
    "stream",
    "count",
)  # fmt: skip
Step = tuple[str, int, int, int]
programs = st.lists(
    st.tuples(st.sampled_from(STEPS), st.integers(0, 7), st.integers(0, 7), st.integers(0, 3)),
    min_size=4, max_size=30,
)  # fmt: skip


class Model:
    """One program as it runs: its variables and what they must lead to."""

    def __init__(self, doer: Doer) -> None:
        self._do = doer
        self._tag = 0
        self.live: list[tuple[Any, Node]] = []
        self.actors: list[Actor] = []
        self._workers: list[Node] = []
        """What workers that run tasks own."""
        self._streams: list[Any] = []
        self._unsure = False
        """Somebody may have been lost, or has what is not counted here."""

    def run(self, steps: list[Step]) -> None:
        """Do the steps, then read all there is, and let go of it."""
        for name, one, other, count in steps:
            getattr(self, f"_{name}")(one, other, count)
        while self.live:
            self._read(len(self.live) - 1, 0, 0)
        self._streams.clear()
        self.actors.clear()
        self._workers.clear()

    # -- within -------------------------------------------------------------------

    def _next(self) -> int:
        self._tag += 1
        return self._tag

    def _size(self, other: int) -> int:
        return LARGE if other % 2 else 0

    def _some(self, first: int, count: int) -> list[tuple[Any, Node]]:
        live = self.live
        return [live[(first + index) % len(live)] for index in range(min(count, len(live)))]

    def _keep(self, ref: Any, node: Node) -> None:
        self.live.append((ref, node))

    # -- values -------------------------------------------------------------------

    def _put(self, one: int, other: int, count: int) -> None:
        some = self._some(one, count)
        tag = self._next()
        box = self._do.box(tag, self._size(other), [ref for ref, _ in some])
        self._keep(self._do.put(box), Node(tag, [node for _, node in some], self._size(other)))

    def _make(self, one: int, other: int, count: int) -> None:
        """A task gives references back that it has borrowed."""
        some = self._some(one, count)
        tag = self._next()
        ref = self._do.submit("make", tag, self._size(other), [ref for ref, _ in some])
        self._keep(ref, Node(tag, [node for _, node in some], self._size(other)))

    def _nest(self, one: int, other: int, count: int) -> None:
        """A task puts values inside each other; it is their owner."""
        some = self._some(one, 1)
        tag = self._next()
        ref = self._do.submit("nest", tag, self._size(other), count, [ref for ref, _ in some])
        inside = [node for _, node in some]
        for depth in range(count, 0, -1):
            node = Node(tag * 1000 + depth, inside, self._size(other), "worker")
            self._workers.append(node)
            inside = [node]
        self._keep(ref, Node(tag, inside))

    def _top(self, one: int, _other: int, count: int) -> None:
        """A task takes values, not references."""
        some = self._some(one, count)
        tag = self._next()
        ref = self._do.submit("top", tag, *[ref for ref, _ in some])
        nodes = [node for _, node in some]
        inside = [inner for node in nodes for inner in node.inside]
        self._keep(ref, Node(tag, inside, by=nodes))

    def _unwrap(self, one: int, other: int, _count: int) -> None:
        """A task opens a box and gives one of the references in it back: a borrower passes on."""
        for ref, node in self._some(one, 1):
            tag = self._next()
            made = self._do.submit("unwrap", tag, other, [ref])
            self._keep(made, Node(tag, _chosen(node.inside, other), by=[node]))

    def _relay(self, one: int, other: int, _count: int) -> None:
        """The same in a task of a task, whose reference is what comes back."""
        for ref, node in self._some(one, 1):
            tag = self._next()
            made = self._do.submit("relay", tag, other, [ref])
            inner = Node(tag, _chosen(node.inside, other), 0, "worker", by=[node])
            self._workers.append(inner)
            self._keep(made, Node(tag, [inner]))

    def _stream(self, one: int, other: int, count: int) -> None:
        """A task yields; some is read, and what is left stays with who holds the generator."""
        some = self._some(one, 1)
        tag = self._next()
        self._unsure = True  # what has been yielded and not been taken lies there, too
        stream = self._do.stream("yields", tag, self._size(other), 4, [ref for ref, _ in some])
        inside = [node for _, node in some]
        for index in range(count):
            ref = next(stream)
            self._keep(ref, Node(tag * 1000 + index, inside, self._size(other)))
        if other % 3 == 0:
            self._streams.append(stream)

    def _read(self, one: int, _other: int, _count: int) -> None:
        """Read a variable, all that is in it, and let go of it."""
        if self.live:
            ref, node = self.live.pop(one % len(self.live))
            self._check(ref, node, 4)

    def _check(self, ref: Any, node: Node, depth: int) -> None:
        try:
            value = self._do.get(ref)
        except Exception as error:
            kinds = {kind.__name__ for kind in type(error).__mro__}
            if node.may_be_lost() and kinds & set(LOST):
                return
            raise
        tag, refs = self._do.opened(value)
        assert tag == node.tag, (tag, node.tag)
        assert len(refs) == len(node.inside), (tag, refs, node.inside)
        del ref, value
        if depth:
            for inner, expected in zip(refs, node.inside, strict=True):
                self._check(inner, expected, depth - 1)

    def _drop(self, one: int, _other: int, _count: int) -> None:
        if self.live:
            self.live.pop(one % len(self.live))

    # -- processes ------------------------------------------------------------------

    def _crash(self, one: int, _other: int, count: int) -> None:
        """A borrower is killed while it has what it was given."""
        some = self._some(one, count)
        tag = self._next()
        ref = self._do.submit("crash", tag, [ref for ref, _ in some])
        node = Node(tag, lost=True)
        self._unsure = True
        for owned in self._workers:  # its process may have run those
            owned.lost = True
        self._check(ref, node, 0)

    def _actor(self, one: int, _other: int, count: int) -> None:
        if len(self.actors) < 3:
            some = self._some(one, count)
            handle = self._do.actor([ref for ref, _ in some])
            self.actors.append(Actor(self._next(), handle, [node for _, node in some]))

    def _of(self, one: int) -> list[Actor]:
        return [self.actors[one % len(self.actors)]] if self.actors else []

    def _hold(self, one: int, other: int, count: int) -> None:
        """An actor keeps references in its state."""
        for actor in self._of(other):
            some = self._some(one, count)
            tag = self._next()
            ref = self._do.call(actor.handle, "hold", tag, [ref for ref, _ in some])
            actor.held = [*actor.held, *(node for _, node in some)]
            self._keep(ref, Node(tag, call=actor.number))

    def _give(self, _one: int, other: int, count: int) -> None:
        """It gives them all back, and keeps them or not."""
        for actor in self._of(other):
            tag = self._next()
            ref = self._do.call(actor.handle, "give", tag, count % 2)
            self._keep(ref, Node(tag, list(actor.held), call=actor.number))
            if count % 2:
                actor.held = []

    def _own(self, one: int, other: int, count: int) -> None:
        """It puts something itself, gives it away, and keeps it or not."""
        for actor in self._of(other):
            some = self._some(one, 1)
            tag = self._next()
            kept = count % 2
            ref = self._do.call(
                actor.handle, "own", tag, self._size(one), kept, [ref for ref, _ in some]
            )
            node = Node(
                tag * 1000, [node for _, node in some], self._size(one), str(actor.number)
            )
            if kept:
                actor.held = [*actor.held, node]
            self._keep(ref, Node(tag, [node], call=actor.number))

    def _part(self, _one: int, other: int, _count: int) -> None:
        """The last handle of an actor goes."""
        if self.actors:
            self._ends(self.actors.pop(other % len(self.actors)))

    def _kill(self, _one: int, other: int, _count: int) -> None:
        """An actor is killed, with what it owns and holds."""
        if self.actors:
            actor = self.actors.pop(other % len(self.actors))
            self._ends(actor, killed=True)
            self._do.kill(actor.handle)

    def _ends(self, actor: Actor, killed: bool = False) -> None:
        self._unsure = True
        seen: set[int] = set()

        def look(node: Node) -> None:
            if id(node) not in seen:
                seen.add(id(node))
                # An answer that has not come yet does not come any more.
                late = killed and node.call == actor.number
                node.lost = node.lost or late or node.owner == str(actor.number)
                for one in (*node.inside, *node.by):
                    look(one)

        for _, node in self.live:
            look(node)
        for other in self.actors:
            for node in other.held:
                look(node)

    def _count(self, _one: int, _other: int, _count: int) -> None:
        """As much lies in the stores as is held, and no more."""
        if not self._unsure:
            expected = sum(1 for node in self._reachable() if node.size)
            found = self._do.stored(expected)
            assert found == expected, f"{found} objects lie in the stores, {expected} are held"

    def _reachable(self) -> list[Node]:
        held = [node for _, node in self.live]
        held += [node for actor in self.actors for node in actor.held]
        seen: dict[int, Node] = {}
        while held:
            node = held.pop()
            if id(node) not in seen:
                seen[id(node)] = node
                held += node.inside
        return list(seen.values())


def _chosen(inside: list[Node], other: int) -> list[Node]:
    return [inside[other % len(inside)]] if inside else []
