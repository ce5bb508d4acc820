"""`register_ray()`: joblib's work on the cluster, by `joblib.parallel_config(backend="ray")`.

Owns the backend that joblib asks for. Does not own the processes (`multiprocessing.pool`),
nor which calls go together, which is joblib's.

Rule: an argument that is large, and the same for several calls, is stored once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from joblib import parallel_config
from joblib._parallel_backends import AutoBatchingMixin, FallbackToBackend, SequentialBackend
from joblib.parallel import BatchedCalls, ParallelBackendBase, register_parallel_backend

from nbray import session
from nbray.api import cluster_resources, get, init, is_initialized, put
from nbray.config import INLINE_LIMIT
from nbray.refs import ObjectRef
from nbray.util.call_batch import FailedCall, original
from nbray.util.chunk_run import weight
from nbray.util.multiprocessing.batches import Batches
from nbray.util.multiprocessing.pool import Pool

__all__ = ["register_ray"]


def register_ray() -> None:
    """Have joblib know the backends "ray" and "nbray", which are the same.

    Then `with joblib.parallel_config(backend="ray"): ...` runs there what joblib runs, and
    what is built on it, as scikit-learn's `n_jobs=-1`. Further arguments of
    `parallel_config`: `ray_remote_args`, the options of the actors that do the work.
    """
    register_parallel_backend("ray", RayBackend)
    register_parallel_backend("nbray", RayBackend)


class _Stored:
    """Stands in an argument's place for one that is in the object store."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> Any:
        return _Stored, (self.number,)


def _run(
    items: list[tuple[Any, list[Any], dict[str, Any]]], stored: list[ObjectRef[Any]], nested: Any
) -> list[Any]:
    """Make the calls of one batch; joblib's calls within them use the backend *nested*."""
    values = get(stored)

    def value(of: Any) -> Any:
        return values[of.number] if isinstance(of, _Stored) else of

    backend, n_jobs = nested
    with parallel_config(backend=backend, n_jobs=n_jobs):
        return [
            function(*map(value, args), **{key: value(one) for key, one in kwargs.items()})
            for function, args, kwargs in items
        ]


class RayBackend(AutoBatchingMixin, ParallelBackendBase):
    """joblib's backend: a pool of actors for each `Parallel`.

    Args:
        ray_remote_args: options of the actors (see `multiprocessing.Pool`).
    """

    supports_retrieve_callback = True

    def __init__(
        self, nesting_level: int | None = None, inner_max_num_threads: int | None = None,
        ray_remote_args: dict[str, Any] | None = None, **others: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads, **others
        )
        self.ray_remote_args = ray_remote_args
        self.parallel: Any = None
        self._pool: Pool | None = None
        self._cell = ""
        self._stored: dict[int, tuple[Any, ObjectRef[Any]]] = {}
        """By identity: what is large, held so that nothing else gets its identity."""

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many processes *n_jobs* stands for: -1 for as many as the cluster has CPUs.

        Raises:
            ValueError: it is 0.
        """
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        if n_jobs > 0:
            return n_jobs
        if not is_initialized():
            init()
        return max(1, int(cluster_resources().get("CPU", 1)) + 1 + n_jobs)

    def configure(
        self, n_jobs: int = 1, parallel: Any = None, prefer: Any = None, require: Any = None,
        ray_remote_args: dict[str, Any] | None = None, **_others: Any,
    ) -> int:  # fmt: skip
        """Start the processes for one `Parallel`; how many."""
        count = self.effective_n_jobs(n_jobs)
        if count == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        args = ray_remote_args if ray_remote_args is not None else self.ray_remote_args
        self._pool = Pool(count, ray_remote_args=args)
        self._cell = session.cell.get()
        self.parallel = parallel
        return count

    def submit(
        self, func: Any, callback: Callable[[Any], object] | None = None
    ) -> Future[list[Any]]:
        """Start a batch of calls; *callback* gets its future when it has ended."""
        assert self._pool is not None
        if isinstance(func, BatchedCalls):
            args = self._packed(func)
            shown = func.items[0][0] if func.items else None
        else:
            args = ([(func, [], {})], [], (None, None))
            shown = func
        token = session.cell.set(self._cell)  # joblib goes on in the thread of a callback
        try:
            batches = Batches(self._pool, _run, "full", shown)
            future: Future[list[Any]] = batches.submit([(args, {})], max(1, len(args[0]))).future()
        finally:
            session.cell.reset(token)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def _packed(self, batch: Any) -> tuple[Any, ...]:
        stored: list[ObjectRef[Any]] = []
        numbers: dict[int, int] = {}

        def packed(value: Any) -> Any:
            if weight(value) <= INLINE_LIMIT or isinstance(value, ObjectRef):
                return value
            number = numbers.get(id(value))
            if number is None:
                if id(value) not in self._stored:
                    self._stored[id(value)] = (value, put(value))
                number = numbers[id(value)] = len(stored)
                stored.append(self._stored[id(value)][1])
            return _Stored(number)

        items = [
            (function, [packed(one) for one in args],
             {key: packed(one) for key, one in kwargs.items()})
            for function, args, kwargs in batch.items
        ]  # fmt: skip
        return items, stored, (batch._backend, batch._n_jobs)

    def retrieve_result_callback(self, out: Future[list[Any]]) -> Any:
        """The results of a batch, from its future; raises what a call raised."""
        failed = out.exception()
        if failed is not None:
            raise original(failed)
        (result,) = out.result()
        if isinstance(result, FailedCall):
            raise result.error()
        return result

    @contextlib.contextmanager
    def retrieval_context(self) -> Iterator[None]:
        """joblib waits in here by itself: whoever watches waits is told."""
        watcher = session.watcher()
        if watcher is None or getattr(self.parallel, "return_generator", False):
            yield
            return
        with watcher():
            yield

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """A call failed, or was interrupted: end all others."""
        self.terminate()
        if ensure_ready:
            self.configure(
                n_jobs=self.parallel.n_jobs, parallel=self.parallel,
                **self.parallel._backend_kwargs,
            )  # fmt: skip

    def terminate(self) -> None:
        """End the processes, and let go of what was stored."""
        pool, self._pool = self._pool, None
        self._stored.clear()
        if pool is not None:
            pool.terminate()
        self.reset_batch_stats()
