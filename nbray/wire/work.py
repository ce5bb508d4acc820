"""Work, from client to worker and back: tasks and calls, their results, what they print.

Owns these messages. Does not own what travels inside several (`parts`). Rule: the hot ones
(`Tasks`, `Calls`, `Results`) are batches in columns.
"""

from typing import Any

from nbray.wire.parts import Extra, Message, Outcome, Ref, Slot, Spec, Value


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


class Yielded(Message):
    """What a running task has yielded, in order, from its return number *first* on."""

    seq: int
    first: int
    values: list[bytes]
    others: dict[int, Value] = {}
    """By place: what is more than a small value without references."""


class Taken(Message):
    """The reader of a task that yields has taken so many of its returns, in all."""

    seq: int
    count: int


class Bounced(Message):
    """A worker gives unstarted tasks back: it is blocked or slower than thought."""

    seqs: list[int]
    unknown: bytes = b""
    """Hash of the function it does not have (any more): send it again."""
    gone: list[tuple[Ref, list[Slot]]] = []
    """Copies of what they take that were not found: they run when there are others."""


class Undefine(Message):
    """These functions are not defined any more: let go of them, and of what they took along."""

    functions: list[bytes]


class Cancel(Message):
    """Cancel these tasks of the sender's if they are unstarted or running here."""

    seqs: list[int]
    force: bool = False
    recursive: bool = False
    """And what they have submitted."""
    gently: bool = False
    """Those that run end where they yield next: nobody reads what they yield."""
    interrupts: bool = True
    """False: an actor's call that runs is told, and runs to its end."""


class CancelOwned(Message):
    """Cancel the tasks that make these objects of the receiver's."""

    seqs: list[int]
    force: bool
    recursive: bool
    interrupts: bool = False


class Printed(Message):
    """Text printed by a task; goes to the driver of its job."""

    cell: str
    pid: int
    task: str
    stream: str
    text: str


class SettingUp(Message):
    """The sender makes an environment for work of this cell of the receiver's; every second."""

    cell: str
    what: str
    """'pip installs numpy'; '': nothing any more."""
    line: str = ""
    """What it says of it, the latest."""


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
