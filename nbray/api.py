"""The verbs: init, get, put, wait, cancel, kill ... to the session's engine.

Owns the checks of arguments and their error messages, with Ray's names and
kinds. Does not own any work: each verb ends in one call of the engine. Rule: a
bad argument is refused here, before anything has been done.
"""

from __future__ import annotations

import atexit
import contextlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from nbray import arguments, session
from nbray.actor import ActorHandle
from nbray.config import InitConfig
from nbray.context import ClusterContext, RuntimeContext, as_rays, metrics_port
from nbray.engine import Engine, load
from nbray.exceptions import RaySystemError, reference_ended
from nbray.generators import ObjectRefGenerator, wait_for_streams
from nbray.options import found_by
from nbray.refs import ObjectRef, distinct
from nbray.session import watch_waits

__all__ = [
    "available_resources", "cancel", "cluster_resources", "get", "get_actor", "get_gpu_ids",
    "get_runtime_context", "init", "is_initialized", "kill", "nodes", "put", "shutdown", "wait",
    "watch_waits",
]  # fmt: skip


# -- start and end ---------------------------------------------------------------


def init(
    address: str | None = None,
    *,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    resources: Mapping[str, float] | None = None,
    object_store_memory: int | None = None,
    object_spilling_directory: str | None = None,
    namespace: str | None = None,
    ignore_reinit_error: bool = False,
    log_to_driver: bool = True,
    runtime_env: Mapping[str, Any] | None = None,
    labels: Mapping[str, str] | None = None,
    infeasible: str | None = None,
    engine: str | None = None,
    detached: bool = False,
    include_dashboard: bool | None = None,
    dashboard_port: int | None = None,
    job_config: Any = None,
    _redis_password: str | None = None,
    _node_ip_address: str | None = None,
    **others: Any,
) -> ClusterContext:
    """Start a cluster on this machine, or join one. A cell that runs again goes on with it.

    Args:
        address: None: what NBRAY_ADDRESS or RAY_ADDRESS say, else, unless a size is
            given, the cluster of `nbray start` on this machine, else a new one; 'local':
            a new one; 'auto': the one running here; or 'host:port' of a head.
        num_cpus: CPUs tasks may use (default: the machine's). Only for a new cluster, as are
            num_gpus, resources, object_store_memory (bytes), object_spilling_directory (beyond).
        namespace: where names of actors are looked up.
        runtime_env: what all tasks and actors have (see `nbray.runtime_env.RuntimeEnv`); those
            with a `runtime_env` of their own add to it.
        labels: of a new cluster's node, for label_selector and strategies.
        infeasible: 'wait', or 'raise': what no node can do waits for one that can, or fails.
        engine: 'native' (or what NBRAY_ENGINE says), 'inline': everything in this process, or
            'ray': on a Ray cluster (address: None or 'local': a new one; 'auto'; 'host:port').
        detached: a new cluster stays when this process ends, until `nbray stop`.
        include_dashboard: False: a new cluster listens at no port for its dashboard.
        dashboard_port: where it does, on 127.0.0.1 (default, or 0: 8265, or the next port
            that is free). The returned context's `dashboard_url` is the link.
        job_config: a `nbray.job_config.JobConfig`: its namespace and environment, if none here.
        ignore_reinit_error: if nbray already runs go on with it, whatever the other arguments say.
        others: Ray's `local_mode=True` is engine='inline'. Ray's arguments without effect
            here are accepted; a warning says so, except of those about logging and metrics.

    Returns:
        A context with Ray's keys; `with init(): ...` shuts down at the end.

    Raises:
        RuntimeError: nbray already runs: outside of cells, and without `ignore_reinit_error`;
            in cells only with a different address or engine.
        ValueError, TypeError: an argument is unknown, out of range or of the wrong kind.
        RaySystemError: the cluster cannot be started or reached; says why.
    """
    arguments.refuse_unknown(others)
    arguments.say_without_effect(others)
    detaches = False
    if others.get("local_mode"):
        if engine not in (None, "inline"):
            raise ValueError(f"init(local_mode=True) runs all in this process, not by {engine!r}")
        engine = "inline"
    if job_config is not None:
        namespace, runtime_env, detaches = arguments.job(job_config, namespace, runtime_env)
    if namespace == "":
        raise ValueError('init(): "" is not a valid namespace: it is a non-empty string')
    wanted = InitConfig(
        address=arguments.address(address),
        num_cpus=arguments.amount("num_cpus", num_cpus),
        num_gpus=arguments.amount("num_gpus", num_gpus),
        resources=arguments.resources(resources, others.get("_memory")),
        object_store_memory=arguments.store_size(object_store_memory),
        spill_directory=arguments.folder("object_spilling_directory", object_spilling_directory),
        namespace=found_by("namespace", arguments.text("namespace", namespace)),
        secret=arguments.text("_redis_password", _redis_password),
        node_ip_address=arguments.text("_node_ip_address", _node_ip_address),
        log_to_driver=log_to_driver,
        detached=detached,
        dashboard=arguments.switch("include_dashboard", include_dashboard),
        dashboard_port=arguments.port("dashboard_port", dashboard_port),
        runtime_env=arguments.environment(runtime_env),
        labels=arguments.labels(labels),
        infeasible=arguments.infeasible(infeasible),
    )
    metrics = arguments.port("_metrics_export_port", others.get("_metrics_export_port"))
    name = arguments.engine(engine)
    if wanted.address not in {"", "local"}:
        arguments.refuse_sizes(wanted)
    with session.lock:
        running = session.current()
        if running is not None and running.ended:
            shutdown()  # nothing can be done with it any more
            running = None
        if running is not None:
            _same(running, wanted, name if engine else "", quiet=ignore_reinit_error)
            return ClusterContext(running, shutdown)
        module = load(name)
        started = module.start(wanted)
        session.install(started, wanted)
        session.detaches = detaches
        atexit.unregister(shutdown)
        atexit.register(shutdown)
    session.screens().begin()
    if metrics:
        metrics_port(started, metrics)
    return ClusterContext(started, shutdown)


def shutdown(_exiting_interpreter: bool = False) -> None:
    """End this driver's part, and the cluster if `init` started it. Idempotent."""
    with session.lock:
        engine = session.current()
        session.install(None)
    if engine is not None:
        engine.shutdown()


def is_initialized() -> bool:
    """Whether `init` has been called (`shutdown` not since), and the cluster has not ended."""
    return session.live() is not None and not session.is_forked()


def _same(running: Any, wanted: InitConfig, engine: str, quiet: bool) -> None:
    """Whether `init` again asks for what already runs.

    Raises:
        RuntimeError: it asks for something else.
    """
    if session.is_forked():
        running.insight.snapshot()  # raises: says what a forked process may do
    if quiet:
        return
    before = session.started_with() or InitConfig()
    if not running.capabilities.answers_to(engine):
        raise RuntimeError(
            f"nbray already runs with the {running.capabilities.name} engine: "
            "call nbray.shutdown() first"
        )
    if wanted.address not in {"", "auto", before.address}:
        at = running.context.runtime().address
        if wanted.address != at:
            raise RuntimeError(
                f"nbray is already connected to {at or 'a cluster of its own'}, not "
                f"{wanted.address}: call nbray.shutdown() first"
            )
    blank = InitConfig(address=before.address, secret=before.secret)
    asked = msgspec.structs.replace(wanted, address=before.address, secret=before.secret)
    if not session.cell.get():
        raise RuntimeError(
            "nbray already runs: maybe init() was called twice by accident? "
            "init(ignore_reinit_error=True) goes on with what runs; call nbray.shutdown() first "
            "to start afresh"
        )
    if asked not in (blank, before):
        warnings.warn(
            "nbray already runs; the arguments of this init() change nothing "
            "(call nbray.shutdown() first to start afresh)",
            RuntimeWarning,
            stacklevel=3,
        )


# -- objects ---------------------------------------------------------------------

def _watched() -> contextlib.AbstractContextManager[Any]:
    watcher = session.watcher()
    return watcher() if watcher is not None else contextlib.nullcontext()


def get(
    object_refs: ObjectRef[Any] | Sequence[ObjectRef[Any]], *, timeout: float | None = None
) -> Any:
    """The value of a reference, or the list of values of a list of them.

    Args:
        timeout: seconds to wait (None: as long as it takes; 0: only what is there).

    Raises:
        RayTaskError: the task raised; also an instance of the class that it raised.
        GetTimeoutError: the time ran out; the tasks go on.
        RayError: the value cannot be had (worker, actor or node died, cancelled, ...).
        ValueError, TypeError: not a reference, or a negative time.
    """
    if timeout is not None:
        check_timeout(timeout)
    if isinstance(object_refs, ObjectRef):
        single = True
        asked: Sequence[ObjectRef[Any]] = [object_refs]
    elif isinstance(object_refs, ObjectRefGenerator):
        return object_refs  # as Ray has it: its references are what has values
    else:
        single = False
        asked = _listed(object_refs)
    engine = session.current() or _none_for(asked)
    if session.watcher() is None:
        values = engine.get(asked, timeout)
    else:
        with _watched():
            values = engine.get(asked, timeout)
    return values[0] if single else values


def _none_for(refs: Sequence[ObjectRef[Any]]) -> Engine:
    """The engine for *refs* where none runs: of none at all a new one, else they have ended.

    Raises:
        RaySystemError: there are references.
    """
    if refs:
        raise refs[0].ended()
    return session.require()


def _listed(refs: Any) -> list[ObjectRef[Any]]:
    if not isinstance(refs, list):
        raise ValueError(
            f"get() takes an ObjectRef or a list of them, not {type(refs).__name__}"
            f"{arguments.hint(refs)} "
            "(Invalid type of object refs)"
        )
    for position, ref in enumerate(refs):
        if not isinstance(ref, ObjectRef):
            raise TypeError(
                f"get(): item {position} of the list is no ObjectRef but of type "
                f"{type(ref).__name__}{arguments.hint(ref)}"
            )
    return refs


def check_timeout(timeout: Any) -> None:
    """Refuse what is no time to wait.

    Raises:
        TypeError, ValueError: it is no number, or negative.
    """
    if timeout is None:
        return
    if not isinstance(timeout, (int, float)) and not hasattr(type(timeout), "__float__"):
        raise TypeError(f"timeout must be a number of seconds, not {type(timeout).__name__}")
    if not timeout >= 0:
        raise ValueError(f"timeout must be at least 0 seconds, not {timeout}")


def put(value: Any, *, _owner: Any = None) -> ObjectRef[Any]:
    """Store *value* once; pass the reference to as many tasks as need it.

    Raises:
        TypeError: the value is a reference, or cannot be pickled.
        ValueError: an owner is named, which Ray knows no more since 2.56.
        OutOfDiskError, ObjectStoreFullError: there is no room for it, on disk or at all.
    """
    if isinstance(value, ObjectRef):
        raise TypeError("put() of an ObjectRef is not allowed: to store it, wrap it in a list")
    if _owner is not None:
        raise ValueError(
            "put(): the argument `_owner` has been removed in Ray 2.56: have the actor itself put "
            "the value"
        )
    return (session.current() or session.require(value)).put(value)


def wait(
    ray_waitables: Sequence[Any],
    *,
    num_returns: Any = 1,
    timeout: float | None = None,
    fetch_local: bool = True,
) -> tuple[list[Any], list[Any]]:
    """Wait for *num_returns* of the references: (ready, not ready), each in the order given.

    A generator of references (`ObjectRefGenerator`) is ready when its next reference is.
    At most *num_returns* are returned as ready; fewer if *timeout* seconds pass.
    A failed task is ready, and its `get` raises.

    Raises:
        ValueError: a reference twice, or num_returns or timeout out of range.
        TypeError: not a list of references.
    """
    refs = ray_waitables
    if not isinstance(refs, list):
        if isinstance(refs, (ObjectRef, ObjectRefGenerator)):
            raise TypeError("wait() takes a list of ObjectRefs, not a single one: wait([ref])")
        raise TypeError(f"wait() takes a list of ObjectRefs, not {type(refs).__name__}")
    global _last_rest  # noqa: PLW0603 - a memo of names, not of state
    if (not refs or _identity(refs) != _last_rest) and _check_wait(refs):
        return wait_for_streams(wait, refs, num_returns, timeout, fetch_local)
    if timeout is not None:
        check_timeout(timeout)
    if not isinstance(num_returns, int):
        if isinstance(num_returns, str) or not hasattr(type(num_returns), "__int__"):
            raise TypeError(f"num_returns must be an integer, not {type(num_returns).__name__}")
        num_returns = int(num_returns)
    if not refs:
        return [], []
    if num_returns < 1:
        raise ValueError(
            f"num_returns must be at least 1, not {num_returns} (Invalid number of objects)"
        )
    if num_returns > len(refs):
        raise ValueError(
            f"num_returns is {num_returns}, but there are only {len(refs)} ObjectRefs: it cannot "
            "be greater than their number"
        )
    engine = session.current() or _none_for(refs)
    if session.watcher() is None:
        ready, rest = engine.wait(refs, num_returns, timeout, fetch_local)
    else:
        with _watched():
            ready, rest = engine.wait(refs, num_returns, timeout, fetch_local)
    if rest:
        _last_rest = _identity(rest)
    return ready, rest


_last_rest = (0, 0, 0, 0)
"""The list that the last `wait` returned as not ready: it need not be checked again."""


def _identity(refs: Sequence[Any]) -> tuple[int, int, int, int]:
    """What tells a list that came from `wait` from others, without looking at all of it."""
    return id(refs), len(refs), id(refs[0]), id(refs[-1])


def _check_wait(refs: Sequence[Any]) -> bool:
    """Refuse what is no list of different references; whether generators of them are among these.

    Raises:
        TypeError: an item is no reference.
        ValueError: a reference twice.
    """
    if set(map(type, refs)) - {ObjectRef}:  # one look in C for each, for lists are long
        for position, ref in enumerate(refs):
            if not isinstance(ref, (ObjectRef, ObjectRefGenerator)):
                raise TypeError(
                    f"wait(): item {position} of the list is no ObjectRef but of type "
                    f"{type(ref).__name__}{arguments.hint(ref)}"
                )
        if any(isinstance(ref, ObjectRefGenerator) for ref in refs):
            return True
    if not distinct(refs):
        raise ValueError("wait() takes a list of unique ObjectRefs; this one has duplicates")
    return False


def cancel(ray_waitable: Any, *, force: bool = False, recursive: bool = True) -> None:
    """Cancel the task that makes *ray_waitable*; its `get` raises `TaskCancelledError`.

    It may be a generator of references: those that were not taken are gone then, and its
    last one raises. A finished task is left alone. *force* ends the worker's process instead of
    interrupting it; *recursive* cancels the task's own tasks too.

    Raises:
        TypeError: not a reference.
        ValueError: *force* for an actor's call (use `kill`).
    """
    ref = ray_waitable
    if isinstance(ref, ObjectRefGenerator):
        ref = ref._generator_ref
    if not isinstance(ref, ObjectRef):
        raise TypeError(
            f"cancel() is only supported for object refs of tasks, not for {type(ref).__name__}"
            + (" (use kill() for actors)" if isinstance(ref, ActorHandle) else "")
        )
    engine = session.current() or _none_for([ref])
    if ref._engine is not engine and ref._engine.ended:
        raise ref.ended()
    engine.cancel(ref, force, recursive)


# -- actors ----------------------------------------------------------------------


def kill(actor: ActorHandle, *, no_restart: bool = True) -> None:
    """End an actor's process at once; unfinished calls raise `ActorDiedError`.

    Args:
        no_restart: False lets `max_restarts` bring it back.

    Raises:
        ValueError: not an actor's handle.
    """
    if not isinstance(actor, ActorHandle):
        raise ValueError(
            f"kill() is only supported for actors' handles, not for {type(actor).__name__}"
            + (" (use cancel() for tasks)" if isinstance(actor, ObjectRef) else "")
        )
    engine = session.current()
    life = actor._life
    if engine is None or (life._engine is not engine and life._engine.ended):
        raise reference_ended(repr(actor), life._engine.ended)
    engine.actors.kill(actor._info, no_restart)


def get_actor(name: str, namespace: str | None = None) -> ActorHandle:
    """A handle to the actor with this name.

    Raises:
        ValueError: there is none (says which names there are), or the name is empty.
    """
    if not arguments.text("name", name):
        raise ValueError("Please supply a non-empty value to get_actor(): an actor's name")
    if namespace is not None and not arguments.text("namespace", namespace):
        raise ValueError('"" is not a valid namespace: it is a non-empty string')
    engine = session.current() or session.require()
    try:
        info, life = engine.actors.named(name, namespace or "")
    except ValueError as error:
        names = sorted(known for _, known in engine.actors.names(namespace is None))
        listed = f"; named actors: {', '.join(names)}" if names else ""
        raise ValueError(f"{error}{listed} (Failed to look up actor with name {name!r})") from None
    return ActorHandle(info, life)


# -- the cluster -------------------------------------------------------------------


def _running() -> Engine:
    """The engine in use, for what only looks: like Ray's, it starts nothing.

    Raises:
        RaySystemError: there is none.
    """
    engine = session.current()
    if engine is not None:
        return engine
    raise RaySystemError("nbray is not running: call nbray.init() first")


def nodes() -> list[dict[str, Any]]:
    """The cluster's nodes, one dictionary each, with Ray's keys (NodeID, Alive, Resources...).

    Raises:
        RaySystemError: nbray does not run, as for the two below; `init` starts it.
    """
    engine = _running()
    return as_rays(engine, engine.cluster.nodes())


def cluster_resources() -> dict[str, float]:
    """What the live nodes have in total: {'CPU': 8.0, 'memory': ...} (memory in bytes)."""
    return _running().cluster.resources()


def available_resources() -> dict[str, float]:
    """What of `cluster_resources()` is free now."""
    return _running().cluster.available()


def get_runtime_context() -> RuntimeContext:
    """Where the calling code runs: node, worker, task, actor."""
    return RuntimeContext()


def get_gpu_ids() -> list[int | str]:
    """The GPUs that the running task or actor holds, as the system calls them.

    Numbers; names where the node's `CUDA_VISIBLE_DEVICES` (or AMD's or Intel's variable) has names.
    """
    return list((session.current() or session.require()).context.runtime().gpus)
