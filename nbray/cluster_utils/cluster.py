"""`Cluster`: a cluster of several nodes on this machine, for tests.

Owns which nodes a test has made. Does not own starting and ending them: `nbray.clusters` does,
as for `nbray start`. Rule: every node is a session of its own, with processes of its own; all
end with this process.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nbray import arguments, session
from nbray.api import init, shutdown
from nbray.clusters.launcher import Interpreter
from nbray.clusters.local import LOOPBACK, Local
from nbray.clusters.record import Record
from nbray.config import NodeRequest
from nbray.context import ClusterContext
from nbray.engine import Engine
from nbray.ids import node_hex

__all__ = ["Cluster", "ClusterNode"]

STORE_BYTES = 150 * 1024 * 1024
"""Of a node's object store, unless it is said, as in Ray."""
_LOOK = 0.05
"""Seconds between two looks at how many nodes there are."""
_TAKEN = frozenset({
    "num_cpus", "num_gpus", "resources", "labels", "object_store_memory", "node_ip_address",
    "memory", "object_spilling_directory", "include_dashboard", "dashboard_port", "env_vars",
    "redis_password",
})  # fmt: skip
_WITHOUT_EFFECT = frozenset({
    "redis_address", "gcs_address", "redis_port", "redis_shard_ports",
    "object_manager_port", "node_manager_port", "gcs_server_port", "node_name", "min_worker_port",
    "max_worker_port", "worker_port_list", "ray_client_server_port", "redirect_output",
    "log_to_stderr", "external_addresses", "num_redis_shards", "redis_max_clients",
    "redis_username", "plasma_directory", "worker_path",
    "setup_worker_path", "huge_pages", "dashboard_host", "dashboard_agent_listen_port",
    "runtime_env_agent_port", "plasma_store_socket_name", "raylet_socket_name", "temp_dir",
    "runtime_env_dir_name", "include_log_monitor", "autoscaling_config", "ray_debugger_external",
    "_system_config", "enable_object_reconstruction", "metrics_agent_port", "metrics_export_port",
    "tracing_startup_hook", "no_monitor", "session_name", "webui", "cluster_id", "node_id",
    "resource_isolation_config", "proxy_server_url",
})  # fmt: skip
"""What Ray's tests say of Ray's own processes and ports: there is nothing of it here."""


class ClusterNode:
    """A node that a `Cluster` has started; it lasts until it is removed or killed."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._killed = False

    @property
    def node_id(self) -> str:
        """As `nodes()` has it: 32 hexadecimal digits."""
        return node_hex(self._record.node, int(self._record.cluster or "0", 16))

    @property
    def unique_id(self) -> str:
        """The same."""
        return self.node_id

    @property
    def gcs_address(self) -> str:
        """'host:port' of the cluster."""
        return self._record.head_address

    @property
    def address(self) -> str:
        """The same."""
        return self._record.head_address

    @property
    def node_ip_address(self) -> str:
        """Where the node listens."""
        return self._record.address.rpartition(":")[0]

    @property
    def node_manager_port(self) -> int:
        """The node's TCP port."""
        return int(self._record.address.rpartition(":")[2])

    @property
    def webui_url(self) -> str:
        """'host:port' of the cluster's dashboard ('': another node has it, or there is none)."""
        port = self._record.dashboard.port
        return f"{LOOPBACK}:{port}" if port else ""

    @property
    def address_info(self) -> dict[str, Any]:
        """These, by Ray's keys."""
        return {
            "node_ip_address": self.node_ip_address,
            "address": self.address,
            "gcs_address": self.gcs_address,
            "webui_url": self.webui_url,
            "session_dir": self.get_session_dir_path(),
            "node_id": self.node_id,
            "object_store_address": self.get_session_dir_path(),
            "raylet_socket_name": self.get_session_dir_path(),
        }

    def get_session_dir_path(self) -> str:
        """The folder of the node's sockets and log."""
        return self._record.directory

    def is_head(self) -> bool:
        """Whether the cluster's head runs there."""
        return self._record.head

    def any_processes_alive(self) -> bool:
        """Whether it runs."""
        return Local().alive(self._record)

    def remaining_processes_alive(self) -> bool:
        """Whether it runs, or has been ended by one of the two below."""
        return self._killed or self.any_processes_alive()

    def kill_all_processes(
        self, check_alive: bool = True, allow_graceful: bool = False, wait: bool = False
    ) -> None:
        """End the node: at once, or in order if *allow_graceful*.

        Raises:
            RuntimeError: *check_alive*, and it has ended already.
        """
        if check_alive and not self.any_processes_alive():
            raise RuntimeError(f"Attempting to kill node {self.node_id}, which is already dead.")
        self._killed = True
        Local().stop([self._record], None if allow_graceful else 0.0)

    def kill_raylet(self, check_alive: bool = True) -> None:
        """End the node at once, as if its machine had failed; raises as `kill_all_processes`."""
        self.kill_all_processes(check_alive)

    def __repr__(self) -> str:
        kind = "head" if self.is_head() else "node"
        return f"<{kind} {self._record.node} of the cluster at {self.address}>"


class Cluster:
    """A cluster of nodes on this machine: `cluster.add_node(num_cpus=2)`, `cluster.connect()`.

    Args:
        initialize_head: start the head's node at once.
        connect: and attach this process to it, as `connect` does.
        head_node_args: of the head's node, as `add_node` takes them.
        shutdown_at_exit: the nodes end with this process.

    Raises:
        RuntimeError: *connect* without a head.
    """

    def __init__(
        self,
        initialize_head: bool = False,
        connect: bool = False,
        head_node_args: Mapping[str, Any] | None = None,
        shutdown_at_exit: bool = True,
    ) -> None:
        self.head_node: ClusterNode | None = None
        self.worker_nodes: set[ClusterNode] = set()
        self.connected = False
        self._ends_with = os.getpid() if shutdown_at_exit else 0
        if connect and not initialize_head:
            raise RuntimeError("Cannot connect to uninitialized cluster.")
        if initialize_head:
            self.add_node(**(head_node_args or {}))
            if connect:
                self.connect()

    @property
    def gcs_address(self) -> str | None:
        """'host:port' for `init` (None: there is no head)."""
        return None if self.head_node is None else self.head_node.gcs_address

    @property
    def address(self) -> str | None:
        """The same."""
        return self.gcs_address

    @property
    def webui_url(self) -> str | None:
        """'host:port' of the dashboard (None: there is no head)."""
        return None if self.head_node is None else self.head_node.webui_url

    def connect(self, namespace: str | None = None) -> ClusterContext:
        """Attach this process, as `init(address=cluster.address)` does.

        Raises:
            AssertionError: there is no head, or it is attached by this already.
        """
        assert self.address is not None
        assert not self.connected
        context = init(address=self.address, namespace=namespace, ignore_reinit_error=True)
        self.connected = True
        return context

    def add_node(self, wait: bool = True, **node_args: Any) -> ClusterNode:
        """Start a node: the first is the head's. It is in the cluster when this returns.

        Args:
            wait: without effect.
            node_args: `num_cpus` (1), `num_gpus` (0), `resources`, `labels`, `memory` (bytes),
                `object_store_memory` (bytes; 150 MiB), `node_ip_address`, `env_vars` (of its
                processes), `include_dashboard`, `dashboard_port`, `redis_password`. What Ray takes
                besides is about Ray's own processes and has no effect.

        Raises:
            TypeError, ValueError: an argument is unknown or wrong.
            RaySystemError: the node does not start; says why.
        """
        for name in node_args:
            if name not in _TAKEN and name not in _WITHOUT_EFFECT:
                raise TypeError(f"add_node() got an unexpected keyword argument {name!r}")
        launcher = Local()
        request, _ = launcher.settle(self._request(node_args))
        extra = node_args.get("env_vars")
        by = None
        if extra:
            by = Interpreter(sys.executable, {**os.environ, **extra}, str(Path.cwd()))
        node = ClusterNode(launcher.start(request, by))
        if self.head_node is None:
            self.head_node = node
        else:
            self.worker_nodes.add(node)
        return node

    def _request(self, given: Mapping[str, Any]) -> NodeRequest:
        cpus, gpus = given.get("num_cpus"), given.get("num_gpus")
        store = given.get("object_store_memory")
        head = self.head_node
        return NodeRequest(
            head=head is None,
            address="" if head is None else head.gcs_address,
            node_ip=arguments.text("node_ip_address", given.get("node_ip_address")) or LOOPBACK,
            num_cpus=arguments.amount("num_cpus", 1 if cpus is None else cpus),
            num_gpus=arguments.amount("num_gpus", 0 if gpus is None else gpus),
            resources=arguments.resources(given.get("resources"), given.get("memory")),
            labels=arguments.labels(given.get("labels")),
            object_store_memory=arguments.store_size(STORE_BYTES if store is None else store),
            spill_directory=arguments.folder(
                "object_spilling_directory", given.get("object_spilling_directory")
            ),
            secret=(
                arguments.text("redis_password", given.get("redis_password"))
                if head is None
                else head._record.secret
            ),
            dashboard=arguments.switch("include_dashboard", given.get("include_dashboard")),
            dashboard_port=arguments.port("dashboard_port", given.get("dashboard_port")),
            ends_with=self._ends_with,
        )

    def remove_node(self, node: ClusterNode, allow_graceful: bool = True) -> None:
        """End a node; its tasks run again on others. It has ended when this returns.

        Args:
            allow_graceful: False: at once, as if its machine had failed.

        Raises:
            ValueError: this process is attached through that node; it is attached no more then.
        """
        engine = session.live()
        if engine is not None and engine.context.runtime().node_id == node.node_id:
            shutdown()
            raise ValueError(
                "Removing a node that is connected to this Ray client is not allowed because it "
                "will break the driver. Remove another one: this process is attached through "
                f"{node!r}."
            )
        node.kill_all_processes(check_alive=False, allow_graceful=allow_graceful)
        if node is self.head_node:
            self.head_node = None
        else:
            self.worker_nodes.remove(node)

    def wait_for_nodes(self, timeout: float = 30) -> None:
        """Wait until the cluster has as many live nodes as were added and not removed.

        Raises:
            TimeoutError: it has not within *timeout* seconds.
        """
        until = time.monotonic() + timeout
        with self._looking() as engine:
            while True:
                alive = 0
                if engine is not None:
                    alive = sum(bool(row["Alive"]) for row in engine.cluster.nodes())
                if alive == len(self.list_all_nodes()):
                    return
                if time.monotonic() >= until:
                    raise TimeoutError("Timed out while waiting for nodes to join.")
                time.sleep(_LOOK)

    @contextlib.contextmanager
    def _looking(self) -> Iterator[Engine | None]:
        """An engine of this cluster: this process's, if it is attached to it (None: no head)."""
        engine = session.live()
        head = self.head_node
        if head is None:
            yield None
        elif engine is not None and engine.context.runtime().address == head.gcs_address:
            yield engine
        else:
            engine = Local().attach(head._record)
            try:
                yield engine
            finally:
                engine.shutdown()

    def list_all_nodes(self) -> list[ClusterNode]:
        """The nodes that were added and not removed, the head's first."""
        return [*([self.head_node] if self.head_node else []), *self.worker_nodes]

    def remaining_processes_alive(self) -> bool:
        """Whether all of them run that nobody has ended by their own methods."""
        return all(node.remaining_processes_alive() for node in self.list_all_nodes())

    def shutdown(self) -> None:
        """End all nodes; raises as `remove_node`."""
        for node in list(self.worker_nodes):
            self.remove_node(node)
        if self.head_node is not None:
            self.remove_node(self.head_node)
