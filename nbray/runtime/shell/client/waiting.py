"""Threads of a client that wait for objects: a `get`, a `wait`.

Owns the waiting, and what a wait that was in vain says. Does not own who drives the
sockets meanwhile (`loop`), the reading of what has come (`memory`), or the CPUs of a
task that waits (`pausing`).
"""

from __future__ import annotations

from nbray import session
from nbray.exceptions import GetTimeoutError, cluster_ended
from nbray.runtime.core.client.brain import ClientBrain
from nbray.runtime.core.client.objects.objects import Entry
from nbray.runtime.core.client.waiters import Gathering, Group
from nbray.runtime.core.effects import ClientEffect
from nbray.runtime.shell.client.flag import Flag
from nbray.runtime.shell.client.loop import Loop

ALIKE_SECONDS = 0.025
"""A `get` of several raises when no other failure has followed for so long,"""
ALIKE_MOST = 0.5
"""or when so long has passed since the first."""


class Waiting:
    """The waits of one client."""

    def __init__(self, loop: Loop, brain: ClientBrain) -> None:
        self._loop = loop
        self._brain = brain

    def wait_for(
        self, pending: list[Entry], missing: int, timeout: float | None
    ) -> tuple[bool, int]:
        """Wait until *missing* of the pending entries are ready: (whether so, how many are left).

        Raises:
            RaySystemError: the cluster has ended.
        """
        event = Flag()
        group = Group(missing, self._loop.notify(event))
        reached = self._wait(pending, group, event, timeout)
        return reached, group.missing

    def gather(
        self, pending: list[Entry], timeout: float | None
    ) -> tuple[bool, tuple[int, Entry | None]]:
        """Wait until all of *pending* are ready, or one has failed.

        Failures that follow each other closely are waited for, for a moment: the error
        says how many are alike.

        Returns:
            Whether it has come to that; how many are not ready, and the first that failed.

        Raises:
            RaySystemError: the cluster has ended.
        """
        event = Flag()
        group = Gathering(len(pending), self._loop.notify(event))
        self._wait(pending, group, event, timeout)
        return group.done, (group.missing, group.failed)

    def _more_alike(self, group: Gathering, event: Flag, until: float | None) -> None:
        """Wait as long as failures follow each other."""
        last = self._loop.now() + ALIKE_MOST
        if until is not None:
            last = min(last, until)
        seen = 0

        def more() -> bool:
            return group.missing <= 0 or group.failures > seen or bool(self._brain.ended)

        while group.missing > 0 and not self._brain.ended:
            seen = group.failures
            event.clear()
            soon = min(last, self._loop.now() + ALIKE_SECONDS)
            if not self._loop.wait(more, soon, event):
                return

    def _wait(
        self, pending: list[Entry], group: Group, event: Flag, timeout: float | None
    ) -> bool:
        """Have *group* told of *pending* until it is done; whether it is."""
        brain, loop = self._brain, self._loop
        run = session.run.get()
        if run is not None and run.stopped:
            run = session.check_run()
        objects = brain.objects
        wanted = group.missing

        def register() -> list[ClientEffect]:
            for entry in pending:
                if entry.state:
                    group.settle(entry)
                else:
                    entry.put_waiter(group)
            return objects.ask(pending) + brain.pump(self._loop.now())

        def done() -> bool:
            return group.done or bool(brain.ended) or (run is not None and run.stopped)

        deadline = None if timeout is None else self._loop.now() + timeout
        reached = False
        try:
            reached = loop.wait(done, deadline, event, register)
            if isinstance(group, Gathering) and group.failed is not None:
                self._more_alike(group, event, deadline)
        finally:
            if group.missing > 0 or wanted < len(pending):
                loop.locked(lambda: _unregister(pending, group))
        if not group.done and brain.ended:
            raise cluster_ended(brain.ended)
        if run is not None and run.stopped:  # whoever waits in its threads
            raise run.error()
        return reached

    def timed_out(self, timeout: float, left: int, total: int) -> GetTimeoutError:
        """The error of a `get` that ran out of time; it says why work waits, if that is known."""
        causes = self._brain.reasons(self._loop.now())
        found = [*self._brain.awaited(False), *(one for cell in causes.values() for one in cell)]
        why = list(dict.fromkeys(found))[:3]
        return GetTimeoutError(
            f"get() ran out of time after {timeout:g} s (Get timed out): {left} of {total} "
            f"object{'s' if total != 1 else ''} not ready" + "".join(f"; {one}" for one in why)
        )


def _unregister(pending: list[Entry], group: Group) -> None:
    for entry in pending:
        if not entry.state:
            entry.remove_waiter(group)
