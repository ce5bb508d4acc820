"""What people call nodes, processes and cells on the detailed screens.

Owns the words; numbers come from `Snapshot` and `Details`. Rule: a name that is
not known is still said, by its number.
"""

from __future__ import annotations

import msgspec

from nbray.details import Details
from nbray.events import Snapshot
from nbray.ids import OWN_CELL, node_of


def worker(node: str, pid: int) -> str:
    """'laptop · pid 1234', the one spelling of a process; its node if its number is not known."""
    return f"{node} · pid {pid}" if pid else node


def theirs(details: Details) -> Details:
    """*details* without what nbray itself asks of the cluster, which nobody has made."""
    return msgspec.structs.replace(
        details,
        tasks=tuple(one for one in details.tasks if one.cell != OWN_CELL),
        actors=tuple(one for one in details.actors if one.cell != OWN_CELL),
        cells=tuple(one for one in details.cells if one.view.cell != OWN_CELL),
    )


def cell_key(job: int, cell: str) -> str:
    """What names a cell of a job in a query."""
    return f"{job:x}:{cell}"


class Names:
    """The names in one snapshot."""

    def __init__(self, snapshot: Snapshot, details: Details) -> None:
        counts: dict[str, int] = {}
        for node in snapshot.nodes:
            counts[node.name] = counts.get(node.name, 0) + 1
        self._nodes = {
            node.number: node.name
            if counts[node.name] == 1 and node.name
            else f"{node.name or node.address} · {node.number}"
            for node in snapshot.nodes
        }
        self._pids = {one.client: one.pid for one in (*details.gone, *details.processes)}
        self._cells = {
            (one.driver, one.view.cell): one.label for one in details.cells if one.label
        }

    def node(self, number: int) -> str:
        """A node's host name, told apart from others of the same host by its number."""
        return self._nodes.get(number) or f"node {number}"

    def pid(self, client: int) -> int:
        """A process's number on its machine; 0 if it is gone."""
        return self._pids.get(client, 0)

    def process(self, client: int) -> str:
        """'laptop · pid 1234'; '' for none."""
        return worker(self.node(node_of(client)), self.pid(client)) if client else ""

    def cell(self, job: int, cell: str) -> str:
        """'[3] sizes = segment(photos)', or 'script · pid 1234' where there is no notebook."""
        known = self._cells.get((job, cell))
        if known:
            return known
        if cell:
            return cell if len(cell) <= 12 else f"cell {cell[:8]}"
        pid = self.pid(job)
        return f"script · pid {pid}" if pid else "script"
