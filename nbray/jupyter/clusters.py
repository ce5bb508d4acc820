"""The user's clusters on this machine, and starting, growing, shrinking and ending them.

Owns what the run directory's records say together, and the command lines by
which a cluster's own Python is asked to do something. Does not own records nor
processes (`nbray.engine.load("native")`), nor who asks: the sidebar's requests
(`server.handlers`), the panel's buttons (`panel.actions`).

Rules. A secret reaches a command by its standard input, and leaves this module
by nothing. What goes wrong is a `Refused` with one sentence for the user.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

import msgspec

from nbray.config import run_root
from nbray.engine import load
from nbray.exceptions import RayError

ADDED_CPUS = 1.0
"""CPUs of a node that + adds, unless it is said otherwise."""
STOP_SECONDS = 10.0
COMMAND_SECONDS = 60.0
LOOPBACK = "127.0.0.1"
_STARTED = re.compile(r"A cluster runs at (\S+)\.$", re.MULTILINE)


class Session(Protocol):
    """What is read of a session's record."""

    @property
    def directory(self) -> str: ...
    @property
    def head(self) -> bool: ...
    @property
    def head_address(self) -> str: ...
    @property
    def secret(self) -> str: ...
    @property
    def cluster(self) -> str: ...
    @property
    def executable(self) -> str: ...
    @property
    def python(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def owner_pid(self) -> int: ...
    @property
    def created(self) -> float: ...
    @property
    def dashboard(self) -> Front: ...


class Front(Protocol):
    """What is read of the record of its dashboard's port."""

    @property
    def port(self) -> int: ...
    @property
    def key(self) -> str: ...
    @property
    def why(self) -> str: ...


class Native(Protocol):
    """What is asked of the module `nbray.engines.native`."""

    def records(self) -> Sequence[Session]: ...
    def stop_session(self, record: Session, timeout: float) -> None: ...


class Cluster(msgspec.Struct, frozen=True):
    """One cluster, as far as its records on this machine tell."""

    id: str
    address: str
    """'host:port', for `%nbray attach`."""
    executable: str
    """The Python it runs ('' if its nbray does not say)."""
    python: str
    version: str
    """nbray's."""
    directory: str
    """The session's folder through which it is looked at."""
    head: bool
    """Whether its head runs on this machine."""
    added: int
    """Nodes on this machine beside the head: as many can be taken away again."""
    owner_pid: int
    """The process with which it ends (0: none)."""
    created: float
    """Seconds since the epoch."""


class Refused(Exception):
    """It cannot be done; one sentence for the user."""


def _native() -> Native:
    return cast("Native", load("native"))


def gather(records: Sequence[Session]) -> list[Cluster]:
    """The clusters that *records* belong to, youngest first. Pure."""
    groups: dict[str, list[Session]] = {}
    for record in records:
        groups.setdefault(_key(record), []).append(record)
    found = []
    for key, sessions in groups.items():
        # The head's own record is renewed when its address changes; others keep the first one.
        first = next((record for record in sessions if record.head), sessions[0])
        found.append(
            Cluster(
                id=key,
                address=first.head_address,
                executable=first.executable,
                python=first.python,
                version=first.version,
                directory=first.directory,
                head=first.head,
                added=len(sessions) - first.head,
                owner_pid=first.owner_pid,
                created=first.created,
            )
        )
    return sorted(found, key=lambda cluster: cluster.created, reverse=True)


def _key(record: Session) -> str:
    return record.cluster or record.head_address.replace(":", "-")


def of_session(directory: str) -> Cluster | None:
    """The cluster to which the session in *directory* belongs (None: it has ended)."""
    try:
        found = list(_native().records())
    except (RayError, OSError):
        return None
    keys = {_key(record) for record in found if record.directory == directory}
    return next((cluster for cluster in gather(found) if cluster.id in keys), None)


def look() -> tuple[list[Cluster], str]:
    """The clusters now, and, if there is none, why in one or two sentences."""
    try:
        found = gather(_native().records())
    except (RayError, OSError) as error:
        return [], str(error)
    if found:
        return found, ""
    return [], f"No cluster of yours runs on this machine (nbray looked in {run_root()})."


def _sessions(key: str) -> list[Session]:
    """The records of one cluster, the head's first, then oldest first."""
    try:
        found = [record for record in _native().records() if _key(record) == key]
    except (RayError, OSError) as error:
        raise Refused(str(error)) from None
    if not found:
        raise Refused("this cluster has ended")
    return sorted(found, key=lambda record: (not record.head, record.created))


def first(key: str) -> Session:
    """The record through which cluster *key* is looked at on this machine.

    Raises:
        Refused: it has ended, or never ran here.
    """
    return _sessions(key)[0]


class Hands:
    """Whatever changes clusters; one change at a time for each of them."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}

    def _lock(self, key: str) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())

    async def start(self, python: str, env: Mapping[str, str], cwd: str, cpus: float | None) -> str:
        """Start a cluster that runs *python*; its address.

        It listens on this machine only until the line for joining is asked
        for, and lives until it is stopped.
        """
        argv = ["--head", "--port=0", f"--node-ip-address={LOOPBACK}"]
        if cpus is not None:
            argv.append(f"--num-cpus={cpus:g}")
        async with self._lock(""):
            said = await command(python, argv, env=env, cwd=cwd)
        started = _STARTED.search(said)
        return started[1] if started else ""

    async def add_node(self, key: str, env: Mapping[str, str], cpus: float) -> None:
        """Have another node on this machine join, with *cpus* CPUs and no GPU."""
        async with self._lock(key):
            first = (await asyncio.to_thread(_sessions, key))[0]
            argv = [
                f"--address={first.head_address}",
                f"--num-cpus={cpus:g}",
                "--num-gpus=0",
                "--secret-file=-",
            ]
            if first.head_address.startswith("127."):
                argv.append(f"--node-ip-address={LOOPBACK}")
            await command(_python(first), argv, secret=first.secret, env=env)

    async def remove_node(self, key: str, keep: str = "") -> None:
        """Have the youngest node that was added on this machine leave, not that in folder *keep*.

        At once: its tasks run again on other nodes.
        """
        async with self._lock(key):
            sessions = await asyncio.to_thread(_sessions, key)
            added = [one for one in sessions if not one.head and one.directory != keep]
            if not added:
                raise Refused("only the head is left here: stop the cluster to end it")
            await asyncio.to_thread(_native().stop_session, added[-1], STOP_SECONDS)

    async def stop(self, key: str) -> None:
        """End all of the cluster that runs on this machine; with its head, all of it."""
        async with self._lock(key):
            sessions = await asyncio.to_thread(_sessions, key)
            for session in reversed(sessions):  # those that joined go before the head
                await asyncio.to_thread(_native().stop_session, session, STOP_SECONDS)
        self._locks.pop(key, None)


def _python(session: Session) -> str:
    if not session.executable or not Path(session.executable).exists():
        raise Refused(
            "the Python that this cluster runs is not known or gone: "
            "add nodes in a terminal with the line that nbray join prints"
        )
    return session.executable


async def command(
    python: str, argv: Sequence[str], *, env: Mapping[str, str], cwd: str = "/", secret: str = ""
) -> str:
    """What `nbray start ARGV` printed, run with *python*.

    Raises:
        Refused: it did not work, in the command's own words; or *python* has no nbray.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            # -P: a file in the notebook's folder must not stand in for a module of ours.
            python, "-P", "-m", "nbray.cli", "start", *argv,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, env=dict(env), cwd=cwd, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise Refused(f"{python} cannot be run: {error.strerror or error}") from None
    try:
        async with asyncio.timeout(COMMAND_SECONDS):
            out, err = await process.communicate(secret.encode())
    except TimeoutError:
        raise Refused(
            f"`{python} -m nbray.cli start` said nothing for {COMMAND_SECONDS:.0f} seconds"
        ) from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    said = err.decode(errors="replace")
    if process.returncode == 0:
        return out.decode(errors="replace")
    raise Refused(sentence(python, said))


def sentence(python: str, said: str) -> str:
    """One sentence out of what a failed command of *python* wrote to stderr."""
    if "No module named nbray" in said or "No module named 'nbray'" in said:
        return f"nbray is not installed for {python}: run `{python} -m pip install nbray`"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    return (told or lines or [f"{python} ended without a word"])[-1]
