"""A client and its node: presenting itself, leases of workers, CPUs lent, ends.

Owns these messages, and those by which nodes pass them on. Does not own the store's, nor those
about members of the cluster and actors' lives (`cluster`).
"""

from nbray.where import Where
from nbray.wire.parts import Death, Message, NodeInfo, Shape, Versions


class Register(Message):
    """A driver or worker presents itself to its node; the first message it sends."""

    pid: int
    driver: bool
    versions: Versions
    namespace: str = ""
    program: str = ""
    """The command line of a driver; '' for one that is there only to look."""


class Registered(Message):
    """The node knows the client; the cluster as it is now."""

    cluster: int
    ip: str
    node_pid: int
    address: str
    """host:port of the cluster's head."""
    nodes: list[NodeInfo]
    pins: int = 0
    """As in `UsePins`, where that was sent to the others before; 0: it was not."""


class Demand(Message):
    """The client wants `count` workers in all for work of this shape (0: no more).

    Sent again whenever the figure changes; the last one counts. `node` not 0:
    only there. `origin` is the client when a node asks another for it.
    """

    shape: int
    """The client's number for the shape."""
    resources: Shape
    count: int
    depth: int = 0
    node: int = 0
    origin: int = 0
    env: bytes = b""
    """The key of the environment that the workers must have (b"": none of their own)."""
    where: Where | None = None
    """What else is said of the node; between nodes it has been decided."""
    once: bool = False
    """What runs there must not run twice (`max_retries=0`)."""
    near: dict[int, int] = {}
    """Node -> how many tasks have most of their arguments there."""


class Granted(Message):
    """The client may push tasks of the shape to this worker."""

    shape: int
    lease: int
    """Unique in the cluster."""
    worker: int
    gpus: list[int] = []


class Reclaim(Message):
    """The client is to push no more to this lease and return it when its tasks end."""

    lease: int


class Returned(Message):
    """The client gives a lease back; nothing of its own runs there any more."""

    lease: int
    worker: int
    spent: bool = False
    """It has run as many tasks of a function as `max_calls` allows: it is to end."""


class Holding(Message):
    """Node to node: the client of yours holds this many leases of the shape here."""

    client: int
    shape: int
    count: int


class Infeasible(Message):
    """No node can satisfy the shape now; why in one sentence."""

    shape: int
    why: str
    never: bool = False
    """Nor can one that may join: it asks for a node that is gone."""


class Waiting(Message):
    """Why work of the shape waits, in one sentence ('' when it no longer does)."""

    shape: int
    why: str


class Blocked(Message):
    """The worker's task waits in `get`: its CPUs may be lent (see `Lend`)."""


class Lend(Message):
    """Somebody lacks CPUs: may those of the receiver, whose task waits, be lent?"""


class Lent(Message):
    """They may: the worker's task goes on only when it is told to, by `Resume`."""


class Unblocked(Message):
    """The worker's task goes on, at once or, if it lent its CPUs and *waits*, after `Resume`."""

    waits: bool = False


class Resume(Message):
    """The receiver lends nothing any more: its CPUs are its own again."""


class Worked(Message):
    """What a worker has done since its start, for the node's figures; a few times a second."""

    finished: int
    failed: int
    running: int


class KillWorker(Message):
    """End this worker at once (cancel with force)."""

    worker: int
    why: str


class Died(Message):
    """These processes are dead. Sent by nodes to their clients and to the head."""

    deaths: list[Death]


class NodeLost(Message):
    """A whole node is gone, with every process on it."""

    node: int
    why: str


class Goodbye(Message):
    """The client ends in order."""


class Exit(Message):
    """The process is to end: always, or only a worker that is of no more use to anybody."""

    why: str
    if_idle: bool = False
    """A worker that works, or owns objects, answers with `Stays` instead."""
    gently: bool = False
    """To an actor: after the calls that it has, and what it has to do at its end."""


class Stays(Message):
    """The worker was asked to end if it is idle, and is not, or owns objects that others use."""


class OpenPort(Message):
    """Accept machines beyond loopback; answered with `PortOpen`."""

    token: int
    ip: str = ""


class Outlive(Message):
    """The sender's work outlives the process that started the cluster, or does so no longer.

    Answered with `Outlives`."""

    token: int
    on: bool


class Outlives(Message):
    """The cluster does."""

    token: int
    handed_over: bool
    """It would have ended with the process that started it."""


class PortOpen(Message):
    """Where other machines can join, or why they cannot."""

    token: int
    address: str
    why: str = ""
