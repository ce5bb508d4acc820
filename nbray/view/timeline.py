"""Which worker ran what when: a row for each worker, a bar for each task, as inline SVG.

Owns the picture, its bounds and the Chrome trace of the same bars. Does not
own where the bars come from. Rule: however many tasks there are, a picture has
at most `MOST_BARS` bars; neighbours that are too thin to be told apart are
drawn as one that says how many it stands for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from nbray import figures
from nbray.view.names import worker
from nbray.view.render import render

MOST_BARS = 3_000
MOST_ROWS = 64
WIDTH = 760
"""Pixels of the whole picture, as wide as the bars of a cell."""
LABEL, TOP, ROW, BAR = 148, 22, 20, 12
"""Pixels: left of the bars, above them, from row to row, height of a bar."""
_HUES = ("#2f6fde", "#2c8a4b", "#b7791f", "#8250c4", "#0f8b8d", "#c2557a", "#5d7a1f")
COLOURS = len(_HUES)
"""Functions with a colour of their own, those that took longest; the rest are grey."""
_OTHERS = "#6a737d"
_BAD = "#c9372c"
_DIGITS = re.compile(r"(\d+)")


class Bar(msgspec.Struct, frozen=True):
    """One task that a worker ran; times in seconds of any one clock."""

    node: str
    pid: int
    function: str
    cell: str
    start: float
    end: float
    failed: bool = False
    open: bool = False
    """It still runs; `end` is now."""


class Rect(msgspec.Struct, frozen=True):
    """A drawn bar, in pixels."""

    x: float
    width: float
    colour: str
    said: str
    open: bool = False


class Lane(msgspec.Struct, frozen=True):
    """One worker's row."""

    label: str
    y: int
    rects: tuple[Rect, ...]


class Tick(msgspec.Struct, frozen=True):
    """A line of the time axis."""

    x: float
    label: str


class Timeline(msgspec.Struct, frozen=True):
    """Everything the picture shows, before it is SVG."""

    lanes: tuple[Lane, ...]
    ticks: tuple[Tick, ...]
    legend: tuple[tuple[str, str, str], ...]
    """(colour, function, what it took)."""
    height: int
    said: str
    """The picture in one sentence, for who cannot see it."""
    note: str


def timeline(
    bars: Iterable[Bar],
    start: float | None = None,
    end: float | None = None,
    width: int = WIDTH,
) -> Timeline:
    """What to draw of *bars* between *start* and *end* (default: of the bars themselves).

    *width* is the picture's, in pixels.
    """
    shown = sorted(bars, key=lambda bar: bar.start)
    first = start if start is not None else min((bar.start for bar in shown), default=0.0)
    last = end if end is not None else max((bar.end for bar in shown), default=first)
    last = max(last, first + 1e-6)
    shown = [bar for bar in shown if bar.end >= first and bar.start <= last]
    rows: dict[tuple[str, int], list[Bar]] = {}
    for bar in shown:
        rows.setdefault((bar.node, bar.pid), []).append(bar)
    keys = sorted(rows, key=_natural)[:MOST_ROWS]
    sums = _sums(shown)
    colours = _colours(sums)
    scale = (width - LABEL - 12) / (last - first)
    # Finer than this nothing can be told apart, or there would be too many bars.
    grain = max(1.0, (width - LABEL) * max(1, len(keys)) / MOST_BARS)
    lanes = tuple(
        Lane(
            figures.plain(worker(node, pid)),
            TOP + index * ROW,
            tuple(_rects(rows[node, pid], first, last, scale, grain, colours)),
        )
        for index, (node, pid) in enumerate(keys)
    )
    hidden = len(rows) - len(keys)
    return Timeline(
        lanes=lanes,
        ticks=tuple(_ticks(first, last, scale)),
        legend=tuple(_legend(sums, colours, sum(bar.failed for bar in shown))),
        height=TOP + ROW * len(lanes) + 6,
        said=f"{figures.noun(len(shown), 'task')} on {figures.noun(len(rows), 'worker')} in "
        f"{figures.duration(last - first)}",
        note=f"and {figures.noun(hidden, 'more worker')}" if hidden else "",
    )


def _natural(key: tuple[str, int]) -> tuple[list[tuple[int, str]], int]:
    """host2 before host10."""
    parts = [(int(part), "") if part.isdigit() else (0, part) for part in _DIGITS.split(key[0])]
    return parts, key[1]


def _sums(bars: Sequence[Bar]) -> dict[str, tuple[int, float]]:
    """Tasks and seconds by function, those that took longest first."""
    sums: dict[str, tuple[int, float]] = {}
    for bar in bars:
        number, took = sums.get(bar.function, (0, 0.0))
        sums[bar.function] = (number + 1, took + bar.end - bar.start)
    return dict(sorted(sums.items(), key=lambda item: -item[1][1]))


def _colours(sums: dict[str, tuple[int, float]]) -> dict[str, str]:
    """No two functions share a hue; by name, so that a colour stays while ranks change."""
    own = sorted(list(sums)[:COLOURS])
    return dict.fromkeys(sums, _OTHERS) | dict(zip(own, _HUES, strict=False))


def _rects(
    bars: Sequence[Bar], first: float, last: float, scale: float, grain: float,
    colours: dict[str, str],
) -> Iterable[Rect]:  # fmt: skip
    group: list[Bar] = []
    left = right = 0.0
    for bar in bars:
        x = LABEL + (max(bar.start, first) - first) * scale
        end = max(x + 0.5, LABEL + (min(bar.end, last) - first) * scale)
        alike = group and (group[0].function, group[0].failed) == (bar.function, bar.failed)
        if alike and end - left < grain:
            group.append(bar)
            right = max(right, end)
            continue
        if group and x < left + grain and end - left < grain:
            group.append(bar)  # several functions within one pixel: the first gives its colour
            right = max(right, end)
            continue
        if group:
            yield _rect(group, left, right, colours)
        group, left, right = [bar], x, end
    if group:
        yield _rect(group, left, right, colours)


def _rect(group: Sequence[Bar], left: float, right: float, colours: dict[str, str]) -> Rect:
    one = group[0]
    took = sum(bar.end - bar.start for bar in group)
    if len(group) == 1:
        said = f"{one.function}, {figures.duration(took)}" + (f", {one.cell}" if one.cell else "")
    else:
        said = f"{figures.count(len(group))} tasks, {one.function} first, {figures.duration(took)}"
    if any(bar.failed for bar in group):
        said += ", failed"
    if one.open:
        said += " so far"
    colour = _BAD if any(bar.failed for bar in group) else colours[one.function]
    width = round(max(0.8, right - left), 1)
    return Rect(round(left, 1), width, colour, figures.plain(said), one.open)


def _ticks(first: float, last: float, scale: float) -> Iterable[Tick]:
    span = last - first
    step = next(
        (s for s in _steps() if span / s <= 8),
        span,
    )
    count = int(span / step) + 1
    for index in range(count):
        at = index * step
        yield Tick(round(LABEL + at * scale, 1), _tick(at, step))


def _steps() -> Iterable[float]:
    """Lengths that people count in."""
    for power in range(-4, 1):
        for factor in (1, 2, 5):
            yield factor * 10.0**power
    yield from (10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200)
    for days in (1, 2, 5, 10, 20, 50, 100):
        yield days * 86_400.0


def _tick(at: float, step: float) -> str:
    if step >= 86_400:
        return f"{at / 86_400:g} d"
    if step >= 3600:
        return f"{at / 3600:g} h"
    if step >= 60:
        return f"{at / 60:g} min"
    if step >= 1 or at == 0:
        return f"{at:g} s"
    return f"{at * 1000:g} ms" if step < 0.01 or at < 1 else f"{at:.1f} s"


def _legend(
    sums: dict[str, tuple[int, float]], colours: dict[str, str], failed: int
) -> Iterable[tuple[str, str, str]]:
    own, others = list(sums.items())[:COLOURS], list(sums.values())[COLOURS:]
    for name, (number, took) in own:
        said = f"{figures.noun(number, 'task')}, {figures.duration(took)}"
        yield colours[name], figures.plain(name), said
    if others:
        number, took = sum(n for n, _ in others), sum(took for _, took in others)
        said = f"{figures.noun(number, 'task')}, {figures.duration(took)}"
        yield _OTHERS, figures.noun(len(others), "other function"), said
    if failed:
        yield _BAD, "failed", figures.noun(failed, "task")


def timeline_html(
    bars: Iterable[Bar],
    start: float | None = None,
    end: float | None = None,
    width: int = WIDTH,
) -> str:
    """The picture as HTML with inline SVG, without scripts or outside resources."""
    line = timeline(bars, start, end, width)
    return render("timeline", line=line, width=width, label=LABEL, bar=BAR)


def timeline_text(bars: Iterable[Bar], width: int = 72) -> str:
    """The picture as text: a line of blocks for each worker."""
    shown = list(bars)
    if not shown:
        return "no tasks"
    what = timeline(shown)
    side = max(len(lane.label) for lane in what.lanes)
    lines = [what.said]
    for lane in what.lanes:
        cells = [" "] * width
        for rect in lane.rects:
            left = int((rect.x - LABEL) / (WIDTH - LABEL) * width)
            right = int((rect.x + rect.width - LABEL) / (WIDTH - LABEL) * width)
            for index in range(left, min(width, max(left + 1, right))):
                cells[index] = "╳" if rect.colour == _BAD else "█"
        lines.append(f"{figures.plain(lane.label).ljust(side)} |{''.join(cells)}|")
    return "\n".join(lines)


def chrome_trace(bars: Iterable[Bar]) -> list[dict[str, Any]]:
    """The bars as Chrome's trace events (for chrome://tracing and Perfetto), in microseconds."""
    shown = list(bars)
    first = min((bar.start for bar in shown), default=0.0)
    nodes = {name: index + 1 for index, name in enumerate(sorted({bar.node for bar in shown}))}
    events: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": number, "args": {"name": name}}
        for name, number in nodes.items()
    ]
    events += [
        {
            "ph": "X",
            "name": bar.function,
            "cat": "failed" if bar.failed else "task",
            "pid": nodes[bar.node],
            "tid": bar.pid,
            "ts": round((bar.start - first) * 1e6),
            "dur": max(0, round((bar.end - bar.start) * 1e6)),
            "args": {"cell": bar.cell},
        }
        for bar in shown
    ]
    return events
