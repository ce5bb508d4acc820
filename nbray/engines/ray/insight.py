"""What screens show of a Ray cluster, as far as Ray tells.

Rule: what is not known is left out, never invented; nothing here is asked of Ray's state API, which
is late and cuts its lists without a word.
"""

from __future__ import annotations

import contextlib

from nbray.details import Details, HoldingRecord
from nbray.engines.ray import private
from nbray.engines.ray.cells import RayCells
from nbray.engines.ray.cluster import RayCluster
from nbray.events import Figures, NodeView, Snapshot


class RayInsight:
    """See `nbray.engine.Insight` for the methods."""

    def __init__(self, cluster: RayCluster, cells: RayCells) -> None:
        self._cluster = cluster
        self._cells = cells

    def snapshot(self) -> Snapshot:
        views: tuple[NodeView, ...] = ()
        desk = self._cells.desk
        figures: dict[str, Figures] = {}
        if desk is not None:
            desk.watched()
            figures = desk.figures()
        free = private.available_by_node()
        with contextlib.suppress(Exception):  # the cluster may have ended: the rest is still true
            views = tuple(
                NodeView(
                    number=node["NodeNumber"], node_id=node["NodeID"],
                    name=node["NodeManagerHostname"], address=node["NodeManagerAddress"],
                    is_head=node["NodeNumber"] == 1, alive=node["Alive"],
                    resources={
                        name: amount for name, amount in node["Resources"].items()
                        if not name.startswith("node:")
                    },
                    available=free.get(node["NodeID"], {}),
                    figures=figures.get(node["NodeID"], Figures()),
                )
                for node in self._cluster.recent()
            )  # fmt: skip
        return Snapshot(
            nodes=views, cells=self._cells.views(), engine="ray",
            address=self._cluster.address,
        )

    def details(self, wanted: int) -> Details:
        return Details()

    def complete(self, wanted: int, timeout: float) -> Details:
        return self.details(wanted)

    def holdings(self) -> list[HoldingRecord]:
        return []
