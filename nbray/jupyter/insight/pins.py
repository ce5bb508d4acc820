"""What in the notebook holds which objects: variables, `Out[]`, the last traceback.

Owns the search through the namespace, and the letting go of what only IPython's
history holds. Does not own the objects (the engine's) nor the table
(`holdings`). Rule: the search reads containers and looks into nothing that
could run the user's code; what it does not find is said to be unknown.
"""

from __future__ import annotations

import gc
import re
import sys
import traceback
import types
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from nbray.details import HoldingRecord
from nbray.ids import ObjectKey as Key
from nbray.jupyter.remote.background import Background
from nbray.refs import ObjectRef

VARIABLE, HISTORY, TRACEBACK, COPY = "variable", "history", "traceback", "copy"
DEEPEST = 4
MOST = 200_000
"""Values that one search looks at."""
_HISTORY = re.compile(r"_{1,3}|_\d+")
_INPUT = re.compile(r"_i+|_i\d+|_ih|_dh|_oh|In|Out")


class Pin(NamedTuple):
    """One thing in the notebook that holds an object."""

    kind: str
    base: str
    """'refs', 'Out[5]'."""
    place: str
    """'refs[3]'."""


class Search:
    """Finds references, and arrays over the store's memory, below values of the notebook."""

    def __init__(self, holdings: Iterable[HoldingRecord]) -> None:
        self._starts: list[int] = []
        self._spans: list[tuple[int, int, Key]] = []
        for one in holdings:
            if one.address:
                end = one.address + one.object.size
                self._spans.append((one.address, end, one.object.key))
        self._spans.sort()
        self._starts = [span[0] for span in self._spans]
        self._left = MOST

    def below(self, value: Any, place: str) -> Iterator[tuple[Key, str]]:
        """(object, where) of everything that *value*, which is called *place*, holds."""
        yield from self._below(value, place, 0, set())

    def _below(
        self, value: Any, place: str, depth: int, seen: set[int]
    ) -> Iterator[tuple[Key, str]]:
        self._left -= 1
        if self._left < 0 or depth > DEEPEST or id(value) in seen:
            return
        if isinstance(value, ObjectRef):
            yield value.key, place
            return
        if isinstance(value, (str, bytes, int, float, type(None), types.ModuleType)):
            return
        address = _address(value)
        if address:
            key = self._at(address)
            if key is not None:
                yield key, place
            return
        seen.add(id(value))
        for part, name in _parts(value, place):
            yield from self._below(part, name, depth + 1, seen)

    def _at(self, address: int) -> Key | None:
        index = bisect_right(self._starts, address) - 1
        if index < 0:
            return None
        start, end, key = self._spans[index]
        return key if start <= address < end else None


def _address(value: Any) -> int:
    if type(value).__module__ != "numpy" or not hasattr(value, "__array_interface__"):
        return 0
    return int(value.__array_interface__["data"][0])


def _parts(value: Any, place: str) -> Iterator[tuple[Any, str]]:
    if isinstance(value, Mapping):
        if isinstance(value, dict):
            for key, part in list(value.items()):
                yield part, f"{place}[{key!r:.40}]"
    elif isinstance(value, (list, tuple)):
        for index, part in enumerate(list(value)):
            yield part, f"{place}[{index}]"
    elif isinstance(value, (set, frozenset)):
        for part in list(value):
            yield part, f"{place}{{...}}"
    elif isinstance(value, types.FunctionType):
        for cell in value.__closure__ or ():
            try:
                yield cell.cell_contents, f"{place} (closure)"
            except ValueError:  # the cell is empty
                continue
    elif isinstance(value, Background) or type(value).__module__ == "__main__":
        for name, part in list(getattr(value, "__dict__", {}).items()):
            yield part, f"{place}.{name}"


def pins(
    user_ns: Mapping[str, Any], holdings: Sequence[HoldingRecord],
    copies: Mapping[str, ObjectRef[Any]] | None = None,
) -> dict[Key, list[Pin]]:  # fmt: skip
    """Who in the notebook holds each object; *copies* are what `%%remote` has put, by variable."""
    search = Search(holdings)
    found: dict[Key, list[Pin]] = {}

    def note(kind: str, value: Any, base: str) -> None:
        for key, place in search.below(value, base):
            found.setdefault(key, []).append(Pin(kind, base, place))

    for name, value in list(user_ns.items()):
        if _INPUT.fullmatch(name) or name.startswith("__"):
            continue
        if not _HISTORY.fullmatch(name):
            note(VARIABLE, value, name)
    for number, value in list(user_ns.get("_oh", {}).items()):
        note(HISTORY, value, f"Out[{number}]")
    for name in ("_", "__", "___"):
        note(HISTORY, user_ns.get(name), name)
    for name, value in _trace_values():
        note(TRACEBACK, value, f"the last traceback ({name})")
    for name, ref in (copies or {}).items():
        note(COPY, ref, f"%%remote's copy of {name}")
    return found


def _trace_values() -> Iterator[tuple[str, Any]]:
    for frame, _ in traceback.walk_tb(getattr(sys, "last_traceback", None)):
        if frame.f_code.co_name == "<module>":
            continue  # the notebook's own variables
        for name, value in list(frame.f_locals.items()):
            yield f"{name} in {frame.f_code.co_name}", value


def forget_history(shell: Any, holdings: Sequence[HoldingRecord]) -> int:
    """Let go of what `Out[]` and the last traceback hold of objects; how many entries went."""
    search = Search(holdings)
    names, out = shell.user_ns, shell.user_ns.get("_oh", {})
    gone = [number for number, value in list(out.items()) if any(search.below(value, ""))]
    values = [out.pop(number) for number in gone]
    held = {id(value) for value in values}
    hook = shell.displayhook
    for name in [name for name in names if _HISTORY.fullmatch(name)]:
        value = names[name]
        if id(value) not in held and not (not name.strip("_") and any(search.below(value, ""))):
            continue
        if name.strip("_"):
            del names[name]
        elif getattr(hook, name, value) is value:  # the user has given it no other meaning
            names[name] = ""
            setattr(hook, name, "")
    hidden = getattr(shell, "user_ns_hidden", {})  # IPython keeps them there a second time
    for name in [name for name in hidden if _HISTORY.fullmatch(name)]:
        if any(search.below(hidden[name], "")) and hidden[name] is not names.get(name):
            hidden[name] = ""
    last = getattr(shell, "last_execution_result", None)
    if last is not None and any(search.below(last.result, "")):
        last.result = None
    if any(any(search.below(value, "")) for _, value in _trace_values()):
        for name in ("last_traceback", "last_value", "last_type", "last_exc"):
            if hasattr(sys, name):
                delattr(sys, name)
        for part in (shell, getattr(shell, "InteractiveTB", None)):
            for name in ("_last_traceback", "tb"):
                if getattr(part, name, None) is not None:
                    setattr(part, name, None)
        gone.append(-1)
    del values
    gc.collect()
    return len(gone)
