"""The Engine protocol: what the public API asks of whatever runs the work.

`api` and `remote` speak to this and to nothing below it. An engine has work and
objects itself, and the rest in parts: actors, the calling code's context, cells,
the cluster, insight. `capabilities` says what it can do; nobody asks for its name.
`load(name)` finds an engine; engines never import each other or the API.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from nbray.details import Details, GroupRecord, HoldingRecord
from nbray.events import CellView, Display, Output, Snapshot
from nbray.ids import ObjectKey, actor_hex
from nbray.options import ActorOptions, MethodOptions, TaskOptions
from nbray.refs import ObjectRef
from nbray.where import Condition

if TYPE_CHECKING:
    from concurrent.futures import Future  # with it comes `logging`: few programs ask for one


class Function:
    """A remote function as engines see it: one a definition; what they derive is in `cache`."""

    __slots__ = ("__weakref__", "cache", "call", "name", "source")

    def __init__(self, call: Callable[..., Any], name: str, source: str = "") -> None:
        self.call = call
        self.name = name
        self.source = source
        self.cache: dict[Any, Any] = {}


_MISSING = object()


def method_of(instance: Any, name: str) -> Any:
    """The method *name* of an actor, as its class has it: an attribute of that name hides nothing.

    Raises:
        AttributeError: the class has none.
    """
    kind = type(instance)
    for cls in kind.__mro__:
        found = cls.__dict__.get(name, _MISSING)
        if found is not _MISSING:
            if type(found) is FunctionType:  # quicker by half
                return MethodType(found, instance)
            bind = getattr(type(found), "__get__", None)
            return found if bind is None else bind(found, instance, kind)
    return getattr(instance, name)


class ActorInfo(msgspec.Struct, frozen=True):
    """All that a handle needs to know of an actor."""

    actor: int
    owner: int
    """With `actor`: of its life's reference, as its engine numbers it."""
    class_name: str
    methods: dict[str, MethodOptions]
    """Callable methods with their defaults (from `@method`)."""
    is_async: bool = False
    max_task_retries: int = 0
    max_pending_calls: int = -1
    """Of one caller; -1: any number."""
    signatures: dict[str, str] = {}
    """Method name to 'signature\\n\\ndocstring', for completion and Shift-Tab."""
    generators: tuple[str, ...] = ()
    """Methods that are generators: they stream what they yield, if they are not told otherwise."""
    groups: tuple[str, ...] = ()
    """Its concurrency groups."""
    unordered: bool = False
    """Calls whose arguments are ready go before those whose are not."""

    @property
    def key(self) -> ObjectKey:
        """What names the actor, and its life; its engine's own, as an `ObjectRef`'s is."""
        return self.owner, self.actor

    def hex(self) -> str:
        """32 hexadecimal digits naming the actor in the cluster."""
        return actor_hex(self.owner, self.actor)


class RuntimeInfo(msgspec.Struct, frozen=True):
    """Where the calling code runs (see `nbray.get_runtime_context`). Ids are hex strings."""

    job_id: str = ""
    node_id: str = ""
    worker_id: str = ""
    task_id: str = ""
    task_name: str = ""
    actor_id: str = ""
    actor_name: str = ""
    namespace: str = ""
    was_restarted: bool = False
    attempt: int = 0
    node_ip: str = ""
    gpus: tuple[int | str, ...] = ()
    assigned: dict[str, float] = {}
    """Resources the running task or actor holds."""
    address: str = ""
    """The cluster's address, host:port."""
    runtime_env: str = ""
    """JSON ('': none): see `nbray.runtime_env`."""
    group: str = ""
    """The placement group in which it runs."""
    captures: bool = False
    """What it launches runs there as well."""
    session_dir: str = ""
    """The private folder of this machine's part of the cluster ('' where there is none)."""
    function: str = ""
    """What runs, as it was defined: 'module.function' or 'module.Class.method'."""
    cancelled: bool = False
    """Somebody has cancelled what runs."""


class Capabilities(msgspec.Struct, frozen=True):
    """What an engine is and can do. Who needs to know asks this, never what it is called."""

    name: str
    """As `init(engine=...)` knows it."""
    concurrent: bool = True
    """Tasks run beside the code that launched them; else each has ended when `submit` returns."""
    processes: bool = True
    """Tasks and actors run in processes of their own; else all is in this one."""
    actors: bool = True
    """It has actors; else every method of `Actors` raises `RaySystemError`."""
    environments: bool = True
    """Work can have folders, modules and packages of its own; else environment variables only."""
    early: bool = True
    """A running task's returns can be given before it ends (see `Context.early`)."""
    streams: bool = True
    """What a generator yields is had as it is yielded; else generators cannot be tasks."""
    nodes: str = ""
    """Why screens cannot add nodes or have them leave, one sentence ('': they can)."""
    submits: str = ""
    """Why programs cannot be submitted as jobs, one sentence ('': they can)."""
    records: str = ""
    """Why nothing is known of single tasks, actors and objects, one sentence ('': it is)."""

    def answers_to(self, asked: str) -> bool:
        """Whether `init(engine=asked)` means this one ('': whichever runs)."""
        return asked in {"", self.name}


class Actors(Protocol):
    """What a program asks of an engine's actors."""

    def create(
        self, cls: Function, args: Sequence[Any], kwargs: dict[str, Any],
        options: ActorOptions, info: ActorInfo,
    ) -> tuple[ActorInfo, ObjectRef[Any]]:
        """Create an actor. *info* comes without identity; the returned one has it.

        The reference is the actor's life: a handle holds it, and the actor ends
        when the last one is dropped (unless detached).

        Raises:
            ValueError: the name is taken (and `get_if_exists` is not set).
        """
        ...

    def call(
        self, info: ActorInfo, life: ObjectRef[Any], method: str, args: Sequence[Any],
        kwargs: dict[str, Any], options: MethodOptions,
    ) -> list[ObjectRef[Any]]:
        """Call a method; calls of one caller run in the order in which they were made."""
        ...

    def named(self, name: str, namespace: str) -> tuple[ActorInfo, ObjectRef[Any]]:
        """The actor of that name.

        Raises:
            ValueError: no live actor has this name.
        """
        ...

    def owns(self, info: ActorInfo) -> bool:
        """Whether this process has made the actor."""
        ...

    def ended(self, info: ActorInfo) -> bool:
        """Whether the actor is dead for good, as far as is known here; cheap."""
        ...

    def names(self, all_namespaces: bool) -> list[tuple[str, str]]:
        """(namespace, name) of every named actor."""
        ...

    def kill(self, info: ActorInfo, no_restart: bool) -> None:
        """End the actor's process at once."""
        ...


class Context(Protocol):
    """What code asks of the place where it runs: a driver, a task, an actor's method."""

    def runtime(self) -> RuntimeInfo:
        """Where the calling code runs."""
        ...

    def actor(self) -> tuple[ActorInfo, ObjectRef[Any]] | None:
        """The actor whose method runs here; None if none does."""
        ...

    def reference(self, owner: int, seq: int) -> ObjectRef[Any]:
        """One more reference to an object whose numbers are known (see `ObjectRef.from_hex`)."""
        ...

    def early(self, index: int) -> Callable[[Any], None]:
        """How the running task gives its return number *index*, not the first, before it ends.

        What is returned takes a value, from any thread, and sends it to the caller
        at once; what the task returns there in the end is then ignored. The value
        must hold no references (`TypeError`).

        Raises:
            RaySystemError: no task runs here.
        """
        ...


class Cells(Protocol):
    """The work of this process by the cell that submitted it: followed, counted, stopped."""

    def cancel(self, cell: str, force: bool) -> int:
        """Cancel all unfinished work that *cell* submitted; how many tasks that were.

        With *force*, after a call without: what that call asked to end and has not.
        """
        ...

    def unfinished(self, cell: str) -> int:
        """How many tasks that *cell* submitted have not ended; cheap."""
        ...

    def view(self, cell: str) -> CellView | None:
        """The counts of what this process has submitted under *cell*; cheap."""
        ...

    def count(
        self, cell: str, submitted: int, node: int = 0, done: int = 0, failed: int = 0,
        cancelled: int = 0,
    ) -> None:
        """Add to what screens show of *cell*, for tasks that are not `counted` themselves.

        What is *done*, *failed* or *cancelled* was so on *node* (0: it never ran).
        """
        ...

    def on_output(self, sink: Callable[[Output | Display], None] | None) -> None:
        """Where what tasks print and display goes (None: this process's own stdout and stderr).

        Called on a thread of the engine's; must not block. An actor that gives a sink
        is from then on who hears what tasks print that it launches; those tasks are
        its own, whoever called it.
        """
        ...


class Groups(Protocol):
    """Placement groups: resources of one node or several that are reserved together."""

    def create(
        self, bundles: Sequence[Mapping[str, float]], strategy: str, name: str, detached: bool,
        selectors: Sequence[Sequence[Condition]], target: str,
    ) -> str:
        """Ask for a group; returns its id, 36 hexadecimal digits, at once.

        Args:
            bundles: in units; *selectors* say of each what its node's labels must be ((): nothing).
            target: the id of the node that is to have it if it can ('': any).

        Raises:
            RaySystemError: the name is taken.
        """
        ...

    def remove(self, group: str) -> None:
        """End a group, and what runs in it; does not wait for that."""
        ...

    def ready(self, group: str, value: Any) -> ObjectRef[Any]:
        """An object that is *value* when all bundles are reserved; it fails if the group ends."""
        ...

    def wait(self, group: str, timeout: float | None) -> bool | None:
        """Wait until all bundles are reserved: whether they are; None: the group has ended."""
        ...

    def find(self, group: str = "", name: str = "") -> list[GroupRecord]:
        """What is known of the group of this id, of this name in this namespace, or of all."""
        ...


class Cluster(Protocol):
    """The machines that an engine runs work on: what they have, who joins and who leaves."""

    def nodes(self) -> list[dict[str, Any]]:
        """The cluster's nodes, with Ray's keys (NodeID, Alive, NodeManagerAddress, ...)."""
        ...

    def resources(self) -> dict[str, float]:
        """What the live nodes have in total."""
        ...

    def available(self) -> dict[str, float]:
        """What of it is free now."""
        ...

    def outlive(self, on: bool) -> bool:
        """While *on* and this process lives, the cluster stays when who started it has ended.

        Returns:
            Whether it would have ended with the process that started it.
        """
        ...

    def end_node(self, number: int, gently: bool) -> None:
        """Have node *number* leave the cluster, wherever it is; does not wait for that.

        *gently*: it takes nothing new and leaves when its running tasks and calls have
        ended; else at once, and its tasks run again elsewhere within `max_retries`. Either way
        its actors end (they restart elsewhere within `max_restarts`), and so do objects of
        which no other node has a copy.

        Raises:
            ValueError: it has left already, is the head's, or the one this process is attached to.
            RaySystemError: this engine has no nodes that could leave.
        """
        ...

    @property
    def groups(self) -> Groups:
        """Its placement groups."""
        ...

    def join_line(self) -> str:
        """The command to paste on another machine; opens the port beyond loopback if need be.

        Raises:
            RaySystemError: this engine or cluster cannot be joined; says why.
        """
        ...


class Insight(Protocol):
    """What screens show of a cluster and its work; but for `complete` it never waits for it."""

    def snapshot(self) -> Snapshot:
        """What screens show; cheap, callable ten times a second while others block."""
        ...

    def details(self, wanted: int) -> Details:
        """What each task, actor, object is doing (*wanted*: bits of `nbray.details`).

        Never waits: it asks all processes, at most five times a second, and
        gives what they have answered so far; call it again for more.
        """
        ...

    def complete(self, wanted: int, timeout: float) -> Details:
        """The same with everybody's answer: waits for it, for *timeout* seconds at most.

        Who has not answered by then is named in `Details.silent_nodes` and `silent`; a
        process whose code holds the interpreter is waited for a shorter time.
        """
        ...

    def holdings(self) -> list[HoldingRecord]:
        """Every object that this process owns or borrows, and what of the work holds it."""
        ...


class Engine(Protocol):
    """What runs the work. All methods, its parts' too, may be called from any thread."""

    @property
    def capabilities(self) -> Capabilities:
        """What it is and can do; does not change."""
        ...

    @property
    def ended(self) -> str:
        """Why the cluster has ended ('' while it has not): then everything else raises."""
        ...

    # -- work and objects

    def submit(
        self, function: Function, args: Sequence[Any], kwargs: dict[str, Any], options: TaskOptions
    ) -> list[ObjectRef[Any]]:
        """Start a task; one reference per return (none for `num_returns=0`).

        With `num_returns=STREAMING` all that is returned is an `ObjectRefGenerator`
        (`nbray.generators`), made of the engine's own `Stream`; with `DYNAMIC` a reference
        to a `DynamicObjectRefGenerator`. So it is with calls of methods.

        Raises:
            TypeError: an argument or the function cannot be pickled; says which.
        """
        ...

    def cancel(
        self, ref: ObjectRef[Any], force: bool, recursive: bool, interrupts: bool = False
    ) -> None:
        """Cancel the task that makes *ref*; its `get` raises `TaskCancelledError`.

        With *interrupts* also a call that runs in an actor's main thread, which else is told only.
        """
        ...

    def get(self, refs: Sequence[ObjectRef[Any]], timeout: float | None) -> list[Any]:
        """Values in order; raises the first failing one's error, `GetTimeoutError` in time."""
        ...

    def put(self, value: Any) -> ObjectRef[Any]:
        """Store a value."""
        ...

    def wait(
        self, refs: Sequence[ObjectRef[Any]], num_returns: int, timeout: float | None,
        fetch_local: bool,
    ) -> tuple[list[ObjectRef[Any]], list[ObjectRef[Any]]]:
        """(ready, not ready), each in the order given; at most *num_returns* ready."""
        ...

    def future(self, ref: ObjectRef[Any]) -> Future[Any]:
        """A future for the value; completed off the main thread."""
        ...

    # -- its parts

    @property
    def actors(self) -> Actors:
        """Its actors."""
        ...

    @property
    def context(self) -> Context:
        """Where the calling code runs."""
        ...

    @property
    def cells(self) -> Cells:
        """The work by cells."""
        ...

    @property
    def cluster(self) -> Cluster:
        """The machines."""
        ...

    @property
    def insight(self) -> Insight:
        """What screens show."""
        ...

    # -- its end

    def forked(self) -> None:
        """This process was forked from the engine's: leave nothing of it behind that acts."""
        ...

    def shutdown(self) -> None:
        """End this driver's part (and the cluster, if this driver started it). Idempotent."""
        ...


ENGINES = "nbray.engines"
"""The package of the engines that come with nbray, and the entry points of those that do not."""
_OWN = frozenset({"inline", "native", "ray", "scripted"})


def load(name: str) -> Any:
    """The module of engine *name*: `start(config) -> Engine`, for the contract `capabilities`, too.

    An installed package has an engine found by an entry point of the group `nbray.engines`.

    Raises:
        ValueError: there is no such engine.
    """
    if name in _OWN:
        return importlib.import_module(f"{ENGINES}.{name}")
    from importlib import metadata  # late: most programs never ask
    others = {one.name: one for one in metadata.entry_points(group=ENGINES)}
    if name not in others:
        known = ", ".join(sorted({*_OWN, *others}))
        raise ValueError(f"no engine called {name!r} (known: {known})")
    return others[name].load()
