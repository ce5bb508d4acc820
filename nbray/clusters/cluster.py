"""One cluster, as far as the records on this machine tell.

Owns what several records say together. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from nbray.clusters.record import Record


class Cluster(msgspec.Struct, frozen=True):
    """One cluster; nothing of it is secret."""

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


def cluster_id(record: Record) -> str:
    """What the cluster of *record* is called: its number, or for an older nbray its address."""
    return record.cluster or record.head_address.replace(":", "-")


def gather(records: Iterable[Record]) -> list[Cluster]:
    """The clusters that *records* belong to, youngest first."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(cluster_id(record), []).append(record)
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
