"""What every page is told: which clusters there are, and how each looks now.

Owns the pages that listen, the process that looks at each cluster, and the
last word of it. Does not own what is said (`nbray.clusters`, `observer`). Rules: it
looks while somebody listens and stops when nobody does; a page gets a message
only when something has changed, and all that is known when it comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Awaitable, Callable

import msgspec

from nbray.clusters.cluster import Cluster
from nbray.clusters.launcher import Refused
from nbray.clusters.start_command import sentence
from nbray.jupyter.server import observer

log = logging.getLogger(__name__)

REFRESH = 0.5
"""Seconds between looks into the run directory."""
RETRY = 5.0
"""Seconds after which a cluster that could not be looked at is tried again."""
JOIN_SECONDS = 10.0
END_SECONDS = 5.0
"""How long an observer's process may take to end after its input has."""
_LINE = 16 << 20
"""Bytes of one line of an observer."""


class Listed(msgspec.Struct, frozen=True):
    """A cluster as pages know it: no secret, nothing that leads to one."""

    id: str
    address: str
    executable: str
    python: str
    version: str
    head: bool
    added: int
    created: float
    origin: str
    """Who started it: 'train.ipynb', 'fit.py (pid 17)'; '' when it belongs to no process."""


class Clusters(msgspec.Struct, frozen=True, tag="clusters", tag_field="kind"):
    """All clusters; why there are none."""

    clusters: list[Listed]
    note: str


class Look(msgspec.Struct, frozen=True, tag="view", tag_field="kind"):
    """One cluster's panel and figures; `error` says why they are missing."""

    id: str
    html: str = ""
    nodes: int = 0
    busy: float = 0.0
    cpus: float = 0.0
    error: str = ""


Told = Clusters | Look
Origin = Callable[[int], Awaitable[str]]


class ClusterWatch:
    """The clusters and their looks, for as many pages as listen."""

    def __init__(
        self,
        origin: Origin,
        look: Callable[[], tuple[list[Cluster], str]],
    ) -> None:
        self._origin = origin
        self._look = look
        self._origins: dict[str, str] = {}
        """Who started each cluster: it may outlive him, and is still called by him."""
        self._listeners: set[Callable[[str], None]] = set()
        self._told: dict[str, str] = {}
        """What each page has been told last, by what it was about."""
        self._observers: dict[str, Observer] = {}
        self._task: asyncio.Task[None] | None = None
        self._again = asyncio.Event()

    async def listed(self) -> Clusters:
        """The clusters now, without looking at them."""
        found, note = await asyncio.to_thread(self._look)
        return Clusters([await self._list(cluster) for cluster in found], note)

    def join(self, listener: Callable[[str], None]) -> None:
        """*listener* gets all that is known, then every change, as JSON."""
        if listener in self._listeners:
            return
        self._listeners.add(listener)
        for text in self._told.values():
            listener(text)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    def leave(self, listener: Callable[[str], None]) -> None:
        """*listener* gets nothing any more."""
        self._listeners.discard(listener)
        self._again.set()

    def hurry(self) -> None:
        """Something was changed: look at once."""
        self._again.set()

    async def join_line(self, key: str) -> str:
        """The line by which other machines join cluster *key*; it holds the secret.

        Raises:
            Refused: there is none, or nobody looks at this cluster.
        """
        seen = self._observers.get(key)
        if seen is None:
            raise Refused("this cluster is not looked at: open the sidebar and try again")
        return await seen.join_line()

    async def _list(self, cluster: Cluster) -> Listed:
        if cluster.owner_pid:
            self._origins[cluster.id] = await self._origin(cluster.owner_pid)
        return self._row(cluster, self._origins.get(cluster.id, ""))

    def _row(self, cluster: Cluster, origin: str) -> Listed:
        return Listed(
            id=cluster.id, address=cluster.address, executable=cluster.executable,
            python=cluster.python, version=cluster.version, head=cluster.head,
            added=cluster.added, created=cluster.created, origin=origin,
        )  # fmt: skip

    async def _run(self) -> None:
        try:
            while self._listeners:
                self._again.clear()
                found, note = await asyncio.to_thread(self._look)
                there = {cluster.id for cluster in found}
                self._origins = {key: who for key, who in self._origins.items() if key in there}
                try:
                    listed = [await self._list(cluster) for cluster in found]
                except Exception:  # of the server's own parts; the list matters more
                    log.exception("nbray cannot tell who started a cluster")
                    listed = [self._row(cluster, "") for cluster in found]
                self._follow(found)
                self._tell("", Clusters(listed, note))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._again.wait(), REFRESH)
        finally:
            self._follow([])
            self._told.clear()

    def _follow(self, found: list[Cluster]) -> None:
        """One observer for each cluster of *found*, none for others."""
        wanted = {cluster.id: cluster for cluster in found}
        for key in set(self._observers) - set(wanted):
            self._observers.pop(key).end()
            self._told.pop(key, None)
        for key, cluster in wanted.items():
            if key not in self._observers:
                self._observers[key] = Observer(cluster, self._see)

    def _see(self, look: Look) -> None:
        if look.id in self._observers:
            self._tell(look.id, look)

    def _tell(self, about: str, what: Told) -> None:
        text = msgspec.json.encode(what).decode()
        if self._told.get(about) == text:
            return
        self._told[about] = text
        for listener in tuple(self._listeners):
            listener(text)


class Observer:
    """The process that looks at one cluster, started again when it fails."""

    def __init__(self, cluster: Cluster, see: Callable[[Look], None]) -> None:
        self._cluster = cluster
        self._see = see
        self._joins: list[asyncio.Future[str]] = []
        self._process: asyncio.subprocess.Process | None = None
        self._task = asyncio.get_running_loop().create_task(self._run())

    def end(self) -> None:
        """Stop looking; the process ends by itself when its input does."""
        self._task.cancel()

    async def join_line(self) -> str:
        """See `ClusterWatch.join_line`."""
        process = self._process
        if process is None or process.stdin is None:
            raise Refused("the cluster cannot be looked at just now: try again")
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._joins.append(answer)
        process.stdin.write(b"join\n")
        try:
            return await asyncio.wait_for(answer, JOIN_SECONDS)
        except TimeoutError:
            raise Refused("the cluster does not answer") from None

    async def _run(self) -> None:
        while True:
            why = await self._watch()
            self._see(Look(self._cluster.id, error=why))
            await asyncio.sleep(RETRY)

    async def _watch(self) -> str:
        """Relay until the process ends; why it did."""
        python = self._cluster.executable or sys.executable
        try:
            process = await asyncio.create_subprocess_exec(
                python, "-P", "-m", observer.__name__, self._cluster.directory,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE, limit=_LINE, cwd="/", start_new_session=True,
                env=dict(os.environ),
            )  # fmt: skip
        except OSError as error:
            return f"{python} cannot be run: {error.strerror or error}"
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        try:
            async for line in process.stdout:
                try:
                    self._take(msgspec.json.decode(line, type=observer.Said))
                except msgspec.DecodeError:
                    return (
                        f"it runs nbray {self._cluster.version}, which this nbray cannot read: "
                        "install the same version in both environments"
                    )
            said = (await process.stderr.read()).decode(errors="replace")
            await process.wait()
            return sentence(python, said) if said.strip() else "this cluster has ended"
        finally:
            self._process = None
            process.stdin.close()
            for answer in self._joins:
                answer.cancel()
            self._joins.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), END_SECONDS)
            if process.returncode is None:
                process.kill()
                await process.wait()

    def _take(self, said: observer.Said) -> None:
        if isinstance(said, observer.View):
            self._see(Look(self._cluster.id, said.html, said.nodes, said.busy, said.cpus))
            return
        for answer in self._joins:
            if answer.done():
                continue
            if said.line:
                answer.set_result(said.line)
            else:
                answer.set_exception(Refused(said.why))
        self._joins.clear()
