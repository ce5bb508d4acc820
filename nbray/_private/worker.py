"""`ray._private.worker`: the verbs again, and what this process is to its cluster.

Owns `global_worker`. Does not own what it says: that is the runtime context's.
"""

from __future__ import annotations

from typing import Any

from nbray import session
from nbray.api import (
    cancel,
    get,
    get_actor,
    get_gpu_ids,
    init,
    is_initialized,
    kill,
    put,
    shutdown,
    wait,
)
from nbray.context import ClusterContext, RuntimeContext
from nbray.context import ClusterContext as BaseContext
from nbray.context import ClusterContext as RayContext
from nbray.exceptions import RaySystemError
from nbray.remote import remote
from nbray.util import get_node_ip_address

__all__ = [
    "LOCAL_MODE", "RESTORE_WORKER_MODE", "SCRIPT_MODE", "SPILL_WORKER_MODE", "WORKER_MODE",
    "BaseContext", "RayContext", "Worker", "cancel", "get", "get_actor", "get_gpu_ids",
    "global_worker", "init", "is_initialized", "kill", "put", "remote", "shutdown", "wait",
]  # fmt: skip

SCRIPT_MODE = 0
WORKER_MODE = 1
LOCAL_MODE = 2
SPILL_WORKER_MODE = 3
RESTORE_WORKER_MODE = 4


class Worker:
    """What this process is to its cluster. There is one, `global_worker`."""

    @property
    def connected(self) -> bool:
        """Whether there is a cluster: `init` was called here, or this is a worker."""
        return is_initialized()

    @property
    def mode(self) -> int | None:
        """`SCRIPT_MODE` in a driver, `WORKER_MODE` in a worker; None without a cluster."""
        engine = session.live()
        if engine is None or session.is_forked():
            return None
        if session.publisher() is not None:
            return WORKER_MODE
        return SCRIPT_MODE

    def check_connected(self) -> None:
        """Refuse to go on without a cluster.

        Raises:
            RaySystemError: there is none.
        """
        if not self.connected:
            raise RaySystemError(
                "nbray is not running: call nbray.init() first"
            )

    @property
    def _context(self) -> RuntimeContext:
        self.check_connected()
        return RuntimeContext()

    @property
    def namespace(self) -> str:
        """Where names of actors are looked up."""
        return self._context.namespace

    @property
    def gcs_client(self) -> None:
        """None: there is no such service."""

    @property
    def node(self) -> Any:
        """The node on which this process runs, by Ray's names; None without a cluster."""
        return _Node() if self.connected else None

    @property
    def node_ip_address(self) -> str:
        """The address of that node."""
        return get_node_ip_address()

    @property
    def current_job_id(self) -> str:
        """The job, in hexadecimal digits."""
        return self._context.get_job_id()

    @property
    def current_node_id(self) -> str:
        """The node, in hexadecimal digits."""
        return self._context.get_node_id()

    @property
    def current_task_id(self) -> str | None:
        """The running task, in hexadecimal digits; None in a driver."""
        return self._context.get_task_id()

    @property
    def worker_id(self) -> str:
        """This process, in hexadecimal digits."""
        return self._context.get_worker_id()

    @property
    def actor_id(self) -> str | None:
        """The actor whose method runs, in hexadecimal digits; None outside."""
        return self._context.get_actor_id()


class _Node:
    """What `global_worker.node` says."""

    @property
    def address_info(self) -> dict[str, Any]:
        """Addresses by Ray's keys, as `init` returns them."""
        return ClusterContext(session.require(), shutdown).address_info

    @property
    def node_ip_address(self) -> str:
        """The node's address."""
        return get_node_ip_address()

    @property
    def gcs_address(self) -> str:
        """host:port of the cluster's head."""
        return RuntimeContext().gcs_address

    address = gcs_address

    @property
    def unique_id(self) -> str:
        """The node's id, in hexadecimal digits."""
        return RuntimeContext().get_node_id()

    def get_session_dir_path(self) -> str:
        """The session's folder on this machine."""
        return session.require().context.runtime().session_dir


global_worker = Worker()
