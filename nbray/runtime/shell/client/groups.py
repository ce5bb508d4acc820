"""Placement groups as a native client's users ask for them: made, found, waited for, ended.

Owns the translation of calls, and their names. Does not own what the client knows of groups
(`core.client.groups`) nor the groups (`core.head.groups`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nbray.details import GroupRecord
from nbray.exceptions import RaySystemError, TaskUnschedulableError
from nbray.ids import HEAD
from nbray.options import UNIT
from nbray.refs import ObjectRef
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.shell.client.calls import Origin
from nbray.runtime.shell.client.loop import Loop
from nbray.runtime.shell.client.memory import Memory
from nbray.where import Condition
from nbray.wire import messages as m
from nbray.wire.pickling import pack

_REST = (1 << 32) - 1


class NativeGroups:
    """Of one client. See `nbray.engine.Groups` for the methods.

    *wait* is the engine's; *origin* and *actor* are its context's; *number* finds a node by its id.
    """

    def __init__(
        self, brain: ClientBrain, loop: Loop, memory: Memory, wait: Callable[..., Any],
        origin: Callable[[], Origin], actor: Callable[[], m.Ref | None],
        number: Callable[[str], int],
    ) -> None:  # fmt: skip
        self._brain = brain
        self._loop = loop
        self._memory = memory
        self._origin = origin
        self._actor = actor
        self._wait = wait
        self._number = number

    def create(
        self, bundles: Sequence[Mapping[str, float]], strategy: str, name: str, detached: bool,
        selectors: Sequence[Sequence[Condition]], target: str,
    ) -> str:  # fmt: skip
        """Make a group (see `Groups.create`)."""
        from nbray import session

        brain = self._brain
        brain.tally(session.cell.get(), self._loop.now())  # so that screens know its cell
        job, _, namespace, _, raises = self._origin()
        group = f"{brain.me:016x}{next(brain.objects.numbers):012x}{job & _REST:08x}"
        spec = m.GroupSpec(
            id=group, name=name, namespace=namespace,
            bundles=[
                {what: round(amount * UNIT) for what, amount in bundle.items() if amount}
                for bundle in bundles
            ],
            strategy=strategy, job=job, actor=self._actor(), detached=detached,
            selectors=[list(one) for one in selectors],
            target=max(0, self._number(target)) if target else 0, cell=session.cell.get(),
        )  # fmt: skip
        if not name:
            self._send(brain.groups.create, m.CreateGroup(brain.me, spec), raises)
            return group
        answer = self._memory.ask(
            lambda token: brain.groups.create(m.CreateGroup(brain.me, spec, token), raises)
        )
        if answer.why:
            raise RaySystemError(f"System error: {answer.why}")
        return group

    def remove(self, group: str) -> None:
        """End a group (see `Groups.remove`)."""
        self._send(self._brain.groups.remove, group)

    def ready(self, group: str, value: Any) -> ObjectRef[Any]:
        """An object that is *value* when the group is placed (see `Groups.ready`)."""
        seq = next(self._brain.objects.numbers)
        self._brain.objects.promise(None, seq, 1)
        data = pack(value, "a placement group").join()
        self._send(self._brain.groups.ready, group, seq, data, self._origin()[4])
        return self._memory.own(seq)

    def wait(self, group: str, timeout: float | None) -> bool | None:
        """Wait for it (see `Groups.wait`)."""
        brain = self._brain
        known = brain.groups.known.get(group)
        if known is None or known.phase not in (m.PLACED, m.REMOVED):
            ref = self.ready(group, None)
            self._wait([ref], 1, timeout, False)
            known = brain.groups.known.get(group)
        if known is not None and known.phase == m.REMOVED:
            return None
        if known is not None and known.raises and known.never and known.phase == m.WAITING:
            raise TaskUnschedulableError(known.lacks)
        return known is not None and known.phase == m.PLACED

    def find(self, group: str = "", name: str = "") -> list[GroupRecord]:
        """What is known of groups (see `Groups.find`)."""
        namespace = self._origin()[2]
        found = self._memory.request(
            HEAD, lambda token: m.FindGroups(self._brain.me, token, group, name, namespace)
        )
        records: list[GroupRecord] = found.groups
        return records

    def _send(self, method: Callable[..., Any], *arguments: Any) -> None:
        self._brain.submitted.append((method, *arguments))
        self._loop.flush()


