"""What is known of a node that was started: one record a session.

Owns the words only; the run directory's records (`nbray.runtime.shell.launch.rundir`)
have them, and those of another launcher will. Rule: a record with a secret
stays in this process.
"""

from __future__ import annotations

from typing import Protocol

from nbray.config import Owner


class DashboardPort(Protocol):
    """Where a cluster's dashboard is, from the cluster's start on."""

    @property
    def port(self) -> int:
        """On 127.0.0.1 of the head's machine (0: there is none)."""
        ...

    @property
    def key(self) -> str:
        """What its link carries."""
        ...

    @property
    def why(self) -> str:
        """Why there is none, where one was wanted."""
        ...


class Record(Protocol):
    """One session: a node of a cluster, and all its processes on that machine."""

    @property
    def directory(self) -> str:
        """The session's folder, which names it."""
        ...

    @property
    def node(self) -> int:
        """The node's number in its cluster."""
        ...

    @property
    def head(self) -> bool:
        """Whether the cluster's head runs here."""
        ...

    @property
    def address(self) -> str:
        """'ip:port' of this node's port."""
        ...

    @property
    def head_address(self) -> str:
        """'ip:port' of the cluster."""
        ...

    @property
    def secret(self) -> str:
        """The cluster's."""
        ...

    @property
    def cluster(self) -> str:
        """16 hexadecimal digits, the same on every node ('' from an older nbray)."""
        ...

    @property
    def executable(self) -> str:
        """The Python that runs it ('' if its nbray does not say)."""
        ...

    @property
    def python(self) -> str:
        """'3.11.7'."""
        ...

    @property
    def version(self) -> str:
        """nbray's."""
        ...

    @property
    def owner(self) -> Owner:
        """With whom it ends."""
        ...

    @property
    def owner_pid(self) -> int:
        """The process with which it ends (0: none)."""
        ...

    @property
    def created(self) -> float:
        """Seconds since the epoch."""
        ...

    @property
    def dashboard(self) -> DashboardPort:
        """The port of its cluster's dashboard, if the head runs here."""
        ...
