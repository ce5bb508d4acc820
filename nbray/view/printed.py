"""What a cell's tasks printed, under the cell: one block a node and worker, counted.

Owns the wording and the folding. Does not own what is kept or when it is drawn
(`nbray.jupyter.printed.router`). Rule: a few lines of one worker look as if the cell
had printed them; whatever is not shown is counted, with the way to see it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nbray import figures
from nbray.view import ansi
from nbray.view.names import worker as spelled
from nbray.view.render import render_exact
from nbray.view.screen import Line

PLAIN = 20
"""Lines of a single worker that are shown without any heading."""
RECENT = 10
"""Lines shown of several workers, or of many lines."""
WIDEST = 2_000
"""Characters of one line that are shown."""


class Worker(msgspec.Struct, frozen=True):
    """One worker's part: its last lines, and how many there were."""

    node: str
    pid: int
    count: int
    lines: tuple[Line, ...] = ()


class Printed(msgspec.Struct, frozen=True):
    """All that a cell's tasks have printed, as far as it is shown.

    Attributes:
        recent: the last lines of all workers, in the order in which they came.
        label: what `%nbray logs` knows the cell by: 'In[3]'.
    """

    workers: tuple[Worker, ...]
    recent: tuple[tuple[Worker, Line], ...]
    label: str = ""

    @property
    def count(self) -> int:
        """Lines in all."""
        return sum(worker.count for worker in self.workers)

    @property
    def plain(self) -> bool:
        """Whether it is shown as if the cell had printed it."""
        return len(self.workers) == 1 and self.count <= min(PLAIN, len(self.recent))


class _Row(msgspec.Struct, frozen=True):
    """A line as the template has it."""

    who: str
    html: str
    error: bool


class _Fold(msgspec.Struct, frozen=True):
    name: str
    count: str
    earlier: str
    rows: tuple[_Row, ...]


def _cut(text: str) -> str:
    if len(text) <= WIDEST:
        return text
    return f"{text[:WIDEST]} ... {figures.count(len(text) - WIDEST)} more characters"


def _row(line: Line, who: str = "") -> _Row:
    return _Row(who, ansi.to_html(_cut(line.text)), line.error)


def _names(workers: Sequence[Worker]) -> dict[Worker, str]:
    """How each is called in front of its lines: its node, with the pid where that has several."""
    nodes = [worker.node for worker in workers]
    return {
        worker: worker.node if nodes.count(worker.node) == 1 else spelled(worker.node, worker.pid)
        for worker in workers
    }


def _heading(printed: Printed) -> str:
    nodes = len({worker.node for worker in printed.workers})
    parts = [figures.noun(nodes, "node")] if nodes > 1 else []
    if len(printed.workers) > nodes:
        parts.append(figures.noun(len(printed.workers), "worker"))
    return ", ".join([*parts, figures.noun(printed.count, "line")])


def _earlier(shown: int, count: int, label: str) -> str:
    hidden = count - shown
    if hidden <= 0:
        return ""
    lines = figures.noun(hidden, "earlier line")
    return f"{lines}: %nbray logs {label}" if label else lines


def printed_html(printed: Printed) -> str:
    """The block; '' if nothing was printed."""
    if not printed.count:
        return ""
    names = _names(printed.workers)
    hidden = printed.count > len(printed.recent)
    recent = tuple(
        _row(line, "" if len(names) == 1 else names[worker]) for worker, line in printed.recent
    )
    folds = tuple(
        _Fold(
            name=spelled(worker.node, worker.pid),
            count=figures.noun(worker.count, "line"),
            earlier=_earlier(len(worker.lines), worker.count, printed.label),
            rows=tuple(_row(line) for line in worker.lines),
        )
        for worker in sorted(printed.workers, key=lambda one: (one.node, one.pid))
        if hidden
    )
    return render_exact(
        "printed",
        plain=printed.plain,
        heading=_heading(printed),
        recent=recent,
        more=_earlier(len(printed.recent), printed.count, printed.label),
        folds=folds,
    )


def printed_text(printed: Printed) -> str:
    """The same as text: what a front end without HTML shows, and what a search finds."""
    if printed.plain:
        return "\n".join(ansi.stripped(_cut(line.text)) for _, line in printed.recent)
    names = _names(printed.workers)
    wide = max((len(name) for name in names.values()), default=0)
    several = len(names) > 1
    lines = [f"Output · {_heading(printed)}"]
    earlier = _earlier(len(printed.recent), printed.count, printed.label)
    if earlier:
        lines.append(f"... {earlier}")
    for worker, line in printed.recent:
        side = f"{names[worker].ljust(wide)}  " if several else ""
        lines.append(f"{side}{ansi.stripped(_cut(line.text))}")
    return "\n".join(lines)


def log_html(lines: Sequence[tuple[str, Line]], earlier: str = "") -> str:
    """Many lines, as `%nbray logs` shows them: (who printed it, the line), in a scrolled box."""
    return render_exact("log", rows=tuple(_row(line, who) for who, line in lines), earlier=earlier)
