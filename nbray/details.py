"""What the detailed screens know: one record for each task, actor, object, process.

Part of the vocabulary, beside `events`: engines fill `Details` when somebody
looks, never otherwise, and screens read it. Owns the records and the words for
their states. Rule: every list is bounded by whoever fills it, and the counts
beside it say what is missing.
"""

from enum import StrEnum
from typing import dataclass_transform

import msgspec

from nbray.events import CellView
from nbray.ids import ObjectKey, object_hex, task_hex

TASKS, OBJECTS, ACTORS, TEXTS = 1, 2, 4, 8
"""What a screen wants to know, as bits; cells and processes always come along."""

WAITING, QUEUED, SENT, RUNNING, DONE, FAILED, CANCELLED = range(7)
"""States of a task: for its arguments, for a worker, at a worker behind another one, ..."""
ACTOR_STATES = ("starting", "alive", "restarting", "dead")
OBJECT_STATES = ("pending", "inline", "stored", "failed")


_MASK = (1 << 64) - 1
"""Tasks without returns have negative numbers."""


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of the records; times are monotonic seconds of whoever reads them."""


class TaskRecord(Record):
    """One task or actor call, unfinished or of late."""

    owner: int
    """Client id of the process that submitted it."""
    seq: int
    """Its number there."""
    name: str
    """The function, or 'Class.method'."""
    cell: str
    job: int
    """Client id of the driver at the root of the work."""
    state: int
    worker: int = 0
    """Client id of the process that runs or ran it (0: none yet)."""
    started: float = 0.0
    ended: float = 0.0
    """0: it has not ended."""
    why: str = ""
    """Why it waits, or the error it ended with, in one line."""
    attempt: int = 0
    """How often it was begun before, where its process knows it (else `survey` counts)."""
    defined: str = ""
    """The function's own name, where `name` is another that its caller gave."""
    actor: ObjectKey = (0, 0)
    """Of the actor whose method it calls, as `ActorRecord.key` says it."""
    parent: ObjectKey = (0, 0)
    """(owner, number) of the task that submitted it, where that is known."""
    resources: dict[str, float] = {}
    """What it takes while it runs."""
    listed: bool = True
    """Whether the state API tells of it."""

    @property
    def key(self) -> ObjectKey:
        """What names it, whatever its attempt."""
        return self.owner, self.seq

    def hex(self) -> str:
        """48 hexadecimal digits naming it in the cluster, as the runtime context gives them."""
        return task_hex(self.owner, self.seq & _MASK)


class ActorRecord(Record):
    """One actor, dead ones of late included."""

    owner: int
    actor: int
    class_name: str
    name: str
    """'' for an anonymous one."""
    namespace: str
    state: int
    node: int
    worker: int
    restarts: int
    max_restarts: int
    detached: bool
    cell: str
    job: int
    resources: dict[str, float]
    cause: str = ""
    """Why it restarted last, or died."""
    environment: str = ""
    """The runtime environment that it asked for: JSON; '' for none."""

    @property
    def key(self) -> ObjectKey:
        """What names it, as `ActorInfo.key` does."""
        return self.owner, self.actor


class GroupRecord(msgspec.Struct, frozen=True):
    """A placement group, as `Groups.find` tells of it."""

    id: str
    """36 hexadecimal digits."""
    name: str = ""
    namespace: str = ""
    bundles: tuple[dict[str, float], ...] = ()
    """What each reserves, in units."""
    strategy: str = "PACK"
    state: str = "CREATED"
    """PENDING, CREATED, RESCHEDULING or REMOVED."""
    nodes: tuple[str, ...] = ()
    """The id of each bundle's node ('': it has none)."""
    why: str = ""
    """Why it waits, in one sentence."""
    never: bool = False
    """It waits for nodes: none of those that there are can hold it."""
    attempts: int = 0
    delays: tuple[float, float] = (0.0, 0.0)
    """Seconds until it was placed: from its creation, and from the last try."""
    detached: bool = False
    cell: str = ""
    job: int = 0


class ObjectRecord(Record):
    """One object, told by its owner."""

    owner: int
    seq: int
    state: int
    size: int
    """Bytes."""
    nodes: list[int]
    """Where copies lie in the store."""
    held: int
    """References and pins of its owner."""
    borrowers: int
    """Other processes that hold it."""
    maker: str = ""
    """The task that makes it, where that is remembered; '' for what was put."""
    cell: str = ""
    used: bool = False
    """An unfinished task of its owner takes it."""
    places: list[int] = []
    """By which number each of `nodes` knows its copy (its slot's generation)."""
    disk: list[int] = []
    """Those of `nodes` that have moved it to disk."""
    pins: int = 0
    """How many processes have values over its memory: there it stays in memory."""
    site: str = ""
    """The line that made it, where that is recorded."""

    @property
    def key(self) -> ObjectKey:
        """What names it, as `ObjectRef.key` does."""
        return self.owner, self.seq

    def hex(self) -> str:
        """56 hexadecimal digits, as `ObjectRef.hex` gives them."""
        return object_hex(self.owner, self.seq)


class HoldingRecord(Record):
    """One object that a process owns or borrows, and what of its work holds it."""

    object: ObjectRecord
    tasks: list[str]
    """Unfinished tasks that take it, by name (each name once)."""
    inside: list[ObjectKey] = []
    """The objects that its value refers to."""
    views: int = 0
    """Values over its memory that are alive in this process."""
    address: int = 0
    """Where its bytes are mapped in this process (0: nowhere)."""


class ProcessRecord(Record):
    """A driver or worker, told by its node."""

    client: int
    pid: int
    driver: bool
    why: str = ""
    """How it ended ('': it lives)."""
    intended: bool = False
    """Somebody wanted its end."""
    ended: float = 0.0
    """When, by its node's clock."""
    program: str = ""
    """The command line of a driver; '' for one that is there only to look."""


class CellRecord(Record):
    """The work of one cell of one driver."""

    driver: int
    view: CellView
    label: str = ""
    """What a person calls the cell: '[3] sizes = segment(photos)'."""


class TextRecord(Record):
    """A piece of text that a task printed."""

    node: int
    pid: int
    cell: str
    job: int
    task: str
    stream: str
    """'stdout' or 'stderr'."""
    text: str
    at: float = 0.0
    """When it came to its driver: by the reader's monotonic clock (0: unknown)."""


class EnvironmentRecord(Record):
    """What a driver's work has, or a worker has entered or could not enter."""

    said: str
    """In a few words; of variables only the names."""
    text: str
    """All of it: JSON, as `nbray.runtime_env.RuntimeEnv.serialize` gives it."""
    seconds: float | None = None
    """How long a worker took to enter it; None: it has not."""
    why: str = ""
    """Why it could not."""


class JobState(StrEnum):
    """What has become of a named job; screens show the word."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    LOST = "lost"
    """Its keeper has died, and with it all but its output."""


class JobRecord(Record):
    """A named background job, told by its keeper."""

    name: str
    line: str
    """The first line of its code."""
    state: JobState
    started: float
    """Seconds since the epoch."""
    seconds: float
    """How long it has run, or ran."""
    node: str
    """Name of the node on which its keeper lives."""
    view: CellView
    """What its tasks do."""
    clock: float
    """The moment of `view`, in the clock of its times (the end, once it has ended)."""
    fetched: bool = False
    """Whether somebody has had its result."""

    @property
    def ended(self) -> bool:
        """Whether nothing of it is left to do."""
        return self.state not in {JobState.WAITING, JobState.RUNNING}


class SubmittedRecord(Record):
    """A program that was submitted to the cluster (`nbray.job_submission`)."""

    name: str
    status: str
    """By Ray's word."""
    program: str
    """Its command line."""
    message: str
    """What there is to say of its status."""
    started: float | None = None
    """Seconds since the epoch."""
    ended: float | None = None


class Details(msgspec.Struct, frozen=True):
    """What all processes of the cluster said of themselves when they were last asked."""

    tasks: tuple[TaskRecord, ...] = ()
    """Unfinished ones, then ended ones, the latest first."""
    unlisted: int = 0
    """Unfinished tasks beyond those that are listed."""
    actors: tuple[ActorRecord, ...] = ()
    groups: tuple[GroupRecord, ...] = ()
    """Placement groups; they come with the actors."""
    objects: tuple[ObjectRecord, ...] = ()
    """The largest of every process."""
    object_count: int = 0
    object_bytes: int = 0
    cells: tuple[CellRecord, ...] = ()
    processes: tuple[ProcessRecord, ...] = ()
    gone: tuple[ProcessRecord, ...] = ()
    """Workers that have ended, as far as they are remembered."""
    texts: tuple[TextRecord, ...] = ()
    """What was printed of late, oldest first for each driver."""
    environments: dict[int, EnvironmentRecord] = {}
    """The runtime environments of drivers and workers that have one, by client id."""
    submitted: tuple[SubmittedRecord, ...] = ()
    """Submitted jobs, the latest first, where the reader has asked for them."""
    me: int = 0
    """Client id of the reader."""
    version: int = 0
    """Changes whenever an answer has come."""
    now: float = 0.0
    """The reader's monotonic clock."""
    wall: float = 0.0
    """The same moment in seconds since the epoch (0: unknown)."""
    silent_nodes: tuple[int, ...] = ()
    """Nodes that have not answered in time (see `Insight.complete`)."""
    silent: tuple[int, ...] = ()
    """Drivers and workers that have not."""
