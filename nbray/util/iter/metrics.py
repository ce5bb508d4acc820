"""What the functions of an iterator count: one context, shared by all that it is made of."""

from __future__ import annotations

import collections
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self


class Stopwatch:
    """Measures what is done within it: `with metrics.timers["learn"]: ...`."""

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self._began = 0.0

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.count += 1
        self.total += time.monotonic() - self._began

    @property
    def mean(self) -> float:
        """Seconds, on average."""
        return self.total / self.count if self.count else 0.0


class MetricsContext:
    """What functions of an iterator have by `LocalIterator.get_metrics()`.

    Attributes:
        counters: numbers by name, 0 at first.
        timers: a `Stopwatch` by name.
        info: whatever else is noted.
        current_actor: which made the item that is handled; None: it comes from none.
    """

    def __init__(self) -> None:
        self.counters: dict[Any, int] = collections.defaultdict(int)
        self.timers: dict[Any, Stopwatch] = collections.defaultdict(Stopwatch)
        self.info: dict[Any, Any] = {}
        self.current_actor: Any = None

    def save(self) -> dict[str, Any]:
        """What `restore` takes; timers are left out."""
        return {"counters": dict(self.counters), "info": dict(self.info), "timers": None}

    def restore(self, values: Mapping[str, Any]) -> None:
        """Have what `save` gave."""
        self.counters.clear()
        self.counters.update(values["counters"])
        self.timers.clear()
        self.info = values["info"]


class SharedMetrics:
    """A context that an iterator and all it is made of have together."""

    def __init__(
        self, metrics: MetricsContext | None = None, parents: Iterable[SharedMetrics] = ()
    ) -> None:
        self.parents = list(parents)
        self.metrics = MetricsContext() if metrics is None else metrics
        self.set(self.metrics)

    def set(self, metrics: MetricsContext) -> None:
        """Have *metrics*, here and in all it is made of."""
        self.metrics = metrics
        for parent in self.parents:
            parent.set(metrics)

    def get(self) -> MetricsContext:
        """The context."""
        return self.metrics
