"""Every message between processes: frozen structs, one tagged union per receiver.

Owns the vocabulary of the wire. Does not own encoding (`codec`) or meaning
(the brains). Rule: a message says all it means by its fields; identities are
the integers of `nbray.ids`; resources are in ten-thousandths.

Three unions, by who receives: `ToClient` (drivers and workers), `ToNode`,
`ToHead`. The hot ones (`Tasks`, `Calls`, `Results`) are batches in columns.
"""

from __future__ import annotations

from typing import dataclass_transform

import msgspec

from nbray.events import Figures, NodeView

Ref = tuple[int, int]
"""(owner's client id, number at the owner): one object."""
Shape = dict[str, int]
"""Resources by name, in ten-thousandths."""


# -- parts of messages ---------------------------------------------------------


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Part(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of what only travels inside messages."""


class Slot(Part):
    """Bytes in a node's object store. Two slots of equal generation are the same."""

    node: int
    segment: int
    offset: int
    size: int
    generation: int


class Value(Part):
    """A packed value or error: its bytes, or the slots that hold them."""

    data: bytes = b""
    slots: list[Slot] = []
    refs: list[Ref] = []
    """References inside the value: whoever holds the value holds these."""
    failed: bool = False
    """`data` is a packed error."""


class Spec(Part):
    """What many tasks have in common; a client numbers its own, and sends each once a worker."""

    id: int
    function: bytes
    """Content hash (16 bytes); b'' for actor methods."""
    name: str
    num_returns: int
    retry_on: bytes
    """b'': never; b'*': any exception; else the packed tuple of classes."""
    cell: str
    job: int
    """Client id of the driver at the root of the work; its output goes there."""
    depth: int
    """0 for work that a driver submitted, one more a level."""
    resources: Shape
    namespace: str = ""
    """Where the job looks names of actors up."""


class Extra(Part):
    """What a task has beyond its plain arguments (most have none)."""

    args: Value | None = None
    """Replaces the plain arguments: they are in the store or hold references."""
    args_ref: Ref | None = None
    """The object that stored arguments are: whoever views them borrows it."""
    deps: list[tuple[int | str, Value, Ref]] = []
    """Values of top-level reference arguments, by position or keyword."""
    attempt: int = 0


class Outcome(Part):
    """The end of one task, when it is not just one small value."""

    seq: int
    values: list[Value]
    """One a return; a single failed one for an error."""
    failed: bool = False
    retry: bool = False
    """The error is one that the task's `retry_exceptions` names."""
    cancelled: bool = False


class Death(Part):
    """How a process ended."""

    client: int
    cause: str
    """One sentence: what ended it, where, how much memory it held."""
    intended: bool = False
    out_of_memory: bool = False


class NodeInfo(Part):
    """A node as the others must know it."""

    number: int
    name: str
    ip: str
    port: int
    total: Shape
    available: Shape
    is_head: bool = False
    alive: bool = True
    pid: int = 0
    started: float = 0.0


class ActorSpec(Part):
    """All that is needed to start an actor, again if need be."""

    owner: int
    actor: int
    name: str
    namespace: str
    class_name: str
    function: bytes
    """Content hash of the class."""
    blob: bytes
    """The pickled class."""
    args: Value
    args_ref: Ref
    deps: list[tuple[int | str, Value, Ref]]
    resources: Shape
    """Held for life."""
    placement: Shape
    """Needed at the moment of placing (a CPU by default, as in Ray)."""
    max_restarts: int
    max_concurrency: int
    detached: bool
    get_if_exists: bool
    info: bytes
    """The packed `nbray.engine.ActorInfo`, for `get_actor`."""
    cell: str
    job: int
    node: int = 0
    """Only on this node (0: anywhere)."""


class Versions(Part):
    """Compared when two machines meet."""

    protocol: int
    python: str
    """'3.11.7'; major and minor must agree."""
    nbray: str


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Message(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=True):
    """Base of all messages. `sender` is always a client id."""

    sender: int


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


class Bounced(Message):
    """A worker gives unstarted tasks back: it is blocked or slower than thought."""

    seqs: list[int]


class Cancel(Message):
    """Cancel these tasks of the sender's if they are unstarted or running here."""

    seqs: list[int]


class Printed(Message):
    """Text printed by a task; goes to the driver of its job."""

    cell: str
    pid: int
    task: str
    stream: str
    text: str


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
    """The worker's task waits in `get`: its CPUs are free meanwhile."""


class Unblocked(Message):
    """The worker's task goes on."""


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
    """The process is to end (idle worker, or the cluster stops)."""

    why: str


class OpenPort(Message):
    """Accept machines beyond loopback; answered with `PortOpen`."""

    token: int
    ip: str = ""


class PortOpen(Message):
    """Where other machines can join, or why they cannot."""

    token: int
    address: str
    why: str = ""


# -- the store ------------------------------------------------------------------------


class Allocate(Message):
    """Give the client a slot for an object of `owner`'s."""

    token: int
    size: int
    owner: int


class Allocated(Message):
    """The slot, or why there is none."""

    token: int
    slot: Slot | None
    why: str = ""


class Free(Message):
    """These slots are no longer referred to. Sent by the owner to the slots' node."""

    slots: list[Slot]


class Fetch(Message):
    """Bring an object from one of these slots on other nodes into this node's store."""

    token: int
    owner: int
    seq: int
    slots: list[Slot]


class Fetched(Message):
    """The local slot, or why there is none."""

    token: int
    slot: Slot | None
    why: str = ""


class WhatHeld(Message):
    """An owner died: which of its slots does the client still view?"""

    owner: int
    slots: list[Slot]


class Held(Message):
    """Of a dead owner's slots the client still views these (the rest may be reused)."""

    owner: int
    slots: list[Slot]


class Pull(Message):
    """Node to node: send these bytes of your slot."""

    token: int
    slot: Slot
    start: int
    size: int


class Chunk(Message):
    """Node to node: the bytes asked for (in the frame after this one), or why not."""

    token: int
    start: int
    why: str = ""


# -- membership: node and head -----------------------------------------------------------


class Join(Message):
    """A node asks to be a member. `sender` is 0 for a node without a number."""

    ticket: int
    """Random; names the asking node until it has a number."""
    info: NodeInfo
    versions: Versions


class Welcome(Message):
    """The node is a member under this number."""

    ticket: int
    number: int
    cluster: int
    nodes: list[NodeInfo]


class Refused(Message):
    """The node may not join, and why."""

    ticket: int
    why: str


class Leave(Message):
    """The node leaves in order."""

    why: str


class Load(Message):
    """A node's free resources and figures."""

    available: Shape
    figures: Figures


class Members(Message):
    """The cluster as the head knows it; on every change of membership or free resources."""

    nodes: list[NodeInfo]


class Watch(Message):
    """The client wants `Picture` of the cluster, until it dies or says `on=False`."""

    on: bool = True


class Picture(Message):
    """The cluster for screens, at most four times a second."""

    nodes: list[NodeView]
    actors: int


# -- actors ---------------------------------------------------------------------------------


class CreateActor(Message):
    """Register and start an actor; answered by `ActorCreated`, then `ActorState`s."""

    spec: ActorSpec


class ActorCreated(Message):
    """Answer to `CreateActor`: registered, the existing one, or refused."""

    actor: int
    """The number the creator gave."""
    existing: ActorSpec | None = None
    """The live actor of this name (`get_if_exists`)."""
    why: str = ""
    """The name is taken."""


class FindActor(Message):
    """Look a named actor up; answered by `ActorFound`."""

    token: int
    name: str
    namespace: str


class ActorFound(Message):
    """The named actor's packed info, or b''."""

    token: int
    owner: int = 0
    actor: int = 0
    info: bytes = b""


class ListActors(Message):
    """All named actors; answered by `ActorList`."""

    token: int
    namespace: str
    everywhere: bool


class ActorList(Message):
    """(namespace, name) pairs."""

    token: int
    names: list[tuple[str, str]]


class WatchActor(Message):
    """Tell the sender this actor's state now and whenever it changes."""

    owner: int
    actor: int


PENDING, ALIVE, RESTARTING, DEAD = range(4)
"""States of an actor, as `ActorState.state`."""


class ActorState(Message):
    """An actor's state. ALIVE carries the worker; DEAD and RESTARTING the cause."""

    owner: int
    actor: int
    state: int
    incarnation: int
    worker: int = 0
    cause: str = ""
    error: bytes = b""
    """Packed error raised by `__init__`, if that is the cause."""


class EndActor(Message):
    """End an actor: at once (`kill`), or because its last handle went (`restart=False`)."""

    owner: int
    actor: int
    no_restart: bool
    why: str


class StartActor(Message):
    """Head to node: start this incarnation."""

    spec: ActorSpec
    incarnation: int


class BecomeActor(Message):
    """Node to worker: you are this actor now."""

    spec: ActorSpec
    incarnation: int
    gpus: list[int] = []


class ActorUp(Message):
    """Worker to node, node to head: `__init__` returned (or raised: `error`)."""

    owner: int
    actor: int
    incarnation: int
    worker: int
    error: bytes = b""


class ActorDown(Message):
    """Node to head: the incarnation's process ended, or the node could not start it."""

    owner: int
    actor: int
    incarnation: int
    cause: str
    restartable: bool = True


class StopActor(Message):
    """Head to node: end this incarnation's process."""

    owner: int
    actor: int
    incarnation: int
    why: str


ToClient = (
    Tasks | Calls | Results | Bounced | Cancel | Printed
    | Borrow | Borrowed | Release | Locate | Located | Unpinned | Moved
    | Registered | Granted | Reclaim | Infeasible | Waiting | Died | NodeLost | Exit | PortOpen
    | Allocated | Fetched | WhatHeld | Members | Picture
    | ActorCreated | ActorFound | ActorList | ActorState | BecomeActor | Refused
)  # fmt: skip
ToNode = (
    Register | Demand | Holding | Granted | Returned | Blocked | Unblocked | KillWorker | Goodbye
    | OpenPort | Allocate | Free | Fetch | Held | Pull | Chunk | Worked
    | Welcome | Refused | Members | StartActor | ActorUp | StopActor | Died | NodeLost | Exit
    | Infeasible
)  # fmt: skip
ToHead = (
    Join | Leave | Load | Watch | Died | NodeLost | Goodbye | Register
    | CreateActor | FindActor | ListActors | WatchActor | EndActor | ActorUp | ActorDown
)  # fmt: skip
