"""What the screens know: the snapshot that they ask for, and the output that comes to them.

Screens pull a `Snapshot` at most ten times a second (`nbray.engine.Insight`) and
never see a message per task; `Output` and `Display` are pushed. Nothing here knows
where the figures come from, so every engine can feed the same screens, and tests
can write them by hand.
"""

from typing import Any

import msgspec

HISTORY = 60
"""How many of a node's past CPU readings (one a second) a snapshot keeps."""


class Figures(msgspec.Struct, frozen=True):
    """What one node says of itself, about once a second."""

    cpu_percent: float = 0.0
    memory_used: int = 0
    memory_total: int = 0
    workers: int = 0
    """Live worker processes."""
    running: int = 0
    """Tasks and actor calls executing now."""
    queued: int = 0
    """Tasks that wait on this node for resources."""
    finished: int = 0
    failed: int = 0
    store_used: int = 0
    store_total: int = 0
    uptime: float = 0.0
    """Seconds since the node started."""
    moving: int = 0
    """Bytes of objects that are on their way to this node."""
    moving_from: int = 0
    """Number of the node that sends most of them (0: none)."""
    trouble: str = ""
    """What hinders the machine though work goes on: a full disk, no descriptors left ('': nothing);
    a sentence."""
    disk_used: int = 0
    """Bytes of objects that lie on its disk."""


class NodeView(msgspec.Struct, frozen=True):
    """One node of the cluster, as the panel shows it."""

    number: int
    node_id: str
    name: str
    """Host name."""
    address: str
    """IP address."""
    is_head: bool = False
    alive: bool = True
    resources: dict[str, float] = {}
    """Everything the node has, by Ray's names: CPU, GPU, memory, ..."""
    available: dict[str, float] = {}
    figures: Figures = Figures()
    history: tuple[float, ...] = ()
    """Past CPU percentages, oldest first, at most `HISTORY`."""
    leaving: bool = False
    """It takes nothing new, and leaves when what runs there has ended."""


class NodeCounts(msgspec.Struct, frozen=True):
    """What one node did for one cell."""

    number: int
    name: str
    done: int = 0
    running: int = 0
    failed: int = 0
    cancelled: int = 0
    """Cancelled while they were there."""
    work: float = 0.0
    """Seconds that tasks took there, summed."""


class CellView(msgspec.Struct, frozen=True):
    """The work of one cell (or script: cell '') as counted by its driver."""

    cell: str
    submitted: int = 0
    nodes: tuple[NodeCounts, ...] = ()
    started: float = 0.0
    """Monotonic seconds of the first submission."""
    updated: float = 0.0
    """Monotonic seconds of these counts; of the last end once all has ended."""
    waiting: tuple[str, ...] = ()
    """Why work waits, one sentence each: '3 waiting: need 1 GPU; lab has 0 of 2 GPUs free'."""
    cancelled: int = 0
    """Cancelled tasks, wherever they were."""
    lost: int = 0
    """Failed without having run anywhere: no node can, or an argument failed."""
    measured: int = 0
    """Tasks whose time is in `work`."""
    cpu: float = 0.0
    """Seconds of CPU that workers took for it."""
    longest: float = 0.0
    """Seconds of the longest task."""
    longest_node: str = ""
    longest_end: float = 0.0
    """Monotonic seconds of that task's end."""
    workers: int = 0
    """Processes that ran tasks of it."""
    items: int = 0
    """Of the ended tasks: those that travelled many at a time, as items of a map."""
    nested: int = 0
    """Of the tasks: those that tasks of it submitted."""
    began: float = 0.0
    """Monotonic seconds at which the first task that was measured began to run (0: none yet)."""

    held: float = 0.0
    """Seconds for which its workers waited for a CPU that others had."""
    moved: float = 0.0
    """Seconds for which they waited for data from other nodes; not in `work`."""
    cpus: float = 0.0
    """CPUs of the nodes that ran it (0: unknown)."""
    oldest: float = 0.0
    """Seconds for which the longest running of its tasks has run."""
    yielded: int = 0
    """Values that its generators have yielded so far."""
    remade: int = 0
    """Of the tasks: those that ran again because what they had made was lost with a node."""
    rows: tuple[NodeCounts, ...] = ()
    """The same by what ran, not where: a function, an actor (number 0). Only of work that others'
    libraries submit, of which there is more than one kind."""

    @property
    def done(self) -> int:
        """Tasks that succeeded."""
        return sum(node.done for node in self.nodes)

    @property
    def failed(self) -> int:
        """Tasks that failed, cancelled ones included."""
        return sum(node.failed for node in self.nodes) + self.lost + self.cancelled

    @property
    def work(self) -> float:
        """Seconds that tasks took, summed."""
        return sum(node.work for node in self.nodes)

    @property
    def running(self) -> int:
        """Tasks executing or pushed to a worker."""
        return sum(node.running for node in self.nodes)

    @property
    def queued(self) -> int:
        """Tasks not yet given to any worker."""
        return max(0, self.submitted - self.done - self.failed - self.running)

    @property
    def finished(self) -> bool:
        """Whether nothing of the cell is left to do."""
        return self.submitted == self.done + self.failed


class Snapshot(msgspec.Struct, frozen=True):
    """Everything a screen may show at one moment."""

    nodes: tuple[NodeView, ...] = ()
    cells: dict[str, CellView] = {}
    engine: str = ""
    """What to call the engine that runs it ('': nbray's own cluster, which need not be said)."""
    address: str = ""
    """Where other machines join: host:port ('' where they cannot)."""
    actors: int = 0
    groups: int = 0
    """Placement groups that have not ended."""
    awaited: tuple[str, ...] = ()
    """What this process waits for that no task makes, a sentence each."""


class Output(msgspec.Struct, frozen=True, tag=True):
    """Text that a task or actor printed, for the cell that launched it."""

    cell: str
    node: int
    node_name: str
    pid: int
    task: str
    """Name of the function or method."""
    stream: str
    """'stdout' or 'stderr'."""
    text: str


class Display(msgspec.Struct, frozen=True, tag=True):
    """Something rich that a task showed (`display(...)`, a figure), for its cell."""

    cell: str
    node: int
    node_name: str
    pid: int
    task: str
    data: dict[str, Any]
    """By MIME type, as Jupyter sends it: pictures in base64; always has text/plain."""
    metadata: dict[str, Any] = {}
    display_id: str = ""
    update: bool = False
    """Replaces what was shown under this `display_id`."""
