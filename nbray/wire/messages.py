"""Every message between processes: frozen structs, one tagged union per receiver.

Owns the vocabulary of the wire. Does not own encoding (`codec`) or meaning
(the brains). Rule: a message says all it means by its fields; identities are
the integers of `nbray.ids`; resources are in ten-thousandths.

Three unions, by who receives: `ToClient` (drivers and workers), `ToNode`,
`ToHead`. The hot ones (`Tasks`, `Calls`, `Results`) are batches in columns.
"""

from __future__ import annotations

from typing import Any

from nbray.wire.cluster import (
    ALIVE,
    DEAD,
    PENDING,
    RESTARTING,
    ActorCreated,
    ActorDown,
    ActorFound,
    ActorList,
    ActorState,
    ActorUp,
    ActorWaits,
    Allocate,
    Allocated,
    BecomeActor,
    Chunk,
    CreateActor,
    Describe,
    Described,
    Drain,
    EndActor,
    Fetch,
    Fetched,
    FindActor,
    Free,
    Held,
    Join,
    Leave,
    ListActors,
    Load,
    Members,
    Picture,
    Pull,
    Refused,
    Remember,
    StartActor,
    StopActor,
    Watch,
    WatchActor,
    Welcome,
    WhatHeld,
)
from nbray.wire.parts import (
    ActorSpec,
    Death,
    Extra,
    Message,
    NodeInfo,
    Outcome,
    Ref,
    Shape,
    Slot,
    Spec,
    Value,
    Versions,
    Why,
)

__all__ = [
    "ALIVE",
    "DEAD",
    "PENDING",
    "RESTARTING",
    "ActorCreated",
    "ActorDown",
    "ActorFound",
    "ActorList",
    "ActorSpec",
    "ActorState",
    "ActorUp",
    "ActorWaits",
    "Allocate",
    "Allocated",
    "BecomeActor",
    "Blocked",
    "Borrow",
    "Borrowed",
    "Bounced",
    "Calls",
    "Cancel",
    "CancelOwned",
    "Chunk",
    "CreateActor",
    "Death",
    "Demand",
    "Describe",
    "Described",
    "Died",
    "Displayed",
    "Drain",
    "Early",
    "EndActor",
    "Exit",
    "Extra",
    "Fetch",
    "Fetched",
    "FindActor",
    "Free",
    "Goodbye",
    "Granted",
    "Held",
    "Holding",
    "Infeasible",
    "Join",
    "KillWorker",
    "Leave",
    "Lend",
    "Lent",
    "ListActors",
    "Load",
    "Locate",
    "Located",
    "Members",
    "Message",
    "Moved",
    "NodeInfo",
    "NodeLost",
    "OpenPort",
    "Outcome",
    "Outlive",
    "Outlives",
    "Picture",
    "PortOpen",
    "Printed",
    "Pull",
    "Reclaim",
    "Ref",
    "Refused",
    "Register",
    "Registered",
    "Release",
    "Remember",
    "Results",
    "Resume",
    "Returned",
    "Shape",
    "Shown",
    "Slot",
    "Spec",
    "StartActor",
    "Stays",
    "StopActor",
    "Tasks",
    "ToClient",
    "ToHead",
    "ToNode",
    "Unblocked",
    "Unclaimed",
    "Undefine",
    "Unpinned",
    "Value",
    "Versions",
    "Waiting",
    "Watch",
    "WatchActor",
    "Welcome",
    "WhatHeld",
    "Why",
    "Worked",
]  # fmt: skip


# -- work: client to worker and back --------------------------------------------


class Tasks(Message):
    """Run these, in order. Columns: `seqs[i]` with `args[i]`; `extras` by index."""

    spec: int
    lease: int
    seqs: list[int]
    args: list[bytes]
    extras: dict[int, Extra] = {}
    specs: list[Spec] = []
    """Specs this worker has not seen from this client."""
    functions: dict[bytes, bytes] = {}
    """Pickled functions by hash that this worker has not seen from this client."""
    gpus: list[int] = []
    patience: int = 10_000
    """Microseconds a task may run before the worker gives back what is queued behind it."""


class Calls(Message):
    """Actor calls in the caller's order; `order` is the number of the first at this incarnation."""

    actor: int
    incarnation: int
    order: int
    calls: list[int]
    """Spec id of each call; `Spec.name` is the method."""
    seqs: list[int]
    args: list[bytes]
    extras: dict[int, Extra] = {}
    specs: list[Spec] = []


class Results(Message):
    """Tasks or calls ended. Columns for the common case of one small value each."""

    seqs: list[int]
    values: list[bytes]
    outcomes: list[Outcome] = []
    spec: int = 0
    """The spec that `count` and `micros` measure (0: none)."""
    count: int = 0
    micros: int = 0
    """Time the user's code took, summed."""
    longest: int = 0
    cpu: int = 0
    """CPU time that the worker's process took since its last answer."""
    held: int = 0
    """Time for which it waited for a CPU meanwhile."""
    moved: int = 0
    """Time for which it waited for data from other nodes; not in `micros`."""


class Counted(Message):
    """What tasks of a cell have launched in turn, for its driver: counts since the first."""

    cell: str
    submitted: int
    done: dict[int, int]
    """By node, as all of these (0: it never ran)."""
    failed: dict[int, int]
    cancelled: dict[int, int]
    running: dict[int, int]
    cpu: int
    """Microseconds of CPU of those who ran them."""


class Early(Message):
    """A return of a task that still runs, other than the first."""

    seq: int
    value: Value


class Bounced(Message):
    """A worker gives unstarted tasks back: it is blocked or slower than thought."""

    seqs: list[int]
    unknown: bytes = b""
    """Hash of the function it does not have (any more): send it again."""


class Undefine(Message):
    """These functions are not defined any more: let go of them, and of what they took along."""

    functions: list[bytes]


class Cancel(Message):
    """Cancel these tasks of the sender's if they are unstarted or running here."""

    seqs: list[int]
    force: bool = False
    recursive: bool = False
    """And what they have submitted."""


class CancelOwned(Message):
    """Cancel the tasks that make these objects of the receiver's."""

    seqs: list[int]
    force: bool
    recursive: bool


class Printed(Message):
    """Text printed by a task; goes to the driver of its job."""

    cell: str
    pid: int
    task: str
    stream: str
    text: str


class Displayed(Message):
    """Something rich that a task showed; goes to the driver of its job, in order with its text."""

    cell: str
    pid: int
    task: str
    data: dict[str, Any]
    """By MIME type."""
    metadata: dict[str, Any]
    display_id: str = ""
    update: bool = False
    size: int = 0
    """What it counts as, in characters of text."""


class Shown(Message):
    """So many characters that the receiver's tasks printed have been shown: it may print on."""

    size: int


# -- objects: between clients -----------------------------------------------------


class Borrow(Message):
    """The sender holds references to these objects of the receiver's."""

    seqs: list[int]
    token: int = 0
    """Not 0: answer with `Borrowed`."""


class Borrowed(Message):
    """The owner has noted the borrow *token*."""

    token: int


class Release(Message):
    """The sender no longer holds these objects of the receiver's."""

    seqs: list[int]


class Locate(Message):
    """Tell the sender these objects of yours, each when it is ready."""

    seqs: list[int]


class Located(Message):
    """Objects of the sender's, ready or failed."""

    values: list[tuple[int, Value]]


class Unpinned(Message):
    """The receiver need no longer hold what these tasks' (or results') values refer to.

    Sent by a worker when every owner has acknowledged its borrows of references
    that the caller itself had only borrowed.
    """

    seqs: list[int]


class Moved(Message):
    """An object of the receiver's has a copy in a further slot."""

    seq: int
    slot: Slot


class Unclaimed(Message):
    """A worker died that had taken these slots for results of the receiver's tasks.

    Those of which the receiver knows nothing were never announced: it frees them."""

    slots: list[Slot]


# -- client and its node -------------------------------------------------------------


class Register(Message):
    """A driver or worker presents itself to its node; the first message it sends."""

    pid: int
    driver: bool
    versions: Versions
    namespace: str = ""


class Registered(Message):
    """The node knows the client; the cluster as it is now."""

    cluster: int
    ip: str
    node_pid: int
    address: str
    """host:port of the cluster's head."""
    nodes: list[NodeInfo]


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


class Holding(Message):
    """Node to node: the client of yours holds this many leases of the shape here."""

    client: int
    shape: int
    count: int


class Infeasible(Message):
    """No node can ever satisfy the shape; why in one sentence."""

    shape: int
    why: str


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


ToClient = (
    Tasks | Calls | Results | Counted | Early | Bounced | Undefine | Cancel | CancelOwned
    | Printed | Displayed
    | Shown | Borrow | Borrowed | Release | Locate | Located | Unpinned | Moved
    | Registered | Granted | Reclaim | Infeasible | Waiting | Died | NodeLost | Exit | PortOpen
    | Outlives | Allocated | Fetched | WhatHeld | Unclaimed | Members | Picture
    | ActorCreated | ActorFound | ActorList | ActorState | ActorWaits | BecomeActor
    | Refused | Describe | Described | Lend | Resume
)  # fmt: skip
ToNode = (
    Register | Demand | Holding | Granted | Returned | Blocked | Unblocked | KillWorker | Goodbye
    | OpenPort | Outlive | Allocate | Free | Fetch | Held | Pull | Chunk | Worked
    | Welcome | Refused | Members | StartActor | ActorUp | StopActor | Died | NodeLost | Exit
    | Infeasible | Stays | Describe | Drain | Lent | Remember
)  # fmt: skip
ToHead = (
    Join | Leave | Load | Watch | Died | NodeLost | Goodbye | Register
    | CreateActor | FindActor | ListActors | WatchActor | EndActor | ActorUp | ActorDown
    | Describe
)  # fmt: skip
