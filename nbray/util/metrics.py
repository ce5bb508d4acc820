"""Ray's `ray.util.metrics`: numbers of programs, for Prometheus.

Owns what this process has recorded. Does not own where it is gathered and served
(`metrics_page`).

Rule: who records nothing pays nothing. What is recorded is sent on within a second, by a
thread that ends when there is nothing more to send.
"""

from __future__ import annotations

import re
import threading
import time
import warnings
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, Self

from nbray import session
from nbray.ids import OWN_CELL
from nbray.util.metrics_page import Numbers, Series, page_actor

__all__ = ["Counter", "Gauge", "Histogram"]

PERIOD = 0.5
"""Seconds for which numbers are collected before they are sent."""
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


class _Recorded:
    """What this process has recorded, and the thread that sends it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._series: dict[str, Series] = {}
        self._changed: set[str] = set()
        self._sending = False
        self._page: tuple[Any, Any] = (None, None)
        """The engine, and the handle of the actor that gathers."""

    def series(self, name: str, kind: str, text: str, buckets: tuple[float, ...] = ()) -> Series:
        """That of a metric's name: metrics of one name are one."""
        with self._lock:
            found = self._series.get(name)
            if found is None or found.kind != kind:
                found = self._series[name] = Series(name, kind, text, buckets, {})
            return found

    def record(self, series: Series, tags: Mapping[str, str], value: float) -> None:
        """Add to a series, and have it sent."""
        key = tuple(sorted(tags.items()))
        with self._lock:
            numbers = series.numbers
            if series.kind == "gauge":
                numbers[key] = Numbers(value)
            else:
                before = numbers.get(key) or Numbers(0.0, [0] * (len(series.buckets) + 1))
                counts = before.counts
                if series.kind == "histogram":
                    counts[bisect_left(series.buckets, value)] += 1
                numbers[key] = Numbers(before.value + value, counts)
            self._changed.add(series.name)
            if self._sending:
                return
            self._sending = True
        threading.Thread(target=self._send, name="nbray-metrics", daemon=True).start()

    def _send(self) -> None:
        while True:
            time.sleep(PERIOD)
            with self._lock:
                changed = [self._series[name] for name in self._changed]
                self._changed.clear()
                if not changed:
                    self._sending = False
                    return
                # Copied, for others go on adding while they are pickled.
                copies = [
                    Series(one.name, one.kind, one.text, one.buckets, {
                        key: Numbers(n.value, list(n.counts)) for key, n in one.numbers.items()
                    })
                    for one in changed
                ]  # fmt: skip
            self._hand_over(copies)

    def _hand_over(self, series: list[Series]) -> None:
        engine = session.live()
        if engine is None or not engine.capabilities.processes:
            return  # nobody is there to gather it
        token = session.cell.set(OWN_CELL)  # not the user's work, which bars count
        try:
            if self._page[0] is not engine:
                self._page = (engine, page_actor())
            info = engine.context.runtime()
            where = {
                "Component": "core_worker", "NodeAddress": info.node_ip, "JobId": info.job_id,
                "WorkerId": info.worker_id,
            }  # fmt: skip
            engine.get([self._page[1].take.remote(where, series)], None)
        except Exception:  # noqa: BLE001 - no number is worth a program's failure
            self._page = (None, None)
        finally:
            session.cell.reset(token)


_recorded = _Recorded()


class Metric:
    """What all kinds have in common.

    Args:
        name: letters, digits and underscores. Prometheus gets it with `ray_` before it.
        description: what it is.
        tag_keys: names of tags; a value for each is given with each number, or by
            `set_default_tags`.

    Raises:
        TypeError: *tag_keys* is no tuple of strings.
        ValueError: the name is empty.
    """

    _kind = ""

    def __init__(
        self, name: str, description: str = "", tag_keys: tuple[str, ...] | None = None
    ) -> None:
        if not name:
            raise ValueError("Empty name is not allowed. Please provide a metric name.")
        self._name = name
        self._description = description
        self._tag_keys = tag_keys or ()
        self._default_tags: dict[str, str] = {}
        if not isinstance(self._tag_keys, tuple):
            raise TypeError(f"tag_keys should be a tuple type, got: {type(self._tag_keys)}")
        for key in self._tag_keys:
            if not isinstance(key, str):
                raise TypeError(f"Tag keys must be str, got {type(key)}.")
        self._series: Series | None = None
        if not _NAME.fullmatch(name):
            warnings.warn(
                f"Invalid metric name: {name}. Metric will be discarded and data will not be "
                "collected or published. Metric names can only contain letters, numbers, _, and "
                ":. Metric names cannot start with numbers.",
                UserWarning,
                stacklevel=3,
            )
            return
        if ":" in name:
            warnings.warn(
                f"Metric name {name} contains a : character, which is no longer allowed. Please "
                "migrate to the new metric name format. This will be an error in the future.",
                FutureWarning,
                stacklevel=3,
            )
        self._series = _recorded.series(name, self._kind, description, self._buckets())

    def _buckets(self) -> tuple[float, ...]:
        return ()

    def set_default_tags(self, default_tags: dict[str, str]) -> Self:
        """Values of tags where a number comes without; gives the metric back.

        Raises:
            ValueError: a key is none of the metric's.
            TypeError: a value is no string.
        """
        for key, value in default_tags.items():
            if key not in self._tag_keys:
                raise ValueError(f"Unrecognized tag key {key}.")
            if not isinstance(value, str):
                raise TypeError(f"Tag values must be str, got {type(value)}.")
        self._default_tags = default_tags
        return self

    @property
    def info(self) -> dict[str, Any]:
        """Name, description, tag keys and default tags."""
        return {
            "name": self._name,
            "description": self._description,
            "tag_keys": self._tag_keys,
            "default_tags": self._default_tags,
        }

    def _record(self, value: Any, tags: Mapping[str, str] | None) -> None:
        if self._series is None:
            return
        for one in (tags or {}).values():
            if not isinstance(one, str):
                raise TypeError(f"Tag values must be str, got {type(one)}.")
        given = {**self._default_tags, **(tags or {})}
        missing = [key for key in self._tag_keys if key not in given]
        if missing:
            raise ValueError(f"Missing value for tag key(s): {','.join(missing)}.")
        _recorded.record(self._series, given, float(value))

    def __reduce__(self) -> Any:
        return type(self), (self._name, self._description, self._tag_keys)


def _number(value: Any) -> Any:
    if not isinstance(value, (int, float)):
        raise TypeError(f"value must be int or float, got {type(value)}.")
    return value


class Counter(Metric):
    """A sum that only grows."""

    _kind = "counter"

    def inc(self, value: float = 1.0, tags: Mapping[str, str] | None = None) -> None:
        """Add *value*.

        Raises:
            ValueError: it is not more than 0, or a tag has no value.
            TypeError: it is no number, or a tag's value no string.
        """
        if _number(value) <= 0:
            raise ValueError(f"value must be >0, got {value}")
        self._record(value, tags)


class Gauge(Metric):
    """The last number that was set, in each process."""

    _kind = "gauge"

    def set(self, value: float | None, tags: Mapping[str, str] | None = None) -> None:
        """Set it (None: leave it); raises as `Counter.inc`, but may be any number."""
        if value is not None:
            self._record(_number(value), tags)


class Histogram(Metric):
    """How many numbers lay in which range.

    Args:
        boundaries: where ranges end, in ascending order; all more than 0.

    Raises:
        ValueError: there are none, or one is not more than 0.
    """

    _kind = "histogram"

    def __init__(
        self, name: str, description: str = "", boundaries: Sequence[float] | None = None,
        tag_keys: tuple[str, ...] | None = None,
    ) -> None:  # fmt: skip
        if not boundaries:
            raise ValueError(
                "boundaries argument should be provided when using the Histogram class. e.g., "
                'Histogram("name", boundaries=[1.0, 2.0])'
            )
        for place, one in enumerate(boundaries):
            if one <= 0:
                raise ValueError(
                    f"Invalid `boundaries` argument at index {place}, {boundaries}. Use positive "
                    "values for the arguments."
                )
        self.boundaries = boundaries
        super().__init__(name, description, tag_keys)

    def _buckets(self) -> tuple[float, ...]:
        return tuple(float(one) for one in self.boundaries)

    def observe(self, value: float, tags: Mapping[str, str] | None = None) -> None:
        """Count *value*; raises as `Counter.inc`, but may be any number."""
        self._record(_number(value), tags)

    @property
    def info(self) -> dict[str, Any]:
        """That of every metric, and the boundaries."""
        return {**super().info, "boundaries": self.boundaries}

    def __reduce__(self) -> Any:
        given = (self._name, self._description, self.boundaries, self._tag_keys)
        return Histogram, given
