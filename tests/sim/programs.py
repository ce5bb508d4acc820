"""What simulated tasks and actors do. Each takes its worker's process first.

A program is a generator: it yields `Sleep`, `Until` or `Exit`, and calls the
API with `yield from`. Its value is a tuple that tells which program made it
from what, so that a scenario can say beforehand what it must be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.api import Big, Exit, Flow, Handle, Sleep

from nbray.refs import ObjectRef

if TYPE_CHECKING:
    from sim.clients import WorkerProcess


METHODS = ("add", "hold", "open_held", "give_held", "make")


def plain(value: Any) -> Any:
    """*value* with what lies in the store taken out; checks that its memory still stands."""
    if isinstance(value, Big):
        if value.view is not None:
            value.view.check()
        return plain(value.payload)
    if isinstance(value, list | tuple):
        if len(value) == 5 and value[0] in METHODS:
            value = (value[0], value[3], value[4])  # when it was called does not matter here
        return tuple(plain(one) for one in value)
    return value


def value(me: WorkerProcess, tag: int, seconds: float) -> Flow:
    yield Sleep(seconds)
    return ("value", tag)


def combine(me: WorkerProcess, tag: int, seconds: float, *deps: Any, **more: Any) -> Flow:
    yield Sleep(seconds)
    return ("combine", tag, plain(deps), tuple((key, plain(more[key])) for key in sorted(more)))


def opens(me: WorkerProcess, tag: int, refs: list[ObjectRef[Any]]) -> Flow:
    values = yield from me.api.get(refs)
    del refs
    return ("opens", tag, plain(values))


def nested(me: WorkerProcess, tag: int, count: int, depth: int, seconds: float) -> Flow:
    refs = []
    for index in range(count):
        if depth:
            refs += yield from me.api.submit("nested", index, count, depth - 1, seconds)
        else:
            refs += yield from me.api.submit("value", index, seconds)
    yield Sleep(seconds)
    values = yield from me.api.get(refs)
    return ("nested", tag, plain(values))


def spawn(me: WorkerProcess, tag: int, seconds: float, large: bool) -> Flow:
    refs = yield from me.api.submit("value", tag, seconds)
    refs.append((yield from me.api.put(("put", tag))))
    if large:
        refs.append((yield from me.api.put(Big(("put", tag), 200_000))))
    return ("spawn", tag, refs)


def pass_on(me: WorkerProcess, tag: int, seconds: float, refs: list[ObjectRef[Any]]) -> Flow:
    yield Sleep(seconds)
    return ("pass_on", tag, refs)


def relay(me: WorkerProcess, tag: int, refs: list[ObjectRef[Any]]) -> Flow:
    """Hand references on to a task of its own, and its result's reference back."""
    inner = yield from me.api.submit("opens", tag, refs)
    return ("relay", tag, inner)


def big(me: WorkerProcess, tag: int, seconds: float, size: int) -> Flow:
    yield Sleep(seconds)
    return Big(("big", tag), size)


def big_with_refs(me: WorkerProcess, tag: int, refs: list[ObjectRef[Any]]) -> Flow:
    yield Sleep(0.001)
    return Big(("big_with_refs", tag, refs), 150_000)


def looks(me: WorkerProcess, tag: int, seconds: float, *deps: Any) -> Flow:
    """View large arguments for a while."""
    plain(deps)
    yield Sleep(seconds)
    return ("looks", tag, plain(deps))


def multi(me: WorkerProcess, tag: int, count: int) -> Flow:
    yield Sleep(0.001)
    parts: list[Any] = [("multi", tag, index) for index in range(count)]
    parts[0] = Big(parts[0], 100_000)
    return parts


def fails(me: WorkerProcess, tag: int, seconds: float) -> Flow:
    yield Sleep(seconds)
    raise ValueError(tag)


def flaky(me: WorkerProcess, tag: int, times: int) -> Flow:
    yield Sleep(0.002)
    assert me.item is not None
    attempt = me.item.extra.attempt if me.item.extra is not None else 0
    if attempt < times:
        raise KeyError(tag)
    return ("flaky", tag)


def dies(me: WorkerProcess, tag: int, times: int) -> Flow:
    yield Sleep(0.002)
    assert me.item is not None
    attempt = me.item.extra.attempt if me.item.extra is not None else 0
    if attempt < times:
        yield Exit()
    return ("dies", tag)


def calls(me: WorkerProcess, tag: int, handle: Handle, count: int) -> Flow:
    refs = []
    for index in range(count):
        refs += yield from me.api.call(handle, "add", (tag, index))
    values = yield from me.api.get(refs)
    orders = [one[1:3] for one in values]
    assert orders == sorted(orders), orders
    return ("calls", tag, len(values))


def makes_actor(me: WorkerProcess, tag: int) -> Flow:
    """Hand back the handle of an actor that this worker owns."""
    handle = yield from me.api.actor("Counter")
    return ("makes_actor", tag, handle)


def waits(me: WorkerProcess, tag: int, refs: list[ObjectRef[Any]], timeout: float) -> Flow:
    yield from me.api.wait(refs, len(refs), timeout)
    return ("waits", tag)


class Counter:
    """An actor that notes in which order it was called."""

    def __init__(self, incarnation: int) -> None:
        self.incarnation = incarnation
        self.log: list[Any] = []
        self.held: list[Any] = []

    def init(self, me: WorkerProcess, *deps: Any) -> Flow:
        yield Sleep(0.002)
        self.deps = plain(deps)

    def add(self, me: WorkerProcess, tag: Any, seconds: float = 0.0, dep: Any = None) -> Flow:
        self.log.append(tag)
        if seconds:
            yield Sleep(seconds)
        return ("add", self.incarnation, len(self.log), tag, plain(dep))

    def hold(self, me: WorkerProcess, tag: Any, refs: list[ObjectRef[Any]]) -> Flow:
        self.log.append(tag)
        self.held += refs
        yield Sleep(0.0)
        return ("hold", self.incarnation, len(self.log), tag, None)

    def open_held(self, me: WorkerProcess, tag: Any) -> Flow:
        self.log.append(tag)
        count = len(self.log)
        values = yield from me.api.get(self.held)
        return ("open_held", self.incarnation, count, tag, plain(values))

    def give_held(self, me: WorkerProcess, tag: Any) -> Flow:
        self.log.append(tag)
        held, self.held = self.held, []
        yield Sleep(0.0)
        return ("give_held", self.incarnation, len(self.log), tag, held)

    def make(self, me: WorkerProcess, tag: Any) -> Flow:
        self.log.append(tag)
        count = len(self.log)
        ref = yield from me.api.put(("made", tag))
        large = yield from me.api.put(Big(("made", tag), 120_000))
        return ("make", self.incarnation, count, tag, [ref, large])

    def fails(self, me: WorkerProcess, tag: Any) -> Flow:
        self.log.append(tag)
        yield Sleep(0.001)
        raise ValueError(tag)

    def dies(self, me: WorkerProcess, tag: Any) -> Flow:
        self.log.append(tag)
        yield Sleep(0.001)
        yield Exit()


class Broken:
    """An actor whose constructor raises."""

    def __init__(self, incarnation: int) -> None:
        pass

    def init(self, me: WorkerProcess) -> Flow:
        yield Sleep(0.001)
        raise LookupError("broken")
