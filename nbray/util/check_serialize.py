"""What of an object cannot be pickled, as a report: Ray's `ray.util.inspect_serializability`.

Owns the search and what it prints. Does not own the sentence that a failed `put` or call says
(`nbray.wire.pickling_errors`). Rule: it looks at what functions take along and at attributes,
down to a depth, and leaves what it looks at as it is.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from nbray.definitions import trial

_WIDTH = 80


class FailureTuple:
    """Something that cannot be pickled, and where it was found.

    Attributes:
        obj: the thing itself.
        path: the names that lead to it, its own last.
        parent: what holds it; None for what was asked about.
    """

    def __init__(self, obj: Any, path: tuple[str, ...], parent: Any) -> None:
        self.obj = obj
        self.path = path
        self.parent = parent

    @property
    def name(self) -> str:
        """Its own name."""
        return str(self.path[-1]) if self.path else "unknown"

    def __repr__(self) -> str:
        path = " -> ".join(map(str, self.path))
        return f"FailTuple({self.name} [path={path}, obj={self.obj}, parent={self.parent}])"


def inspect_serializability(
    base_obj: Any, name: str | None = None, depth: int = 3, print_file: Any = None
) -> tuple[bool, set[FailureTuple]]:
    """Whether *base_obj* can be pickled, and what of it cannot; prints what it looks at.

    Args:
        name: what it is called in the report.
        depth: how far to look into what it holds.
        print_file: where to print (None: standard output).
    """
    search = _Search(print_file)
    title = f"Checking Serializability of {base_obj}"
    search.frame(title)
    called = name or str(base_obj)
    able = search.look(base_obj, (called,), None, depth)
    if not able:
        search.conclude(called)
    return able, search.found


class _Search:
    def __init__(self, print_file: Any) -> None:
        self.found: set[FailureTuple] = set()
        self._seen: set[int] = set()
        self._file = print_file
        self._level = 0

    def say(self, text: str) -> None:
        print("    " * self._level + text, file=self._file)

    def frame(self, title: str) -> None:
        line = "=" * min(len(title), _WIDTH)
        for text in (line, title, line):
            self.say(text)

    def look(self, value: Any, path: tuple[str, ...], parent: Any, depth: int) -> bool:
        """Whether *value* can be pickled; notes what of it, or that itself it, cannot."""
        if parent is not None:
            self.say(f"Serializing {path[-1]!r} {value}...")
        try:
            trial(value)
        except Exception as error:  # noqa: BLE001 - users' __reduce__ methods raise what they like
            self.say(f"!!! FAIL serialization: {error}")
        else:
            return True
        before = len(self.found)
        if depth > 0 and id(value) not in self._seen:
            self._seen.add(id(value))
            for what, held in _held(value):
                self.say(f"Inspecting {what} of {path[-1]!r}:")
                self._level += 1
                for name, part in held.items():
                    if not self.look(part, (*path, name), value, depth - 1):
                        break
                self._level -= 1
        if len(self.found) == before:
            self.found.add(FailureTuple(value, path, parent))
        return False

    def conclude(self, called: str) -> None:
        """The end of the report: what was found, and what can be done."""
        self.frame(f"Variable{'s' if len(self.found) != 1 else ''} of {called}:")
        for one in self.found:
            self.say(f"    {one}")
        self.say("was found to be non-serializable; there may be more beside it.")
        self.say(
            "Consider making it where it is used, or nbray.util.register_serializer for its class."
        )


def _held(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a function takes along, or the attributes and items of anything else."""
    if inspect.isfunction(value):
        taken = inspect.getclosurevars(value)
        yield "the globals", dict(taken.globals)
        yield "the closure", dict(taken.nonlocals)
        return
    if isinstance(value, dict):
        yield "the items", {str(key): part for key, part in value.items()}
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield "the items", {str(place): part for place, part in enumerate(value)}
    own = {
        name: part
        for name, part in getattr(value, "__dict__", {}).items()
        if not (name.startswith("__") and name.endswith("__"))
    }
    if own:
        yield "the attributes", own
