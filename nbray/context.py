"""What code learns of where it runs: the runtime context, and what `init` returns.

Owns the two objects with Ray's names and keys. Asks the engine each time, so
they are never out of date.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from nbray import session
from nbray.exceptions import RaySystemError
from nbray.figures import amount, noun
from nbray.ids import HexId
from nbray.version import __version__

if TYPE_CHECKING:
    from nbray.engine import Engine, RuntimeInfo
    from nbray.events import Snapshot

FIRST_PICTURE = 3.0
"""Longest wait, in seconds, for what nodes tell of themselves twice a second."""


def metrics_port(engine: Engine, wanted: int = 0) -> int:
    """Where on loopback the numbers of `nbray.util.metrics` are served: of each cluster, one.

    It is chosen when somebody first asks (*wanted*, or any that is free), and used once a
    number is recorded. 0 where the head is not on this machine, or all is one process.
    """
    folder = engine.context.runtime().session_dir
    if not folder:
        return 0
    file = Path(folder) / "metrics-port"
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        pass
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as error:
            raise RaySystemError(f"the port of metrics, {wanted}, cannot be had: {error}") from None
        port: int = probe.getsockname()[1]
    try:
        with file.open("x") as made:
            made.write(str(port))
    except FileExistsError:  # somebody else was quicker
        return int(file.read_text() or 0)
    except OSError:
        return 0
    return port


_NOT_HERE = {
    "ObjectStoreSocketName": "", "RayletSocketName": "", "MetricsAgentPort": 0,
    "DashboardAgentListenPort": -1, "RuntimeEnvAgentPort": 0,
}  # fmt: skip
"""What a node of Ray's has besides, as Ray gives it of one that has none."""


def as_rays(engine: Engine, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """*rows* of nodes with all of Ray's keys, and where each serves numbers.

    The head does, if it is this machine.
    """
    here = engine.context.runtime().node_id
    for row in rows:
        at_head = bool(row.get("IsHead")) and row["NodeID"] == here
        row["MetricsExportPort"] = metrics_port(engine) if at_head else 0
        row |= _NOT_HERE
    return rows


_ACCELERATORS = (
    "GPU", "TPU", "HPU", "NPU", "neuron_cores", "RBLN", "FURIOSA", "MBLT", "TTNPU",
)  # fmt: skip


class RuntimeContext:
    """Where the calling code runs. Ids are hexadecimal strings."""

    def _info(self) -> RuntimeInfo:
        return session.require().context.runtime()

    def _working(self) -> RuntimeInfo:
        """Raises:
        AssertionError: no task and no actor's method runs here.
        """
        info = self._info()
        if not (info.task_id or info.actor_id):
            raise AssertionError(
                "This method is only available when the process is a worker. Current mode: 0"
            )
        return info

    of_process: ClassVar[Callable[[], Any]] = staticmethod(lambda: None)
    """What says what this process is to its cluster: the package sets it."""

    @property
    def worker(self) -> Any:
        """What this process is to its cluster (see `nbray._private.worker`)."""
        return type(self).of_process()

    def get_job_id(self) -> HexId:
        """The job: one driver and all its work."""
        return HexId(self._info().job_id)

    def get_node_id(self) -> HexId:
        """The node on which this code runs."""
        return HexId(self._info().node_id)

    def get_worker_id(self) -> HexId:
        """This process."""
        return HexId(self._info().worker_id)

    def get_task_id(self) -> HexId | None:
        """The running task, or None in a driver."""
        return HexId(self._info().task_id) or None

    @property
    def job_id(self) -> HexId:
        """As `get_job_id`, which Ray prefers."""
        return self.get_job_id()

    @property
    def node_id(self) -> HexId:
        """As `get_node_id`, which Ray prefers."""
        return self.get_node_id()

    @property
    def task_id(self) -> HexId | None:
        """As `get_task_id`, which Ray prefers.

        Raises:
            AssertionError: in a driver.
        """
        return HexId(self._working().task_id) or None

    @property
    def actor_id(self) -> HexId | None:
        """As `get_actor_id`, which Ray prefers.

        Raises:
            AssertionError: in a driver.
        """
        return HexId(self._working().actor_id) or None

    def get_session_name(self) -> str:
        """The name of the session's folder on this machine ('' where there is none)."""
        return self._info().session_dir.rpartition("/")[2]

    def get_temp_dir(self) -> str:
        """The folder in which the session's folder is ('' where there is none)."""
        return self._info().session_dir.rpartition("/")[0]

    def get_node_labels(self) -> dict[str, str]:
        """The labels of the node on which this code runs, its id among them."""
        mine = self.get_node_id()
        for node in session.require().cluster.nodes():
            if node["NodeID"] == mine:
                return {"ray.io/node-id": str(mine), **node["Labels"]}
        return {"ray.io/node-id": str(mine)}

    def is_canceled(self) -> bool:
        """Whether the running task has been cancelled.

        A call of an actor that is not asynchronous is not interrupted by `cancel`: it may look
        here, now and then, and end in order.

        Raises:
            RuntimeError: in a driver, or in an asynchronous actor, whose calls are cancelled as
                asyncio does.
        """
        try:
            found = self._working()
        except AssertionError as error:
            raise RuntimeError(str(error)) from None
        loops = sys.modules.get("asyncio")
        if found.actor_id and loops is not None and loops._get_running_loop() is not None:
            raise RuntimeError("is_canceled() is not supported in an async actor.")
        return found.cancelled

    def get_task_name(self) -> str | None:
        """The running task's name, or None in a driver."""
        return self._info().task_name or None

    def get_task_function_name(self) -> str | None:
        """What the running task runs, 'module.function' or 'module.Class.method'; None in a driver.

        Whatever name its caller gave it.
        """
        info = self._info()
        return info.function or info.task_name or None

    def get_actor_id(self) -> HexId | None:
        """The actor whose method runs, or None."""
        return HexId(self._info().actor_id) or None

    def get_actor_name(self) -> str | None:
        """The name of the actor whose method runs ('' if it has none), or None outside actors."""
        info = self._info()
        return info.actor_name if info.actor_id else None

    @property
    def current_actor(self) -> Any:
        """A handle to the actor whose method runs.

        Raises:
            RuntimeError: not in an actor's method.
        """
        from nbray.actor import ActorHandle

        engine = session.current()
        found = engine.context.actor() if engine is not None else None
        if found is None:
            raise RuntimeError("This method is only available in an actor.")
        return ActorHandle(*found)

    @property
    def namespace(self) -> str:
        """Where names of actors are looked up."""
        return self._info().namespace

    @property
    def gcs_address(self) -> str:
        """host:port of the cluster's head."""
        return self._info().address

    @property
    def was_current_actor_reconstructed(self) -> bool:
        """Whether the actor whose method runs has been restarted.

        Raises:
            AssertionError: in a driver.
        """
        return self._working().was_restarted

    def get_assigned_resources(self) -> dict[str, float]:
        """What the running task or actor holds, by Ray's names.

        Raises:
            AssertionError: in a driver.
        """
        return dict(self._working().assigned)

    def get_accelerator_ids(self) -> dict[str, list[str]]:
        """Accelerators the running task or actor holds: {'GPU': ['0'], 'TPU': [], ...}.

        By the names that Ray gives kinds of accelerators; nbray numbers GPUs only.
        """
        held: dict[str, list[str]] = {kind: [] for kind in _ACCELERATORS}
        held["GPU"] = [str(number) for number in self._info().gpus]
        return held

    def get_resource_ids(self) -> dict[str, list[str]]:
        """As `get_accelerator_ids`, which Ray prefers."""
        return self.get_accelerator_ids()

    def get_placement_group_id(self) -> str | None:
        """The placement group in which the running task or actor runs; None: in none."""
        return self._info().group or None

    @property
    def current_placement_group_id(self) -> Any:
        """The `PlacementGroupID` of the placement group in which this runs: nil in none."""
        from nbray.unique_ids import PlacementGroupID  # few programs ask

        found = self.get_placement_group_id()
        return PlacementGroupID.from_hex(found) if found else PlacementGroupID.nil()

    @property
    def should_capture_child_tasks_in_placement_group(self) -> bool:
        """Whether what the running code launches runs in its placement group, too."""
        return self._info().captures

    def get_runtime_env_string(self) -> str:
        """The environment of the running code, as JSON ('{}': none of its own)."""
        return self._info().runtime_env or "{}"

    @property
    def runtime_env(self) -> dict[str, Any]:
        """The environment of the running code, by Ray's keys."""
        from nbray.runtime_env import RuntimeEnv  # late: few ask

        return RuntimeEnv.deserialize(self.get_runtime_env_string())

    def get(self) -> dict[str, Any]:
        """The main ids in one dictionary, with Ray's keys."""
        info = self._info()
        found: dict[str, Any] = {
            "job_id": HexId(info.job_id),
            "node_id": HexId(info.node_id),
            "namespace": info.namespace,
        }
        if info.task_id:
            found["task_id"] = HexId(info.task_id)
        if info.actor_id:
            found["actor_id"] = HexId(info.actor_id)
        return found


class ClusterContext:
    """What `init` returns: the connection's addresses by Ray's keys, and a context manager.

    `with nbray.init(): ...` shuts down at the end.
    """

    ray_commit = ""

    def __init__(self, engine: Engine, shutdown: Callable[[], None]) -> None:
        self._engine = engine
        self._shutdown = shutdown
        self.python_version = platform.python_version()
        self.ray_version = __version__

    @property
    def dashboard_url(self) -> str:
        """The dashboard's address with its key: a whole link, where Ray has only host and port.

        It serves as soon as somebody opens it. '' without a dashboard: with
        include_dashboard=False, where no port was free, and with an engine that
        has no processes to look at. On a machine that has joined another's cluster
        a dashboard is started when it is asked for.

        Raises:
            RaySystemError: that one does not start; says why.
        """
        if not self._engine.context.runtime().session_dir:
            return ""
        return session.screens().dashboard_url(self._engine)

    def _dashboard(self) -> tuple[Any, str]:
        """The link that can be had for nothing, or None; and why not, if one was wanted."""
        if not self._engine.context.runtime().session_dir:
            return None, ""
        return session.screens().dashboard_known(self._engine)

    @property
    def address_info(self) -> dict[str, Any]:
        """node_ip_address, address, gcs_address, node_id and the rest of Ray's keys.

        What nbray has no counterpart of is ''. webui_url is `dashboard_url`, but ''
        where a dashboard would have to be started first.
        """
        info = self._engine.context.runtime()
        return {
            "node_ip_address": info.node_ip,
            "raylet_ip_address": info.node_ip,
            "redis_address": "",
            "object_store_address": "",
            "raylet_socket_name": "",
            "webui_url": str(self._dashboard()[0] or ""),
            "session_dir": info.session_dir,
            "metrics_export_port": metrics_port(self._engine),
            "gcs_address": info.address,
            "address": info.address,
            "dashboard_agent_listen_port": 0,
            "dashboard_agent_listening_port": 0,
            "node_id": info.node_id,
        }

    def disconnect(self) -> None:
        """As `nbray.shutdown()`, if this connection is still the one in use."""
        if session.current() is self._engine:
            self._shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.disconnect()

    def __getitem__(self, key: str) -> Any:
        if key == "dashboard_url":
            return self.dashboard_url
        return self.address_info[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.address_info)

    def __len__(self) -> int:
        return len(self.address_info)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of one of the keys of `address_info`."""
        return self.address_info.get(key, default)

    def keys(self) -> list[str]:
        """The keys of `address_info`."""
        return list(self.address_info)

    @property
    def in_use(self) -> bool:
        """Whether this connection is still the one in use (not shut down since)."""
        return session.current() is self._engine

    def __repr__(self) -> str:
        if not self.in_use:
            return "nbray: disconnected"
        nodes = sum(1 for node in self._engine.cluster.nodes() if node.get("Alive", True))
        total = self._engine.cluster.resources().get("CPU", 0)
        where = self._engine.context.runtime().address or "this machine only"
        link, why = self._dashboard()
        return (
            f"nbray {self.ray_version} ({self._engine.capabilities.name}): "
            f"{noun(nodes, 'node')}, {amount(total, 'CPU')}, {where}"
            + (f"\n{link!r}" if link is not None else f"\nNo dashboard: {why}" if why else "")
        )

    def _picture(self) -> Snapshot:
        """The cluster as it is; right after the start its nodes have not told theirs yet."""
        deadline = time.monotonic() + FIRST_PICTURE
        snapshot = self._engine.insight.snapshot()
        while not snapshot.nodes and not self._engine.ended and time.monotonic() < deadline:
            time.sleep(0.02)
            snapshot = self._engine.insight.snapshot()
        return snapshot

    def _repr_html_(self) -> str | None:
        """The cluster's status as static HTML, or None where there is nothing to show."""
        if not self.in_use:
            return None
        from nbray.view.panel import panel_html  # late: `import nbray` needs no templates

        link, why = self._dashboard()
        page = panel_html(self._picture())
        if link is not None:
            below = link._repr_html_()
        elif why:
            from html import escape  # late: it takes a millisecond

            below = f"No dashboard: {escape(why)}"
        else:
            return page
        return f'{page}\n<div style="padding:6px 14px">{below}</div>'

    def _repr_mimebundle_(
        self, include: Any = None, exclude: Any = None
    ) -> dict[str, str]:
        bundle = {"text/plain": repr(self)}
        page = self._repr_html_()
        if page is not None:
            bundle["text/html"] = page
        return bundle
