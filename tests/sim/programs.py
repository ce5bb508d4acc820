"""What simulated tasks and actors do: ordinary functions that block in virtual time.

Its value is a tuple that tells which program made it from what, so that a scenario
can say beforehand what it must be.
"""

from __future__ import annotations

from typing import Any

from sim.threads import here, sleep, thread
from sim.values import Big, Handle

from nbray.refs import ObjectRef
from nbray.where import Where

METHODS = ("add", "hold", "open_held", "give_held", "make")


def plain(value: Any) -> Any:
    """*value* with what lies in the store taken out; checks that its memory still stands."""
    if isinstance(value, Big):
        value.check()
        here().check_views()
        return plain(value.payload)
    if isinstance(value, list | tuple):
        if len(value) == 5 and value[0] in METHODS:
            value = (value[0], value[3], value[4])  # when it was called does not matter here
        return tuple(plain(one) for one in value)
    return value


def value(tag: int, seconds: float, filler: Any = None) -> Any:
    if filler is not None:
        plain(filler)
    sleep(seconds)
    return ("value", tag)


def combine(tag: int, seconds: float, *deps: Any, **more: Any) -> Any:
    sleep(seconds)
    return ("combine", tag, plain(deps), tuple((key, plain(more[key])) for key in sorted(more)))


def opens(tag: int, refs: list[ObjectRef[Any]]) -> Any:
    values = here().get(refs)
    del refs
    return ("opens", tag, plain(values))


def nested(tag: int, count: int, depth: int, seconds: float) -> Any:
    refs = []
    for index in range(count):
        if depth:
            refs += here().submit("nested", index, count, depth - 1, seconds)
        else:
            refs += here().submit("value", index, seconds)
    sleep(seconds)
    values = here().get(refs)
    return ("nested", tag, plain(values))


def spawn(tag: int, seconds: float, large: bool) -> Any:
    refs = here().submit("value", tag, seconds)
    refs.append(here().put(("put", tag)))
    if large:
        refs.append(here().put(Big(("put", tag), 200_000)))
    return ("spawn", tag, refs)


def pass_on(tag: int, seconds: float, refs: list[ObjectRef[Any]]) -> Any:
    sleep(seconds)
    return ("pass_on", tag, refs)


def relay(tag: int, refs: list[ObjectRef[Any]]) -> Any:
    """Hand references on to a task of its own, and its result's reference back."""
    inner = here().submit("opens", tag, refs)
    return ("relay", tag, inner)


def big(tag: int, seconds: float, size: int) -> Any:
    sleep(seconds)
    return Big(("big", tag), size)


def big_with_refs(tag: int, refs: list[ObjectRef[Any]]) -> Any:
    sleep(0.001)
    return Big(("big_with_refs", tag, refs), 150_000)


def looks(tag: int, seconds: float, *deps: Any) -> Any:
    """View large arguments for a while, and print."""
    here().say(f"looks {tag}\n")
    plain(deps)
    sleep(seconds)
    return ("looks", tag, plain(deps))


def hasty(tag: int, seconds: float, size: int) -> Any:
    """Give the second return before the end."""
    give = here().engine.context.early(1)
    sleep(seconds)
    late = ("hasty", tag, 1)
    give(Big(late, size) if size else late)
    sleep(seconds)
    return ("hasty", tag, 0), None


def multi(tag: int, count: int) -> Any:
    sleep(0.001)
    parts: list[Any] = [("multi", tag, index) for index in range(count)]
    parts[0] = Big(parts[0], 100_000)
    return parts


def yields(
    tag: int, count: int, seconds: float, size: int, broken: bool, holds: bool = True
) -> Any:
    """Yield one after the other; every third is large, if any is, and every fourth holds one."""
    for index in range(count):
        item: Any = ("yields", tag, index)
        if holds and index % 4 == 3:
            item = (*item, [here().put(("put", tag))])
        yield Big(item, size) if size and index % 3 == 0 else item
        if seconds:
            sleep(seconds)
    if broken:
        raise ValueError(tag)


def reads(tag: int, count: int, most: int, seconds: float) -> Any:
    """Read a stream of its own, or leave it at half of it."""
    stream = here().stream("yields", tag, count, seconds, 0, False, most=most)
    found = 0
    for ref in stream:
        assert here().get([ref])[0][:3] == ("yields", tag, found)
        found += 1
        if tag % 2 and found * 2 > count:
            break
    return ("reads", tag, found)


def fails(tag: int, seconds: float) -> Any:
    sleep(seconds)
    raise ValueError(tag)


def flaky(tag: int, times: int) -> Any:
    sleep(0.002)
    if here().engine.context.runtime().attempt < times:
        raise KeyError(tag)
    return ("flaky", tag)


def dies(tag: int, times: int) -> Any:
    sleep(0.002)
    if here().engine.context.runtime().attempt < times:
        thread().exit()
    return ("dies", tag)


def calls(tag: int, handle: Handle, count: int) -> Any:
    refs = []
    for index in range(count):
        refs += here().call(handle, "add", (tag, index))
    values = here().get(refs)
    orders = [one[1:3] for one in values]
    assert orders == sorted(orders), orders
    return ("calls", tag, len(values))


def makes_actor(tag: int) -> Any:
    """Hand back the handle of an actor that this worker owns."""
    handle = here().actor("Counter")
    return ("makes_actor", tag, handle)


def makes_group(tag: int) -> Any:
    """Make a group, work in it if it is placed in time, and end it."""
    groups = here().engine.cluster.groups
    made = groups.create([{"room": 0.1}], "PACK", "", False, [], "")
    if groups.wait(made, 0.5):
        where = Where(group=made, bundle=0)
        refs = here().submit("value", tag, 0.001, options={"num_cpus": 0, "where": where})
        assert here().get(refs)[0] == ("value", tag)
    groups.remove(made)
    return ("makes_group", tag)


def waits(tag: int, refs: list[ObjectRef[Any]], timeout: float) -> Any:
    here().wait(refs, len(refs), timeout)
    return ("waits", tag)


class Counter:
    """An actor that notes in which order it was called."""

    def __init__(self, *deps: Any) -> None:
        worker = here().process.worker
        self.incarnation = worker.actor.incarnation
        self.log: list[Any] = []
        self.held: list[Any] = []
        sleep(0.002)
        self.deps = plain(deps)

    def add(self, tag: Any, seconds: float = 0.0, dep: Any = None) -> Any:
        self.log.append(tag)
        if seconds:
            sleep(seconds)
        return ("add", self.incarnation, len(self.log), tag, plain(dep))

    def hold(self, tag: Any, refs: list[ObjectRef[Any]]) -> Any:
        self.log.append(tag)
        self.held += refs
        sleep(0.0)
        return ("hold", self.incarnation, len(self.log), tag, None)

    def open_held(self, tag: Any) -> Any:
        self.log.append(tag)
        count = len(self.log)
        values = here().get(self.held)
        return ("open_held", self.incarnation, count, tag, plain(values))

    def give_held(self, tag: Any) -> Any:
        self.log.append(tag)
        held, self.held = self.held, []
        sleep(0.0)
        return ("give_held", self.incarnation, len(self.log), tag, held)

    def make(self, tag: Any) -> Any:
        self.log.append(tag)
        count = len(self.log)
        ref = here().put(("made", tag))
        large = here().put(Big(("made", tag), 120_000))
        return ("make", self.incarnation, count, tag, [ref, large])

    def yields(self, tag: int, count: int, seconds: float, size: int, broken: bool) -> Any:
        yield from yields(tag, count, seconds, size, broken, False)  # what it owns ends with it

    def fails(self, tag: Any) -> Any:
        self.log.append(tag)
        sleep(0.001)
        raise ValueError(tag)

    def dies(self, tag: Any) -> Any:
        self.log.append(tag)
        sleep(0.001)
        thread().exit()


class Broken:
    """An actor whose constructor raises."""

    def __init__(self) -> None:
        sleep(0.001)
        raise LookupError("broken")
