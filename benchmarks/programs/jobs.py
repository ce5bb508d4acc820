"""Jobs as scientists have them, in seconds: by each system's own API, and serially.

A job is written once, over what all systems have in some form: start a function on arguments (of
which some are earlier results, or a value shared beforehand), and wait for results. Each system
says how it does that; what it cannot do in place (loky has neither shared values nor futures as
arguments) it does as its users do, through the parent. `running` sees to it that numpy has one
thread: serially is in one thread, and so is each worker.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from timing import module_name, report, wanted

CPUS = 2
ROUNDS = 5


# -- what runs elsewhere -------------------------------------------------------------------


def inside_circle(seed: int, count: int) -> int:
    points = np.random.default_rng(seed).random((2, count))
    return int(((points**2).sum(axis=0) < 1).sum())


def energy(array: np.ndarray) -> float:
    return float(np.sqrt(np.abs(np.sin(array))).sum())


def part_of_shared(array: np.ndarray, index: int, parts: int) -> float:
    size = len(array) // parts
    return float(np.sqrt(np.abs(array[index * size : (index + 1) * size])).sum())


def made(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(count)


def added(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a + b


def dealt(seed: int, count: int, parts: int) -> tuple[np.ndarray, ...]:
    """The rows of one source, by the part they belong to."""
    keys = np.random.default_rng(seed).integers(0, 1 << 30, count)
    where = keys % parts
    return tuple(keys[where == part] for part in range(parts))


def merged(*pieces: np.ndarray) -> int:
    together = np.concatenate(pieces)
    together.sort()
    return int(together[len(together) // 2])


def table(seed: int, rows: int) -> Any:
    import pandas as pd

    rng = np.random.default_rng(seed)
    return pd.DataFrame({"key": rng.integers(0, 500, rows), "value": rng.random(rows)})


def grouped(frame: Any) -> Any:
    return frame.groupby("key")["value"].agg(["sum", "count"])


def joined(*frames: Any) -> float:
    import pandas as pd

    total = pd.concat(frames).groupby(level=0).sum()
    return float((total["sum"] / total["count"]).sum())


def score(data: tuple[np.ndarray, np.ndarray], alpha: float, fold: int) -> float:
    """The error of one ridge regression on one fold."""
    x, y = data
    out = np.arange(len(x)) % 5 == fold
    inside = x[~out]
    weights = np.linalg.solve(
        inside.T @ inside + alpha * np.eye(x.shape[1]), inside.T @ y[~out]
    )
    return float(((x[out] @ weights - y[out]) ** 2).mean())


def blurred(tile: np.ndarray) -> np.ndarray:
    """A tile with its margin, smoothed: the mean of 9 x 9 neighbours."""
    margin = 4
    sums = np.cumsum(np.cumsum(tile, axis=0), axis=1)
    size = 2 * margin + 1
    return (sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]
            ) / size**2  # fmt: skip


def gradient(weights: np.ndarray, seed: int) -> np.ndarray:
    """Of 4 MB of weights."""
    return np.sin(weights * (seed % 7 + 1)) * 1e-3


class Server:
    """The weights, and who changes them."""

    def __init__(self, count: int) -> None:
        self.weights = np.ones(count)

    def push(self, *gradients: np.ndarray) -> np.ndarray:
        """The weights after these."""
        for one in gradients:
            self.weights = self.weights - one
        return self.weights


# -- the systems ---------------------------------------------------------------------------


class Serial:
    """No system."""

    def start(self, function: Callable[..., Any], *args: Any, returns: int = 1) -> Any:
        return function(*args)

    def share(self, value: Any) -> Any:
        return value

    def results(self, started: list[Any]) -> list[Any]:
        return started

    def actor(self, cls: type, *args: Any) -> Any:
        return cls(*args)

    def call(self, actor: Any, method: str, *args: Any) -> Any:
        return getattr(actor, method)(*args)

    def close(self) -> None:
        pass


class AsRay(Serial):
    """Ray's API: Ray, and nbray."""

    def __init__(self, name: str) -> None:
        self.ray = __import__(name)
        self.ray.init(address="local", num_cpus=CPUS)
        self.remotes: dict[Any, Any] = {}

    def start(self, function: Callable[..., Any], *args: Any, returns: int = 1) -> Any:
        remote = self.remotes.get((function, returns))
        if remote is None:
            remote = self.ray.remote(num_returns=returns)(function)
            self.remotes[function, returns] = remote
        return remote.remote(*args)

    def share(self, value: Any) -> Any:
        return self.ray.put(value)

    def results(self, started: list[Any]) -> list[Any]:
        return self.ray.get(started)

    def actor(self, cls: type, *args: Any) -> Any:
        return self.ray.remote(num_cpus=0)(cls).remote(*args)

    def call(self, actor: Any, method: str, *args: Any) -> Any:
        return getattr(actor, method).remote(*args)

    def close(self) -> None:
        self.ray.shutdown()


class Dask(Serial):
    def __init__(self) -> None:
        from distributed import Client, LocalCluster

        self.cluster = LocalCluster(n_workers=CPUS, threads_per_worker=1, dashboard_address=None)
        self.client = Client(self.cluster)

    def start(self, function: Callable[..., Any], *args: Any, returns: int = 1) -> Any:
        found = self.client.submit(function, *args, pure=False)
        if returns == 1:
            return found
        return [self.client.submit(_item, found, index, pure=False) for index in range(returns)]

    def share(self, value: Any) -> Any:
        return self.client.scatter(value, broadcast=True)

    def results(self, started: list[Any]) -> list[Any]:
        return self.client.gather(started)

    def actor(self, cls: type, *args: Any) -> Any:
        return self.client.submit(cls, *args, actor=True, pure=False).result()

    def call(self, actor: Any, method: str, *args: Any) -> Any:
        return getattr(actor, method)(*self.client.gather(list(args))).result()

    def close(self) -> None:
        self.client.close()
        self.cluster.close()


def _item(value: Any, index: int) -> Any:
    return value[index]


class Loky(Serial):
    def __init__(self) -> None:
        from loky import get_reusable_executor

        self.pool = get_reusable_executor(max_workers=CPUS, timeout=100)

    def start(self, function: Callable[..., Any], *args: Any, returns: int = 1) -> Any:
        found = self.pool.submit(function, *self.results(list(args)))
        return found if returns == 1 else found.result()

    def results(self, started: list[Any]) -> list[Any]:
        return [one.result() if hasattr(one, "result") else one for one in started]

    def call(self, actor: Any, method: str, *args: Any) -> Any:
        return getattr(actor, method)(*self.results(list(args)))

    def close(self) -> None:
        self.pool.shutdown()


# -- the jobs ------------------------------------------------------------------------------


def monte_carlo(on: Serial, _given: None) -> float:
    counts = on.results([on.start(inside_circle, seed, 500_000) for seed in range(64)])
    return round(4 * sum(counts) / (64 * 500_000), 6)


def arrays_in(on: Serial, given: list[np.ndarray]) -> float:
    return round(math.fsum(on.results([on.start(energy, one) for one in given])), 3)


def shared(on: Serial, given: np.ndarray) -> float:
    one = on.share(given)
    parts = [on.start(part_of_shared, one, index, 16) for index in range(16)]
    return round(math.fsum(on.results(parts)), 3)


def arrays_out(on: Serial, _given: None) -> float:
    return round(
        sum(float(one[-1]) for one in on.results([on.start(made, s, 500_000) for s in range(40)])),
        6,
    )


def tree(on: Serial, _given: None) -> float:
    level = [on.start(made, seed, 500_000) for seed in range(32)]
    while len(level) > 1:
        level = [on.start(added, level[i], level[i + 1]) for i in range(0, len(level), 2)]
    return round(float(on.results(level)[0].sum()), 3)


def shuffle(on: Serial, _given: None) -> int:
    sources = [on.start(dealt, seed, 500_000, 8, returns=8) for seed in range(8)]
    return sum(on.results([on.start(merged, *(one[i] for one in sources)) for i in range(8)]))


def group_by(on: Serial, given: list[Any]) -> float:
    return round(on.results([on.start(joined, *(on.start(grouped, one) for one in given))])[0], 6)


def grid_search(on: Serial, given: tuple[np.ndarray, np.ndarray]) -> float:
    data = on.share(given)
    alphas = [10.0**power for power in range(-4, 4)]
    runs = [on.start(score, data, alpha, fold) for alpha in alphas for fold in range(5)]
    return round(min(on.results(runs)), 6)


def tiles(on: Serial, given: np.ndarray) -> float:
    step, margin = 512, 4
    edges = range(0, len(given) - 2 * margin - 1, step)
    cut = [given[i : i + step + 2 * margin + 1, j : j + step + 2 * margin + 1]
           for i in edges for j in edges]  # fmt: skip
    return round(float(sum(t.sum() for t in on.results([on.start(blurred, c) for c in cut]))), 3)


def parameter_server(on: Serial, _given: None) -> float:
    server = on.actor(Server, 500_000)
    weights = on.call(server, "push")
    for step in range(20):
        ahead = [on.start(gradient, weights, 2 * step + worker) for worker in range(2)]
        weights = on.call(server, "push", *ahead)
    return round(float(on.results([weights])[0].sum()), 3)


def _random(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(count)


JOBS: dict[str, tuple[Callable[..., Any], Callable[[], Any]]] = {
    "Monte-Carlo": (monte_carlo, lambda: None),
    "arrays in": (arrays_in, lambda: [_random(500_000, seed) for seed in range(40)]),
    "one shared 200 MB array": (shared, lambda: _random(25_000_000)),
    "arrays out": (arrays_out, lambda: None),
    "a tree of sums": (tree, lambda: None),
    "an 8 x 8 shuffle of columns": (shuffle, lambda: None),
    "a group-by over 12 parts": (group_by, lambda: [table(seed, 200_000) for seed in range(12)]),
    "a grid search": (grid_search, lambda: (_random(20_000 * 60).reshape(20_000, 60),
                                            _random(20_000, 1))),
    "image tiles": (tiles, lambda: _random(2057 * 2057).reshape(2057, 2057)),
    "a parameter server with 4 MB": (parameter_server, lambda: None),
}  # fmt: skip


def main() -> None:
    name = module_name()
    systems = {"serial": Serial, "dask": Dask, "loky": Loky}
    on = systems[name]() if name in systems else AsRay(name)
    for job, (run, given) in JOBS.items():
        row = f"job: {job}"
        if not wanted(row):
            continue
        value = given()
        answer = run(on, value)  # processes start, functions and libraries are loaded
        times = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            again = run(on, value)
            times.append(time.perf_counter() - began)
            if again != answer and abs(again - answer) > 1e-6 * abs(answer):
                print(f"NOTE {job} gave {answer} and {again}", flush=True)
        report(row, sorted(times)[ROUNDS // 2])
        print(f"{job}: {answer}", file=sys.stderr)
    on.close()


if __name__ == "__main__":
    main()
