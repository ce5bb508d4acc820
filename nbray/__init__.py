"""nbray: Ray's API with a cluster of its own, made for notebooks.

Public names only. `import nbray as ray` runs programs written against Ray's
core API. Importing has no side effects; `init()` starts a cluster (the first
remote call does so too), `%load_ext nbray` adds the notebook's part.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from nbray import msgspec_alone as _msgspec_alone  # before anything loads msgspec

# isort: split
from nbray import actor, dashboard, exceptions, session, util
from nbray.actor import method
from nbray.api import (
    available_resources,
    cancel,
    cluster_resources,
    get,
    get_actor,
    get_gpu_ids,
    get_runtime_context,
    init,
    is_initialized,
    kill,
    nodes,
    put,
    shutdown,
    wait,
)
from nbray.context import RuntimeContext
from nbray.generators import DynamicObjectRefGenerator, ObjectRefGenerator
from nbray.refs import ObjectRef
from nbray.remote import remote
from nbray.screens import LazyScreens
from nbray.util.completion import as_completed, progress
from nbray.version import __version__

__all__ = [
    "DynamicObjectRefGenerator",
    "ObjectRef",
    "ObjectRefGenerator",
    "__version__",
    "actor",
    "as_completed",
    "available_resources",
    "cancel",
    "cluster_resources",
    "dashboard",
    "exceptions",
    "fetch",
    "get",
    "get_actor",
    "get_gpu_ids",
    "get_runtime_context",
    "init",
    "install_as_ray",
    "is_initialized",
    "kill",
    "load_ipython_extension",
    "method",
    "nodes",
    "panel",
    "progress",
    "publish",
    "published",
    "put",
    "remote",
    "shutdown",
    "timeline",
    "unload_ipython_extension",
    "unpublish",
    "util",
    "wait",
]


_OF_RAY = frozenset({
    "LOCAL_MODE", "ClusterID", "ObjectID", "SCRIPT_MODE", "WORKER_MODE", "__commit__", "_private",
    "_raylet", "autoscaler", "internal", "widgets", "worker",
})  # fmt: skip
"""Names of `nbray._private.names`."""


def _of_process() -> Any:
    from nbray._private.worker import global_worker

    return global_worker


session.start_by(init)
RuntimeContext.of_process = staticmethod(_of_process)
ObjectRef.in_use = staticmethod(session.current)
ObjectRef.watcher = staticmethod(session.watcher)
session.show_on(LazyScreens())


def fetch(name: str, timeout: float | None = None) -> Any:
    """The result of a named background job (`%%remote --bg --name NAME`), from any process.

    Waits for its end; what the job prints, and its progress, are shown meanwhile.
    In a notebook the job's `-o` variables are assigned as well.

    Args:
        name: as it was launched; `%nbray jobs` lists them.
        timeout: seconds to wait (None: as long as it takes; 0: do not wait).

    Returns:
        What its cell would have shown (with --each or --nodes all a list); if that is
        nothing, its `-o` variable, or a dictionary of several.

    Raises:
        ValueError: there is no such job; says which there are.
        GetTimeoutError: it has not ended within *timeout* seconds; says how far it is.
        RayTaskError: the job's code raised.
        TaskCancelledError: the job was stopped.
    """
    from nbray.jobs import fetch as fetch_job

    return fetch_job(name, timeout)


def install_as_ray() -> None:
    """Have `import ray` give nbray from now on, in this process and its workers.

    For programs and libraries that import Ray; `nbray run --as-ray` does it for a command that
    cannot be changed. `ray.__version__` is that of the Ray whose Core API nbray has. Of Ray's
    other libraries there is none: importing one says so.

    Warns:
        RuntimeWarning: the real Ray is imported here already; what has it keeps it.
    """
    from nbray import as_ray

    as_ray.install()
    for hook in session.on_modules:
        hook()


def panel(controls: bool = True) -> Any:
    """The cluster's status as a live widget: nodes, CPU, memory, tasks, object store.

    Args:
        controls: with buttons that add and stop nodes, show the line for joining, and so on.
            Visitors of a page made from the notebook (voila) get none in any case.
    """
    from nbray.jupyter.panel.panel import panel as make

    return make(controls)


def publish(name: str, value: Any, *, namespace: str = "") -> None:
    """Publish *value* under *name* for all who work on this cluster: `nbray.published(name)`.

    It stays when this notebook ends, until it is freed (`nbray.unpublish(name)`,
    `%nbray published free NAME`) or the cluster ends. What had the name before is replaced;
    who has read it keeps it.

    Args:
        value: anything that can be pickled; of a reference the value that it stands for.
        namespace: sets names apart. By default all names of a cluster are common.

    Raises:
        TypeError: the name is no text, or the value cannot be pickled or holds references.
        OutOfDiskError, ObjectStoreFullError: there is no room for it, on disk or at all.
    """
    from nbray import publishing

    publishing.publish(name, value, namespace=namespace)


def published(name: str | None = None, *, namespace: str = "") -> Any:
    """What was published under *name*; without a name, a list of all that is (a table).

    Arrays in it are read-only and mapped, not copied: `.copy()` gives one that can be changed.

    Raises:
        ValueError: nothing has this name; says which there are.
    """
    from nbray import publishing

    return publishing.published(name, namespace=namespace)


def unpublish(name: str, *, namespace: str = "") -> None:
    """Free what was published under *name*; who has read it keeps it.

    Raises:
        ValueError: nothing has this name; says which there are.
    """
    from nbray import publishing

    publishing.unpublish(name, namespace=namespace)


def timeline(cell: str | int | None = None, filename: Any = None) -> Any:
    """Which worker ran what when, as a picture: all work, or that of *cell* (3 or 'In[3]').

    With *filename* it is written as a Chrome trace too, for chrome://tracing and Perfetto.

    Raises:
        ValueError: there is no such cell.
    """
    from nbray.jupyter.insight.timeline import timeline as make

    return make(cell, filename)


def load_ipython_extension(shell: Any) -> None:
    """Called by `%load_ext nbray`: magics, `@remote` and progress in this notebook."""
    from nbray.jupyter import magics

    magics.load(shell, {"nbray": sys.modules[__name__], "remote": remote})


def unload_ipython_extension(shell: Any) -> None:
    """Called by `%unload_ext nbray`: takes back what `%load_ext` added."""
    from nbray.jupyter import magics

    magics.unload(shell)


def __dir__() -> list[str]:
    return __all__


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """What programs for Ray use of what is private, or old: loaded where it is asked for."""
        if name in _OF_RAY:
            from nbray._private import names

            return getattr(names, name)
        if name in {
            "ActorClassID", "ActorID", "FunctionID", "JobID", "Language", "NodeID",
            "PlacementGroupID", "TaskID", "UniqueID", "WorkerID",
        }:  # fmt: skip
            from nbray import unique_ids

            return getattr(unique_ids, name)
        if name == "LoggingConfig":
            from nbray.job_config import LoggingConfig

            return LoggingConfig
        if name in {"ClientBuilder", "client"}:
            from nbray import client_builder

            return getattr(client_builder, name)
        if name == "cloudpickle":
            import nbray.cloudpickle as found

            return found
        if name == "dag":
            import nbray.dag as found

            return found
        if name == "experimental":
            import nbray.experimental as found

            return found
        if name == "job_config":
            import nbray.job_config as found

            return found
        if name == "runtime_env":
            import nbray.runtime_env as found

            return found
        if name == "job_submission":
            import nbray.job_submission as found

            return found
        if name == "runtime_context":
            import nbray.runtime_context as found

            return found
        raise AttributeError(f"module 'nbray' has no attribute {name!r}")
