"""Ray's `ray.util.iter`: iterators whose items are made by actors, a shard each.

Ray has deprecated them; programs that have them run.
"""

from __future__ import annotations

from nbray.util.iter.local import LocalIterator
from nbray.util.iter.metrics import MetricsContext, SharedMetrics
from nbray.util.iter.parallel import (
    ParallelIterator,
    from_actors,
    from_items,
    from_iterators,
    from_range,
)
from nbray.util.iter.shard import ParallelIteratorWorker

__all__ = [
    "LocalIterator", "MetricsContext", "ParallelIterator", "ParallelIteratorWorker",
    "SharedMetrics", "from_actors", "from_items", "from_iterators", "from_range",
]  # fmt: skip
