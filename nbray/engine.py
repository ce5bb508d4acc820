"""The Engine protocol: what the public API asks of whatever runs the work.

`api` and `remote` speak to this and to nothing below it. `load(name)` finds an
engine by name; engines never import each other or the API.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

import msgspec

from nbray.details import Details, HoldingRecord
from nbray.events import CellView, Display, Output, Snapshot
from nbray.options import ActorOptions, MethodOptions, TaskOptions
from nbray.refs import ObjectRef


class Function:
    """A remote function as engines see it; one per definition, reused by every call.

    Engines keep what they derive from it (pickled form, hash) in `cache`.
    """

    __slots__ = ("__weakref__", "cache", "call", "name", "source")

    def __init__(self, call: Callable[..., Any], name: str, source: str = "") -> None:
        self.call = call
        self.name = name
        self.source = source
        self.cache: dict[Any, Any] = {}


def method_of(instance: Any, name: str) -> Any:
    """The method *name* of an actor, as its class has it: an attribute of that name hides nothing.

    Raises:
        AttributeError: the class has none.
    """
    kind = type(instance)
    for cls in kind.__mro__:
        if name in vars(cls):
            found = vars(cls)[name]
            bind = getattr(type(found), "__get__", None)
            return found if bind is None else bind(found, instance, kind)
    return getattr(instance, name)


class ActorInfo(msgspec.Struct, frozen=True):
    """All that a handle needs to know of an actor."""

    actor: int
    """Number of the actor's life-reference at its owner: (owner, actor) is its identity."""
    owner: int
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
    """Methods that are generators: called with the number of values only."""

    def hex(self) -> str:
        """32 hexadecimal digits naming the actor in the cluster."""
        return f"{self.owner:016x}{self.actor:016x}"


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
    session_dir: str = ""
    """The private folder of this machine's part of the cluster ('' where there is none)."""


class Engine(Protocol):
    """What runs the work. All methods may be called from any thread."""

    name: str

    @property
    def ended(self) -> str:
        """Why the cluster has ended ('' while it has not): then everything else raises."""
        ...

    def submit(
        self, function: Function, args: Sequence[Any], kwargs: dict[str, Any], options: TaskOptions
    ) -> list[ObjectRef[Any]]:
        """Start a task; one reference per return (none for `num_returns=0`).

        Raises:
            TypeError: an argument or the function cannot be pickled; says which.
        """
        ...

    def create_actor(
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

    def get_actor(self, name: str, namespace: str) -> tuple[ActorInfo, ObjectRef[Any]]:
        """The named actor.

        Raises:
            ValueError: no live actor has this name.
        """
        ...

    def own_actor(self) -> tuple[ActorInfo, ObjectRef[Any]] | None:
        """The actor whose method runs here; None if none does."""
        ...

    def list_named_actors(self, all_namespaces: bool) -> list[tuple[str, str]]:
        """(namespace, name) of every named actor."""
        ...

    def kill_actor(self, info: ActorInfo, no_restart: bool) -> None:
        """End the actor's process at once."""
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

    def cancel(self, ref: ObjectRef[Any], force: bool, recursive: bool) -> None:
        """Cancel the task that makes *ref*; its `get` raises `TaskCancelledError`."""
        ...

    def cancel_cell(self, cell: str, force: bool) -> int:
        """Cancel all unfinished work that *cell* submitted; how many tasks that were.

        With *force*, after a call without: what that call asked to end and has not.
        """
        ...

    def nodes(self) -> list[dict[str, Any]]:
        """The cluster's nodes, with Ray's keys (NodeID, Alive, NodeManagerAddress, ...)."""
        ...

    def cluster_resources(self) -> dict[str, float]:
        """What the live nodes have in total."""
        ...

    def available_resources(self) -> dict[str, float]:
        """What of it is free now."""
        ...

    def runtime(self) -> RuntimeInfo:
        """Where the calling code runs."""
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

    def count(
        self, cell: str, submitted: int, node: int = 0, done: int = 0, failed: int = 0,
        cancelled: int = 0,
    ) -> None:
        """Add to what screens show of *cell*, for tasks that are not `counted` themselves.

        What is *done*, *failed* or *cancelled* was so on *node* (0: it never ran).
        """
        ...

    def snapshot(self) -> Snapshot:
        """What screens show; cheap, callable ten times a second while others block."""
        ...

    def details(self, wanted: int) -> Details:
        """What each task, actor, object is doing (*wanted*: bits of `nbray.details`).

        Never waits: it asks all processes, at most five times a second, and
        gives what they have answered so far; call it again for more.
        """
        ...

    def holdings(self) -> list[HoldingRecord]:
        """Every object that this process owns or borrows, and what of the work holds it."""
        ...

    def unfinished(self, cell: str) -> int:
        """How many tasks that *cell* submitted have not ended; cheap."""
        ...

    def cell_view(self, cell: str) -> CellView | None:
        """The counts of what this process has submitted under *cell*; cheap."""
        ...

    def on_output(self, sink: Callable[[Output | Display], None] | None) -> None:
        """Where what tasks print and display goes (None: this process's own stdout and stderr).

        Called on a thread of the engine's; must not block. An actor that gives a sink
        is from then on who hears what tasks print that it launches; those tasks are
        its own, whoever called it.
        """
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

    def join_line(self) -> str:
        """The command to paste on another machine; opens the port beyond loopback if need be.

        Raises:
            RaySystemError: this engine or cluster cannot be joined; says why.
        """
        ...

    def forked(self) -> None:
        """This process was forked from the engine's: leave nothing of it behind that acts."""
        ...

    def shutdown(self) -> None:
        """End this driver's part (and the cluster, if this driver started it). Idempotent."""
        ...


def load(name: str) -> Any:
    """The module of engine *name*; it has `start(config) -> Engine`.

    Raises:
        ValueError: there is no such engine.
    """
    known = {"inline", "native"}
    if name not in known:
        raise ValueError(f"no engine called {name!r} (known: {', '.join(sorted(known))})")
    return importlib.import_module(f"nbray.engines.{name}")
