"""The rows: what each is called, its unit, and what the project asks of it.

Owns names, targets and which program measures what. Does not own measuring
(`programs`) nor repetition (`running`). Rule: a program is a whole process that
starts from nothing, as a user does, and uses public APIs only.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    name: str
    unit: str
    times: float | None = None
    """How often Ray's figure it should be (for times and sizes: Ray's over ours)."""
    bound: float | None = None
    """A figure that it should reach, or stay under."""
    lower_is_better: bool = False


@dataclass(frozen=True)
class Group:
    """Rows that one program measures in one process."""

    name: str
    program: str
    rows: tuple[Row, ...]
    systems: tuple[str, ...] = ("nbray", "ray")
    slow: bool = False
    """Left out unless asked for by name, or all are measured."""
    runs: int = 0
    """How often at most (0: as often as asked)."""


ASYNC, SYNC = "single client tasks async", "single client tasks sync"
MAP = "map of 1,000,000 tiny items"
POOLS = ("concurrent.futures", "multiprocessing.Pool", "loky", "dask", "ipyparallel")

MICROBENCHMARK = (
    Row("single client get calls", "/s", 30),
    Row("single client put calls", "/s", 40),
    Row("multi client put calls", "/s", 20),
    Row("single client put gigabytes", "GB/s", 3),
    Row("multi client put gigabytes", "GB/s", 1),
    Row("single client get object containing 10k refs", "/s", 5),
    Row("single client tasks and get batch", "/s", 40),
    Row("single client wait 1k refs", "/s", 30),
    Row(SYNC, "/s", 7),
    Row(ASYNC, "/s", 40),
    Row("multi client tasks async", "/s", 20),
    Row("1:1 actor calls sync", "/s", 4),
    Row("1:1 actor calls async", "/s", 15),
    Row("1:1 actor calls concurrent", "/s", 12),
    Row("1:n actor calls async", "/s", 12),
    Row("n:n actor calls async", "/s", 12),
    Row("n:n actor calls with arg async", "/s", 20),
    Row("1:1 async-actor calls sync", "/s", 4),
    Row("1:1 async-actor calls async", "/s", 20),
    Row("1:1 async-actor calls with args async", "/s", 20),
    Row("1:n async-actor calls async", "/s"),
    Row("n:n async-actor calls async", "/s"),
    Row("placement group create/removal", "/s", 5),
)

STREAMS = (
    Row("generator items", "/s", 20),
    Row("generator items, 10 unread at most", "/s"),
    Row("async generator method items", "/s"),
)

ENVIRONMENTS = tuple(
    Row(f"kept pip environment, {when}", "s", bound=0.3, lower_is_better=True)
    for when in ("workers up", "straight after init")
)
"""From submission to the first result in a cluster that has not used it yet. Ray keeps none."""

FEEL = (
    Row("import", "s", bound=0.1, lower_is_better=True),
    Row("start to first result", "s", times=14, bound=0.3, lower_is_better=True),
    Row("idle memory", "MB", bound=40, lower_is_better=True),
    Row("spread efficiency", "%", bound=97),
    Row("call beside 1,000 queued tasks, p50", "ms", lower_is_better=True),
    Row("call beside 1,000 queued tasks, p99", "ms", bound=20, lower_is_better=True),
    Row("task behind 1,000 queued ones, p50", "ms", lower_is_better=True),
    Row("task behind 1,000 queued ones, p99", "ms", bound=20, lower_is_better=True),
)

STOP = tuple(
    Row(f"Stop of {what}", "s", bound=1, lower_is_better=True)
    for what in ("time.sleep", "a Python loop", "a numpy call", "an actor's method")
)

MOVING = (
    Row("1 GB from node to node", "GB/s", times=1),
    Row("limit: CurveZMQ alone between the two nodes", "GB/s"),
    Row("CPU time of both nodes for each GB moved", "s", lower_is_better=True),
    Row("task beside a transfer, p99", "ms", bound=30, lower_is_better=True),
    Row("200 MB to one node, a gigabit each", "s", lower_is_better=True),
    Row("200 MB to six nodes over one transfer, a gigabit each", "times", bound=2.5,
        lower_is_better=True),
)
"""Between network namespaces: nbray's are encrypted, Ray's are not."""

SIZES = ("1,000", "100,000", "1,000,000")
MILLION = (
    *(Row(f"time per task at {size}", "µs", lower_is_better=True) for size in SIZES),
    *(
        Row(f"driver memory per pending task at {size}", "B", bound=1500, lower_is_better=True)
        for size in SIZES
    ),
)

JOBS = tuple(
    Row(f"job: {name}", "s", lower_is_better=True)
    for name in (
        "Monte-Carlo", "arrays in", "one shared 200 MB array", "arrays out", "a tree of sums",
        "an 8 x 8 shuffle of columns", "a group-by over 12 parts", "a grid search", "image tiles",
        "a parameter server with 4 MB",
    )
)  # fmt: skip
"""Each by every system's own API, and serially, with two processes."""

_PARTS = (
    "submitting: function, spec, id, entry", "pickling", "references and counts",
    "queues, leases, results", "messages and sockets", "waiting and the baton",
    "running: queue, bracket, answer", "the rest of Python",
)  # fmt: skip
BUDGET = tuple(
    Row(f"budget: {name}", "µs", lower_is_better=True)
    for name in (
        "wall", "driver", *(f"driver, {part}" for part in _PARTS),
        "worker", *(f"worker, {part}" for part in _PARTS), "node", "head",
    )
)  # fmt: skip

LIMITS = (
    Row("limit: pipe round trips", "/s"),
    Row("limit: Unix socket round trips, polled", "/s"),
    Row("limit: ZeroMQ PUSH/PULL round trips, ipc", "/s"),
    Row("limit: ZeroMQ messages one way, ipc", "/s"),
    Row("limit: pickle dumps and loads of small arguments", "/s"),
    Row("limit: cloudpickle dumps of small arguments", "/s"),
    Row("limit: msgspec, tasks of a batch of 50, there and back", "/s"),
    Row("limit: memcpy of 800 MB, one thread, pages there", "GB/s"),
    Row("limit: memcpy of 800 MB, two threads, pages there", "GB/s"),
    Row("limit: memcpy of 800 MB into fresh pages", "GB/s"),
    Row("limit: fork of this process", "ms", lower_is_better=True),
)

GROUPS = (
    Group("feel", "feel.py", FEEL),
    Group("microbenchmark", "calls.py", MICROBENCHMARK),
    Group("streams", "streams.py", STREAMS),
    Group("environments", "environments.py", ENVIRONMENTS, ("nbray",)),
    Group("pools", "pools.py", (Row(ASYNC, "/s"), Row(SYNC, "/s")), POOLS, slow=True),
    # Python's own maps are the peers: Ray has no map over plain functions in its core.
    Group("map", "map.py", (Row(MAP, "/s"),), ("nbray", *POOLS[:2]), slow=True),
    Group("screens", "screens.py",
          (Row("cost of events and progress", "%", bound=5, lower_is_better=True),), ("nbray",)),
    Group("shown", "panel_shown.py",
          (Row("panel on screen", "s", bound=1, lower_is_better=True),), ("nbray",), slow=True),
    Group("panel", "panel_cost.py",
          tuple(Row(f"panel beside {what} cluster", "% of a core", bound=2, lower_is_better=True)
                for what in ("an idle", "a busy")), ("nbray",), slow=True),
    Group("stop", "stop.py", STOP, ("nbray",), slow=True),
    Group("namespaces", "namespaces.py",
          (Row("tasks async over two namespaces, encrypted", "/s"),
           Row("tasks async over one namespace, local", "/s")),
          ("nbray",), slow=True),
    Group("moving", "moving.py", MOVING, slow=True),
    Group("jobs", "jobs.py", JOBS, ("nbray", "ray", "dask", "loky", "serial"), slow=True),
    Group("million", "million.py", MILLION, ("nbray",), slow=True),
    Group("budget", "budget.py", BUDGET, ("nbray",), slow=True),
    Group("limits", "limits.py", LIMITS, ("limits",), slow=True),
)  # fmt: skip

LEFT_OUT: dict[str, str] = {}
