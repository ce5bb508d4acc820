"""The functions and the actor of programs about ownership: the same in the simulation and for real.

Each takes first who speaks for it (`Voice`): for real one that calls nbray's API, in the simulation
None, which means the process's own.
"""

from __future__ import annotations

import os
from typing import Any

from nbray.refs import ObjectRef

Refs = list[ObjectRef[Any]]


class Box:
    """A number, bytes, and references."""

    def __init__(self, tag: int, size: int, refs: Refs) -> None:
        self.tag = tag
        self.data = bytes([tag % 251]) * size
        self.refs = refs

    def check(self) -> None:
        """Fail if it is not what was put in."""
        assert set(self.data) <= {self.tag % 251}, f"box {self.tag} has other bytes"


class Voice:
    """nbray's API, as tasks use it."""

    def box(self, tag: int, size: int, refs: Refs) -> Any:
        return Box(tag, size, refs)

    def opened(self, value: Any) -> tuple[int, Refs]:
        value.check()
        return value.tag, value.refs

    def put(self, value: Any) -> Any:
        import nbray

        return nbray.put(value)

    def get(self, ref: Any) -> Any:
        import nbray

        return nbray.get(ref)

    def submit(self, name: str, *args: Any) -> Any:
        import nbray

        return nbray.remote(globals()[name]).options(max_retries=0).remote(self, *args)

    def exit(self) -> None:
        os._exit(1)


def _voice(given: Any) -> Any:
    if given is not None:
        return given
    from sim.ownership_voice import SimVoice

    return SimVoice()


def make(given: Any, tag: int, size: int, refs: Refs) -> Any:
    return _voice(given).box(tag, size, refs)


def nest(given: Any, tag: int, size: int, depth: int, refs: Refs) -> Any:
    voice = _voice(given)
    for level in range(depth, 0, -1):
        refs = [voice.put(voice.box(tag * 1000 + level, size, refs))]
    return voice.box(tag, 0, refs)


def top(given: Any, tag: int, *values: Any) -> Any:
    voice = _voice(given)
    return voice.box(tag, 0, [ref for value in values for ref in voice.opened(value)[1]])


def unwrap(given: Any, tag: int, which: int, refs: Refs) -> Any:
    voice = _voice(given)
    inside = voice.opened(voice.get(refs[0]))[1]
    return voice.box(tag, 0, [inside[which % len(inside)]] if inside else [])


def relay(given: Any, tag: int, which: int, refs: Refs) -> Any:
    voice = _voice(given)
    return voice.box(tag, 0, [voice.submit("unwrap", tag, which, refs)])


def crash(given: Any, tag: int, refs: Refs) -> Any:
    assert isinstance(tag, int)
    assert isinstance(refs, list)
    _voice(given).exit()


def yields(given: Any, tag: int, size: int, count: int, refs: Refs) -> Any:
    voice = _voice(given)
    for index in range(count):
        yield voice.box(tag * 1000 + index, size, refs)


class Shelf:
    """An actor that keeps references."""

    def __init__(self, given: Any, refs: Refs) -> None:
        self.given = given
        self.held: Refs = list(refs)

    def hold(self, tag: int, refs: Refs) -> Any:
        self.held += refs
        return _voice(self.given).box(tag, 0, [])

    def give(self, tag: int, clear: int) -> Any:
        held = list(self.held)
        if clear:
            self.held = []
        return _voice(self.given).box(tag, 0, held)

    def own(self, tag: int, size: int, kept: int, refs: Refs) -> Any:
        voice = _voice(self.given)
        ref = voice.put(voice.box(tag * 1000, size, refs))
        if kept:
            self.held.append(ref)
        return voice.box(tag, 0, [ref])
