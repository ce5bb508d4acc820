"""What messages are made of: slots, values, specs, descriptions of nodes and actors.

Owns the structs that never travel alone. See `messages`, which re-exports them.
"""

from enum import IntEnum
from typing import dataclass_transform

import msgspec

from nbray.where import Condition, Where

Ref = tuple[int, int]
"""(owner's client id, number at the owner): one object."""
Shape = dict[str, int]
"""Resources by name, in ten-thousandths."""


class Why(IntEnum):
    """What kind of reason a message gives, for whoever acts on it; its sentence is for people."""

    OTHER = 0
    FULL = 1
    """The node's store has no room for the object."""
    OWNER_DIED = 2
    """The process that owned the object has ended."""
    UNSCHEDULABLE = 3
    """No node of the cluster will ever have what the actor needs."""
    OUT_OF_DISK = 4
    """The store is full, and so is the disk that takes what it cannot hold."""
    LOST = 5
    """None of the copies that were named is there."""


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Part(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of what only travels inside messages."""


ON_DISK = 1 << 60
"""A bit in the number of a segment that is a file on disk, not memory."""


class Slot(Part):
    """Bytes in a node's object store. Two slots of equal generation are the same.

    The slot in which an object was made is its name for as long as it lives; where its bytes lie
    when they were moved to disk, its node knows (`Where`).
    """

    node: int
    segment: int
    offset: int
    size: int
    generation: int

    @property
    def on_disk(self) -> bool:
        """Whether it is in a file on disk."""
        return bool(self.segment & ON_DISK)


class Value(Part):
    """A packed value or error: its bytes, or the slots that hold them."""

    data: bytes = b""
    slots: list[Slot] = []
    refs: list[Ref] = []
    """References inside the value: whoever holds the value holds these."""
    failed: bool = False
    """`data` is a packed error."""


class Environment(Part):
    """What processes for some work have beyond what the cluster has (see `nbray.runtime_env`)."""

    text: str
    """JSON with sorted keys; work of equal texts may share processes."""
    key: bytes
    """Its hash (16 bytes)."""
    packages: dict[str, Ref] = {}
    """The objects that hold the archives which the text names. Their makers keep them."""


class Spec(Part):
    """What many tasks have in common; a client numbers its own, and sends each once a worker."""

    id: int
    function: bytes
    """Content hash (16 bytes); b'' for actor methods."""
    name: str
    num_returns: int
    """Below 0 it yields its returns: see `nbray.options`."""
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
    method: str = ""
    """The method to call, where `name` is another."""
    defined: str = ""
    """The function's own name, where `name` is another."""
    group: str = ""
    """The concurrency group of a call."""
    most_unread: int = 0
    """With so many of its returns not taken, a task that yields them pauses (0: never)."""
    env: Environment | None = None
    placed_in: str = ""
    """The placement group in which it runs."""
    captures: bool = False
    """What it launches runs there as well."""
    raises: bool = True
    """What no node can do fails, instead of waiting for one that can."""
    listed: bool = True
    """Whether the state API tells of it."""


class Extra(Part):
    """What a task has beyond its plain arguments (most have none)."""

    args: Value | None = None
    """Replaces the plain arguments: they are in the store or hold references."""
    args_ref: Ref | None = None
    """The object that stored arguments are: whoever views them borrows it."""
    deps: list[tuple[int | str, Value, Ref]] = []
    """Values of top-level reference arguments, by position or keyword."""
    attempt: int = 0
    captured: list[Ref] = []
    """What the function takes along that belongs to a third process: the caller holds it
    until the worker's `Unpinned`."""


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
    again: bool = False
    """Its node ended it for want of memory (see `node.memory_guard`): what it ran is tried again
    later, whatever `max_retries` says, if it may be at all."""


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
    leaving: bool = False
    """It takes nothing new."""
    labels: dict[str, str] = {}


class GroupSpec(Part):
    """A placement group, as it was asked for."""

    id: str
    """36 hexadecimal digits."""
    name: str
    namespace: str
    bundles: list[Shape]
    strategy: str
    job: int
    """Client id of the driver with which it ends, unless it is detached."""
    actor: Ref | None = None
    """The actor that made it, and with which it ends then."""
    detached: bool = False
    selectors: list[list[Condition]] = []
    """For each bundle what its node's labels must be; [] for none at all."""
    target: int = 0
    """The node that is to have it, if it can (STRICT_PACK)."""
    cell: str = ""


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
    groups: dict[str, int] = {}
    """How many calls of each concurrency group run at once."""
    env: Environment | None = None
    where: Where | None = None
    """Where else it may be, or may not."""
    captures: bool = False
    """What it launches runs in its placement group as well."""
    raises: bool = True
    """What no node can do fails, instead of waiting for one that can."""


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
