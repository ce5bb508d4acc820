"""Ray's `ray._private.test_utils`, as far as tests of Ray's users have it.

Owns waiting for a condition, and actors by which tests say when something may go on.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from nbray.api import get, kill
from nbray.exceptions import RayActorError
from nbray.remote import remote

__all__ = [
    "Semaphore", "SignalActor", "async_wait_for_condition", "get_non_head_nodes",
    "get_other_nodes", "kill_actor_and_wait_for_failure", "run_string_as_driver",
    "run_string_as_driver_nonblocking", "same_elements", "wait_for_condition",
    "wait_for_pid_to_exit",
]  # fmt: skip


@remote(num_cpus=0)
class SignalActor:
    """What waits goes on when somebody sends."""

    def __init__(self) -> None:
        self._sent = asyncio.Event()
        self._waiters = 0

    async def send(self, clear: bool = False) -> None:
        """Let what waits go on; with *clear*, what comes later waits for the next time."""
        self._sent.set()
        if clear:
            self._sent.clear()

    async def wait(self, should_wait: bool = True) -> None:
        """Come back when somebody has sent."""
        if should_wait:
            self._waiters += 1
            await self._sent.wait()
            self._waiters -= 1

    async def cur_num_waiters(self) -> int:
        """How many wait."""
        return self._waiters


@remote(num_cpus=0)
class Semaphore:
    """A semaphore of *value*."""

    def __init__(self, value: int = 1) -> None:
        self._semaphore = asyncio.Semaphore(value)

    async def acquire(self) -> None:
        """Come back when it is one's own."""
        await self._semaphore.acquire()

    async def release(self) -> None:
        """Let the next one have it."""
        self._semaphore.release()

    async def locked(self) -> bool:
        """Whether who asks now has to wait."""
        return self._semaphore.locked()


def wait_for_condition(
    condition_predictor: Callable[..., Any], timeout: float = 10, retry_interval_ms: float = 100,
    raise_exceptions: bool = False, **kwargs: Any,
) -> None:  # fmt: skip
    """Call `condition_predictor(**kwargs)` until it is true.

    Args:
        timeout: seconds.
        retry_interval_ms: milliseconds between two calls.
        raise_exceptions: what it raises is raised; else it counts as not true yet.

    Raises:
        RuntimeError: it is not true in time.
    """
    until, last = time.monotonic() + timeout, ""
    while time.monotonic() <= until:
        try:
            if condition_predictor(**kwargs):
                return
        except Exception as error:
            if raise_exceptions:
                raise
            last = f" Last exception: {error!r}"
        time.sleep(retry_interval_ms / 1000)
    raise RuntimeError(f"The condition wasn't met before the timeout expired.{last}")


async def async_wait_for_condition(
    condition_predictor: Callable[..., Awaitable[Any] | Any], timeout: float = 10,  # noqa: ASYNC109
    retry_interval_ms: float = 100, **kwargs: Any,
) -> None:  # fmt: skip
    """The same, for coroutines; the condition may be one."""
    until, last = time.monotonic() + timeout, ""
    while time.monotonic() <= until:
        try:
            found = condition_predictor(**kwargs)
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
        except Exception as error:  # noqa: BLE001 - users' conditions raise what they like
            last = f" Last exception: {error!r}"
        await asyncio.sleep(retry_interval_ms / 1000)
    raise RuntimeError(f"The condition wasn't met before the timeout expired.{last}")


def wait_for_pid_to_exit(pid: int, timeout: float = 20) -> None:
    """Wait until there is no process *pid*.

    Raises:
        TimeoutError: there is one after *timeout* seconds.
    """
    import psutil

    until = time.monotonic() + timeout
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > until:
            raise TimeoutError(f"Timed out while waiting for process {pid} to exit.")
        time.sleep(0.05)


def kill_actor_and_wait_for_failure(
    actor: Any, timeout: float = 10, retry_interval_ms: float = 100
) -> None:
    """Kill *actor*, and wait until its calls fail."""
    kill(actor)

    def failed() -> bool:
        try:
            get(actor.__ray_ready__.remote(), timeout=timeout)
        except RayActorError:
            return True
        return False

    wait_for_condition(failed, timeout, retry_interval_ms)


def run_string_as_driver(
    driver_script: str, env: dict[str, str] | None = None, encode: str = "utf-8",
    timeout: float | None = 300,
) -> str:  # fmt: skip
    """What a program prints that runs in a process of its own.

    Raises:
        subprocess.CalledProcessError: it failed.
        subprocess.TimeoutExpired: it has not ended after *timeout* seconds.
    """
    done = subprocess.run(
        [sys.executable, "-"], input=driver_script.encode(encode), env=_with(env),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, check=True,
    )  # fmt: skip
    return done.stdout.decode(encode)


def run_string_as_driver_nonblocking(
    driver_script: str, env: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """The process in which a program runs; what it prints is read from its pipes."""
    process = subprocess.Popen(
        [sys.executable, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=_with(env),
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(driver_script.encode())
    process.stdin.close()
    return process


def _with(env: dict[str, str] | None) -> dict[str, str]:
    return {**os.environ, **(env or {})}


def get_other_nodes(cluster: Any, exclude_head: bool = False) -> list[Any]:
    """The nodes of a `cluster_utils.Cluster` through which this process is not attached."""
    from nbray import session

    engine = session.live()
    mine = engine.context.runtime().node_id if engine is not None else ""
    return [
        node for node in cluster.list_all_nodes()
        if node.node_id != mine and not (exclude_head and node.is_head())
    ]  # fmt: skip


def get_non_head_nodes(cluster: Any) -> list[Any]:
    """The nodes of a `cluster_utils.Cluster` but the head's."""
    return [node for node in cluster.list_all_nodes() if not node.is_head()]


def same_elements(elems_a: Iterable[Any], elems_b: Iterable[Any]) -> bool:
    """Whether both have the same items, in whatever order."""
    return Counter(elems_a) == Counter(elems_b)
