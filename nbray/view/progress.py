"""Progress of one cell: a total, a row for each node, why work waits.

Owns what the bars say, as HTML and as text. Does not own when they appear or
how fast work goes: the caller gives `now` and `rate`.

Rule: a bar of finished work is full, and red where work failed, with the count.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from nbray import figures
from nbray.events import CellView, NodeCounts, Snapshot
from nbray.view.render import render

ROWS = 24
"""Nodes with a row of their own; the rest share one."""
LARGE = 10 << 20
"""Bytes on their way between nodes that are worth a line."""
Kind = Literal["done", "bad", "run"]
_BLOCKS = " ▏▎▍▌▋▊▉█"


class Segment(msgspec.Struct, frozen=True):
    """A coloured part of a bar."""

    kind: Kind
    percent: float


class Note(msgspec.Struct, frozen=True):
    """A piece of the text beside a bar; `bad` ones are red."""

    text: str
    bad: bool = False


class ProgressRow(msgspec.Struct, frozen=True):
    """One bar and what stands on its sides."""

    label: str
    segments: tuple[Segment, ...]
    notes: tuple[Note, ...]
    now: int
    """Finished tasks, for screen readers."""
    top: int
    """Tasks a full bar stands for, for screen readers."""

    @property
    def said(self) -> str:
        """The notes as one plain phrase."""
        return " · ".join(note.text for note in self.notes)


class Reason(msgspec.Struct, frozen=True):
    """A line under the bars: its head is set off from the rest."""

    head: str
    rest: str


class Progress(msgspec.Struct, frozen=True):
    """Everything the bars of one cell say, before it is HTML or text."""

    total: ProgressRow
    rows: tuple[ProgressRow, ...]
    reasons: tuple[Reason, ...]
    finished: bool

    @property
    def bars(self) -> tuple[ProgressRow, ...]:
        """The total and the rows; none where nothing was submitted, and something is waited for."""
        return () if not self.total.top and self.reasons else (self.total, *self.rows)

    @property
    def wide(self) -> bool:
        """Whether the figures need more room than the usual columns."""
        rows = (self.total, *self.rows)
        return len(self.total.label) > 16 or any(len(row.said) > 30 for row in rows)


def progress(cell: CellView, now: float, rate: float) -> Progress:
    """What to say of *cell* at *now* (monotonic seconds) with *rate* tasks ending a second."""
    finished = cell.finished
    shown = cell.nodes[:ROWS] if len(cell.nodes) > ROWS + 1 else cell.nodes
    rest = cell.nodes[len(shown) :]
    # While work goes on, a node's bar is measured against an even share (or the
    # busiest node), so that nodes can be compared; at the end every bar is full.
    share = max(
        [cell.submitted / max(1, len(cell.nodes))]
        + [node.done + node.failed + node.cancelled + node.running for node in cell.nodes]
    )
    rows = [_node_row(node, share, finished) for node in shown]
    if rest:
        together = NodeCounts(
            number=0,
            name=f"{figures.count(len(rest))} more",
            done=sum(node.done for node in rest),
            running=sum(node.running for node in rest),
            failed=sum(node.failed for node in rest),
            cancelled=sum(node.cancelled for node in rest),
        )
        rows.append(_node_row(together, share * len(rest), finished))
    rows += _kind_rows(cell, finished)
    return Progress(_total_row(cell, now, rate), tuple(rows), _reasons(cell), finished)


def _segments(done: float, bad: float, run: float, whole: float) -> tuple[Segment, ...]:
    whole = max(whole, done + bad + run)
    if whole <= 0:
        return ()
    found: list[tuple[Kind, float]] = [("done", done), ("bad", bad), ("run", run)]
    parts = {kind: figures.percent(part, whole) for kind, part in found if part}
    # One failure in a thousand must be seen: it takes its width from the others.
    if 0 < parts.get("bad", 0) < 1.5:
        parts["bad"] = 1.5
        over = sum(parts.values()) - 100
        if over > 0:
            widest = max((kind for kind in parts if kind != "bad"), key=parts.__getitem__)
            parts[widest] -= over
    return tuple(Segment(kind, round(part, 2)) for kind, part in parts.items())


def _kind_rows(cell: CellView, finished: bool) -> list[ProgressRow]:
    """A row for each function and actor: those that run first, then the largest."""
    kinds = sorted(cell.rows, key=lambda one: (-one.running, -one.done - one.failed))
    shown, rest = kinds[:ROWS], kinds[ROWS:]
    if rest:
        more = NodeCounts(
            number=0, name=f"{figures.count(len(rest))} more", done=sum(one.done for one in rest),
            running=sum(one.running for one in rest), failed=sum(one.failed for one in rest),
            cancelled=sum(one.cancelled for one in rest),
        )  # fmt: skip
        shown = [*shown, more]
    rows = []
    for one in shown:
        begun = one.done + one.failed + one.cancelled + one.running
        row = _node_row(one, max(1, begun), finished)
        rows.append(row if begun else msgspec.structs.replace(row, notes=(Note("waiting"),)))
    return rows


def _node_row(node: NodeCounts, share: float, finished: bool) -> ProgressRow:
    bad = node.failed + node.cancelled
    ended = node.done + bad
    notes = [Note(f"{figures.count(node.done)} done")] if node.done or not bad else []
    if node.running and not finished:
        notes.append(Note(f"{figures.count(node.running)} running"))
    if node.failed:
        notes.append(Note(f"{figures.count(node.failed)} failed", bad=True))
    if node.cancelled:
        notes.append(Note(f"{figures.count(node.cancelled)} cancelled", bad=True))
    running = 0 if finished else node.running
    whole = ended if finished else share
    return ProgressRow(
        label=node.name or f"node {node.number}",
        segments=_segments(node.done, bad, running, whole),
        notes=tuple(notes),
        now=ended,
        top=max(round(whole), ended + running),
    )


def _total_row(cell: CellView, now: float, rate: float) -> ProgressRow:
    ended = cell.done + cell.failed
    notes: list[Note] = []
    if cell.submitted == 0:
        notes.append(Note("no tasks yet"))
    elif cell.finished:
        took = max(0.0, cell.updated - cell.started)
        if cell.failed:
            notes.append(Note(_failures(cell), bad=True))
        notes.append(Note(figures.duration(took)))
        if took > 0 and cell.done:
            notes.append(Note(figures.rate(cell.done / took)))
    else:
        if cell.failed:
            notes.append(Note(_failures(cell), bad=True))
        if ended and _straggles(cell):  # how fast the others were says nothing of these
            notes.append(Note(f"longest running: {figures.duration(round(cell.oldest))}"))
        elif rate > 0:
            notes.append(Note(figures.rate(rate)))
            notes.append(Note(figures.left((cell.submitted - ended) / rate)))
        else:
            notes.append(Note(f"{figures.duration(round(max(0.0, now - cell.started)))} so far"))
    if cell.yielded:
        notes.append(Note(figures.noun(cell.yielded, "value")))
    return ProgressRow(
        label=f"{figures.count(cell.done)} of {figures.count(cell.submitted)}",
        segments=_segments(cell.done, cell.failed, cell.running, cell.submitted),
        notes=tuple(notes),
        now=ended,
        top=cell.submitted,
    )


def _straggles(cell: CellView) -> bool:
    """Whether all that is left runs, and something of it for longer than most did."""
    mean = cell.work / cell.measured if cell.measured and not cell.items else 0.0
    return not cell.queued and cell.running > 0 and cell.oldest >= max(1.0, 1.5 * mean)


def _failures(cell: CellView) -> str:
    crashed = cell.failed - cell.cancelled
    parts = [f"{figures.count(crashed)} failed"] if crashed else []
    if cell.cancelled:
        parts.append(f"{figures.count(cell.cancelled)} cancelled")
    return " · ".join(parts)


def _reasons(cell: CellView) -> tuple[Reason, ...]:
    found = []
    if cell.queued and cell.nodes and not cell.finished:
        found.append(
            Reason(
                f"{figures.count(cell.queued)} queued",
                f" · {figures.count(cell.running)} running",
            )
        )
    for sentence in cell.waiting:
        head, colon, rest = sentence.partition(":")
        head = head[:1].upper() + head[1:]
        found.append(Reason(head + colon, rest))
    return tuple(found)


def moving(snapshot: Snapshot) -> tuple[str, ...]:
    """What is on its way between nodes, a sentence for each node it goes to."""
    names = {node.number: node.name or f"node {node.number}" for node in snapshot.nodes}
    twins = [node.name for node in snapshot.nodes]
    names = {
        number: f"{name} · {number}" if twins.count(name) > 1 else name
        for number, name in names.items()
    }
    return tuple(
        f"{figures.memory(node.figures.moving)} moving: from "
        f"{names.get(node.figures.moving_from, 'another node')} to {names[node.number]}"
        for node in snapshot.nodes
        if node.alive and node.figures.moving >= LARGE
    )


def progress_html(cell: CellView, now: float, rate: float) -> str:
    """The bars of *cell* as HTML without scripts or outside resources."""
    return render("progress", progress=progress(cell, now, rate))


def progress_text(
    cell: CellView, now: float, rate: float, width: int = 80, height: int = 12
) -> str:
    """The bars of *cell* as lines of at most *width* columns, at most *height* bars."""
    what = progress(cell, now, rate)
    rows = list(what.bars)
    hidden = len(rows) - height
    if hidden > 0:
        rows = rows[:height]
    side = min(24, max((len(row.label) for row in rows), default=0))
    room = max((len(row.said) for row in rows), default=0)
    bar = max(8, min(40, width - side - room - 4))
    lines = [
        f"{_fit(row.label, side)}  {_bar(row, bar, what.finished)}  {row.said}".rstrip()
        for row in rows
    ]
    if hidden > 0:
        lines.append(f"and {figures.noun(hidden, 'more row')}")
    lines += [figures.plain(f"{reason.head}{reason.rest}") for reason in what.reasons]
    return "\n".join(line[: max(width, 20)] for line in lines)


def _fit(text: str, width: int) -> str:
    text = figures.plain(text)
    return text.ljust(width) if len(text) <= width else text[: width - 1] + "…"


def _bar(row: ProgressRow, width: int, finished: bool) -> str:
    """Full blocks for done, ╳ for failed, ▒ for running, and light dots for the rest."""
    amounts = {segment.kind: segment.percent * width / 100 for segment in row.segments}
    bad = max(1, round(amounts["bad"])) if "bad" in amounts else 0
    if finished:
        return ("█" * (width - bad) + "╳" * bad) if row.segments else "█" * width
    done = min(amounts.get("done", 0.0), width - bad)
    text = "█" * int(done)
    if not bad and "run" not in amounts and len(text) < width:
        text += _BLOCKS[int((done - int(done)) * 8)].strip()
    text += "╳" * bad
    run = round(amounts["run"]) or 1 if "run" in amounts else 0
    text += "▒" * min(run, width - len(text))
    return text.ljust(width, "·")
