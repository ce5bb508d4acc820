"""What a simulated program's references must turn out to be.

Owns which value or which errors. Does not own the checking (`checking`).
"""

from __future__ import annotations

from typing import Any

import msgspec

MISSING = object()
CRASHED = frozenset(
    {"WorkerCrashedError", "OwnerDiedError", "ActorDiedError", "ActorUnavailableError"}
)
"""What may be raised instead of a value when a process was ended on purpose."""
FAULTS = CRASHED | {"NodeDiedError", "ObjectLostError", "TaskUnschedulableError"}
"""And when a machine was."""


class Expect(msgspec.Struct):
    """What a reference must turn out to be."""

    value: Any = MISSING
    errors: set[str] = msgspec.field(default_factory=set)
    deps: list[Expect] = []
    """What its value or its errors come from."""
    inner: list[Expect] | None = None
    """References at the end of its value."""
    call: bool = False
    """An actor's answer: (method, incarnation, number, tag, more)."""
    attempts: set[str] = msgspec.field(default_factory=set)
    """Errors that earlier attempts raise, and that a cancelled task may end with."""
    actor: bool = False
    """An actor; the dependencies are its constructor's."""

    def allowed(self) -> set[str]:
        """Names of the errors it may raise, faults aside."""
        names = set(self.errors)
        for dep in self.deps:
            names |= dep.allowed()
        if self.actor and names:
            names.add("ActorDiedError")  # its constructor's argument failed
        return names

    def may_be_cancelled(self) -> None:
        """Its cell is stopped: it, or what it has launched and would name in its value, may end."""
        self.errors |= {"TaskCancelledError", *self.attempts}
        for one in self.inner or ():
            one.may_be_cancelled()

    def calls_actors(self) -> bool:
        """Whether it comes from an actor: an actor that waits for it may wait for itself."""
        return self.actor or self.call or any(dep.calls_actors() for dep in self.deps)

    def must_fail(self) -> bool:
        """Whether it cannot have a value."""
        return self.value is MISSING or any(dep.must_fail() for dep in self.deps)


Live = tuple[Any, Expect]


class _Any:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "ANY"


ANY = _Any()
