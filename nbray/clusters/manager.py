"""The user's clusters: listed, started, grown, shrunk and ended by their ids.

Owns which record a wish is about. Does not own how nodes come and go (the
`launcher`), nor who asks: the sidebar's requests (`nbray.jupyter.server`), the
panel's buttons (`nbray.jupyter.panel.actions`). Rule: the head is never taken away
as one node among others, and ends last.
"""

from __future__ import annotations

from collections.abc import Mapping

from nbray.clusters.cluster import Cluster, cluster_id, gather
from nbray.clusters.launcher import Interpreter, Launcher, Refused
from nbray.clusters.local import LOOPBACK, Local
from nbray.clusters.record import Record
from nbray.config import NodeRequest, run_root
from nbray.exceptions import RayError

ADDED_CPUS = 1.0
"""CPUs of a node that + adds, unless it is said otherwise."""


class ClusterManager:
    """All clusters of this user that *launcher* knows."""

    def __init__(self, launcher: Launcher | None = None) -> None:
        self._launcher = launcher or Local()

    def look(self) -> tuple[list[Cluster], str]:
        """The clusters now, and, if there is none, why in one or two sentences."""
        try:
            found = gather(self._launcher.records())
        except (RayError, OSError) as error:
            return [], str(error)
        if found:
            return found, ""
        return [], f"No cluster of yours runs on this machine (nbray looked in {run_root()})."

    def of_session(self, directory: str) -> Cluster | None:
        """The cluster to which the session in *directory* belongs (None: it has ended)."""
        try:
            found = list(self._launcher.records())
        except (RayError, OSError):
            return None
        ids = {cluster_id(record) for record in found if record.directory == directory}
        return next((cluster for cluster in gather(found) if cluster.id in ids), None)

    def first(self, key: str) -> Record:
        """The record through which cluster *key* is looked at on this machine.

        Raises:
            Refused: it has ended, or never ran here.
        """
        return self._records(key)[0]

    def start(self, by: Interpreter, cpus: float | None) -> Record:
        """Start a cluster that runs *by*.

        It listens on this machine only until the line for joining is asked
        for, and lives until it is stopped.
        """
        request = NodeRequest(head=True, port=0, node_ip=LOOPBACK, num_cpus=cpus)
        return self._launcher.start(request, by)

    def add_node(self, key: str, env: Mapping[str, str], cpus: float) -> None:
        """Have another node join cluster *key* where its first one runs, with *cpus* CPUs."""
        self._launcher.add(self.first(key), cpus, env)

    def remove_node(self, key: str, keep: str = "") -> None:
        """Have the youngest node that was added leave, not that in folder *keep*.

        At once: its tasks run again on other nodes.
        """
        added = [one for one in self._records(key) if not one.head and one.directory != keep]
        if not added:
            raise Refused("only the head is left here: stop the cluster to end it")
        self._launcher.remove(added[-1])

    def stop(self, key: str) -> None:
        """End all of the cluster that runs on this machine; with its head, all of it."""
        self._launcher.stop(reversed(self._records(key)))

    def _records(self, key: str) -> list[Record]:
        """The records of one cluster, the head's first, then oldest first."""
        try:
            found = [one for one in self._launcher.records() if cluster_id(one) == key]
        except (RayError, OSError) as error:
            raise Refused(str(error)) from None
        if not found:
            raise Refused("this cluster has ended")
        return sorted(found, key=lambda record: (not record.head, record.created))
