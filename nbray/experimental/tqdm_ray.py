"""`tqdm`: a bar in a task, an actor or a driver, as Ray has it (a part of tqdm's interface).

Owns the bar's text. Does not own where it is shown: it is written to stderr as one line that
redraws itself, which a notebook shows under the cell and a script on its stderr.
"""

from __future__ import annotations

import builtins
import sys
import time
from collections.abc import Iterator
from typing import Any, Self

from nbray import figures

__all__ = ["instance", "safe_print", "tqdm"]

WIDTH = 24
"""Characters of the bar itself."""


def safe_print(*args: Any, **kwargs: Any) -> None:
    """`print`, which does not disturb bars here."""
    builtins.print(*args, **kwargs)  # noqa: T201 - it is what it is for


class BarManager:
    """Ray's keeper of a driver's bars. Here each bar is a line of its own, and nothing to keep."""

    def hide_bars(self) -> None:
        """Nothing need be hidden: what is printed stands between the bars' lines."""

    def unhide_bars(self) -> None:
        """See `hide_bars`."""


_manager = BarManager()


def instance() -> BarManager:
    """The keeper of this process's bars."""
    return _manager


class tqdm:  # noqa: N801 - Ray's name
    """A bar: `for item in tqdm(items): ...`, or `update(n)` by hand.

    Args:
        iterable: what is gone through.
        desc: what stands before the bar.
        total: how many steps there are (None: as many as *iterable* has, if that is known).
        unit: what is counted.
        position: no effect; each bar has a line of its own.
        flush_interval_s: seconds between two drawings, at least.
    """

    DEFAULT_FLUSH_INTERVAL_SECONDS = 1.0

    def __init__(
        self,
        iterable: Any = None,
        desc: str | None = None,
        total: int | None = None,
        unit: str | None = None,
        position: int | None = None,
        flush_interval_s: float | None = None,
    ) -> None:
        if total is None and hasattr(iterable, "__len__"):
            total = len(iterable)
        self.total = total
        self.n = 0
        self._iterable = iterable
        self._desc = desc or ""
        self._unit = unit or "it"
        if flush_interval_s is None:
            flush_interval_s = self.DEFAULT_FLUSH_INTERVAL_SECONDS
        self._interval = flush_interval_s
        self._started = time.monotonic()
        self._drawn = 0.0
        self._closed = False
        self._length = 0

    def set_description(self, desc: str) -> None:
        """Change what stands before the bar."""
        self._desc = desc
        self._draw()

    def update(self, n: int = 1) -> None:
        """*n* steps more are done."""
        self.n += n
        self._draw()

    def refresh(self) -> None:
        """Draw it, if the last time is long enough ago."""
        self._draw()

    def close(self) -> None:
        """Draw it a last time."""
        if not self._closed:
            self._closed = True
            self._write(end="\n")

    def _draw(self) -> None:
        now = time.monotonic()
        if now - self._drawn >= self._interval:
            self._drawn = now
            self._write()

    def _write(self, end: str = "") -> None:
        stream = sys.stderr
        if stream is not None:
            text = str(self)
            stream.write(f"\r{text.ljust(self._length)}{end}")
            self._length = len(text)
            stream.flush()

    def __str__(self) -> str:
        took = time.monotonic() - self._started
        speed = f"{self.n / took:,.1f} {self._unit}/s" if took > 0 and self.n else ""
        head = f"{self._desc}: " if self._desc else ""
        if not self.total:
            count = f"{self.n:,} {self._unit}"
            return f"{head}{count} [{', '.join(filter(None, (figures.duration(took), speed)))}]"
        share = min(1.0, self.n / self.total)
        bar = ("█" * round(share * WIDTH)).ljust(WIDTH)
        times = figures.duration(took)
        if 0 < self.n < self.total:
            times += f", {figures.left(took * (self.total - self.n) / self.n)}"
        said = ", ".join(filter(None, (times, speed)))
        return f"{head}{share:4.0%}|{bar}| {self.n:,}/{self.total:,} [{said}]"

    def __iter__(self) -> Iterator[Any]:
        if self._iterable is None:
            raise ValueError("No iterable provided")
        for item in self._iterable:
            yield item
            self.update(1)
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
