"""Messages about the cluster itself: the store, membership, actors' lives.

Part of the vocabulary of `messages`, which gathers and re-exports everything.
"""

from nbray.details import (
    ActorRecord,
    CellRecord,
    EnvironmentRecord,
    GroupRecord,
    ObjectRecord,
    ProcessRecord,
    TaskRecord,
    TextRecord,
)
from nbray.events import Figures, NodeView
from nbray.wire.parts import (
    ActorSpec,
    GroupSpec,
    Message,
    NodeInfo,
    Ref,
    Shape,
    Slot,
    Versions,
    Why,
)

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
    kind: Why = Why.OTHER


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
    kind: Why = Why.OTHER


class WhatHeld(Message):
    """An owner died: which of its slots does the client still view?"""

    owner: int
    slots: list[Slot]


class Held(Message):
    """Of a dead owner's slots the client still views these (the rest may be reused)."""

    owner: int
    slots: list[Slot]


class Pull(Message):
    """Node to node: send these bytes of your slot, or of your copy of what is in that slot."""

    token: int
    slot: Slot
    start: int
    size: int
    key: Ref = (0, 0)
    """The object's name."""
    insists: bool = False
    """It was sent to another node in vain."""


class Chunk(Message):
    """Node to node: the bytes asked for (in the frames after this one), or why not."""

    token: int
    start: int
    why: str = ""
    at: int = 0
    """They are to be asked of this node, which has them or gets them before."""


# -- membership: node and head -----------------------------------------------------------


class Join(Message):
    """A node asks to be a member. `sender` is 0 for a node without a number."""

    ticket: int
    """Random; names the asking node until it has a number."""
    info: NodeInfo
    versions: Versions
    was: int = 0
    """The number it had before it lost the cluster: that node is no more."""


class Welcome(Message):
    """The node is a member under this number."""

    ticket: int
    number: int
    cluster: int
    nodes: list[NodeInfo]


class Refused(Message):
    """The node may not join, or the client not register, and why."""

    ticket: int
    why: str
    full: bool = False
    """There is no room for it; nothing is wrong with itself."""


class Leave(Message):
    """The node leaves in order."""

    why: str
    asked: bool = False
    """Somebody wanted it to: nothing went wrong."""
    gently: bool = False
    """After what ran there had ended (see `Drain`)."""


class Drain(Message):
    """The node is to take nothing new, and to leave when what runs there has ended."""


class Load(Message):
    """A node's free resources and figures."""

    available: Shape
    figures: Figures
    leaving: bool = False
    """It takes nothing new (see `Drain`)."""
    bundles: Shape = {}
    """The resources that placement groups have there, in total."""


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
    groups: int = 0
    """Placement groups that have not ended."""


# -- what the detailed screens ask ----------------------------------------------------------


class Describe(Message):
    """Tell the sender what you are doing. A node passes it on to its clients."""

    wanted: int
    """Bits of `nbray.details`."""
    limit: int
    """Most unfinished tasks, and most objects, of one process."""
    tasks_seen: dict[int, int] = {}
    """How many ended tasks of each worker the sender has been told of."""
    texts_seen: dict[int, int] = {}
    """How many printed pieces of each driver it has."""
    lost_seen: dict[int, int] = {}
    """How many of each client's tasks that ended outside a worker."""
    round: int = 0
    """Comes back in the answer."""


class Described(Message):
    """The answer of one process; every kind of process fills what it knows."""

    now: float
    """The clock by which its times are."""
    wanted: int = 0
    """As in the question."""
    tasks: list[TaskRecord] = []
    unfinished: int = 0
    """Of which `tasks` lists some."""
    busy: int = 0
    """Calls that a concurrent actor runs."""
    ended: list[TaskRecord] = []
    ended_count: int = 0
    objects: list[ObjectRecord] = []
    object_count: int = 0
    object_bytes: int = 0
    cells: list[CellRecord] = []
    texts: list[TextRecord] = []
    texts_count: int = 0
    actors: list[ActorRecord] = []
    groups: list[GroupRecord] = []
    processes: list[ProcessRecord] = []
    lost: list[TaskRecord] = []
    """Tasks that ended outside a worker, told by their owner."""
    lost_count: int = 0
    gone: list[ProcessRecord] = []
    """Processes of a node that have ended, of which `ended` may tell."""
    round: int = 0
    """As in the question."""
    environment: EnvironmentRecord | None = None
    """That of a driver's work, or the one that a worker is in or could not enter."""
    on_disk: list[int] = []
    """Of a node: generations of objects that lie on its disk."""
    in_use: list[tuple[int, int]] = []
    """Of a client: (node, generation) of objects over which values of it lie."""


class Remember(Message):
    """To its node: what a worker has run since it last said so; it rests, or is about to end."""

    ended: list[TaskRecord]


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
    kind: Why = Why.OTHER
    """What kind of cause it is."""
    lingers: bool = False
    """Its process has been told to end and may still run: `ActorGone` follows."""


class ActorGone(Message):
    """An incarnation that was told to end: its process runs no more."""

    owner: int
    actor: int
    incarnation: int


class ActorWaits(Message):
    """To its owner: why an actor that has its place is not started ('': it is)."""

    owner: int
    actor: int
    why: str
    group: bool = False
    """For its placement group, of which who made that has been told."""


class EndActor(Message):
    """End an actor: at once (`kill`), or because its last handle went (`restart=False`)."""

    owner: int
    actor: int
    no_restart: bool
    why: str
    gently: bool = False
    """What it has to do at its end is done first."""


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
    why: str = ""
    """The same for a table, in a line."""


class ActorDown(Message):
    """Node to head: the incarnation's process ended, or never began."""

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
    gently: bool = False
    """What it has to do at its end is done first."""


# -- placement groups -------------------------------------------------------------------------

WAITING, PLACED, REPLACING, REMOVED = range(4)
"""States of a placement group, as `GroupState.state`; REPLACING: some bundles have lost their
node."""


class CreateGroup(Message):
    """Make a placement group; answered by `GroupMade` if there is a *token*, then `GroupState`s."""

    spec: GroupSpec
    token: int = 0


class GroupMade(Message):
    """It is registered, or why not: its name is taken."""

    token: int
    why: str = ""


class RemoveGroup(Message):
    """End a placement group, and what runs in it."""

    id: str


class WatchGroup(Message):
    """Tell the sender this group's state now and whenever it changes."""

    id: str


class GroupState(Message):
    """How a placement group is."""

    id: str
    state: int
    why: str = ""
    """Why it waits, in one sentence."""
    never: bool = False
    """No nodes that are there now will ever have it."""
    name: str = ""


class FindGroups(Message):
    """Placement groups: one (*id*, or *name* in *namespace*), or all; answered by `GroupsFound`."""

    token: int
    id: str = ""
    name: str = ""
    namespace: str = ""


class GroupsFound(Message):
    """Those that were asked for."""

    token: int
    groups: list[GroupRecord]


class ReserveBundles(Message):
    """Head to node: take these bundles, by their index, out of what is free, when it is."""

    id: str
    bundles: dict[int, Shape]
    attempt: int
    whole: bool = False
    """Nothing of it is elsewhere: work may begin there at once."""


class BundlesReserved(Message):
    """Node to head: they are taken."""

    id: str
    attempt: int


class CommitBundles(Message):
    """Head to node: all nodes have taken theirs, so that work may begin in them."""

    id: str


class ReturnBundles(Message):
    """Head to node: give the group's bundles back, after the end of what runs in them."""

    id: str
    why: str
    bundles: list[int] = []
    """Only these ([]: all that are there)."""
