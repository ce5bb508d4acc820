"""`%nbray logs`, `%nbray receipt`: what tasks printed, in full; what a cell's work took.

Owns the choice of what is meant by the words after it. Does not own the text
(`logs`) nor the figures (`nbray.view.receipt`). Rule: what is not found is one
sentence with what there is.
"""

from __future__ import annotations

from pathlib import Path

from nbray import session
from nbray.figures import noun
from nbray.jupyter.failures.errors import NotebookError
from nbray.jupyter.notebook import current
from nbray.jupyter.printed.logs import Log, Logs
from nbray.jupyter.waiting.receipt import ReceiptDisplay
from nbray.view.receipt import receipt as made


def logs(kept: Logs, words: list[str], save: str = "") -> Log | None:
    """Of *kept*: the text of a cell ('3', 'In[3]'), of a worker (its pid) or a node (its name).

    Without words: of the last cell that printed, or a list of the cells if there are several.
    """
    if not len(kept):
        print("No task has printed anything yet.")
        return None
    if not words:
        if len(kept) > 1 and not save:
            _list(kept)
            return None
        found = _of_cell(kept, kept.cells()[-1])
    elif len(words) == 1:
        cell = current().cells.labelled(words[0])
        found = _of_cell(kept, cell) if kept.get(cell) else Log(kept.workers(words[0]))
        if not found:
            known = ", ".join(label for label in map(current().cells.label, kept.cells()) if label)
            raise NotebookError(
                f"%nbray logs: no cell, worker or node {words[0]!r} has printed anything; "
                f"these cells have: {known or 'none that is remembered'}"
            )
    else:
        raise NotebookError("%nbray logs takes one cell, pid or node")
    if save:
        Path(save).expanduser().write_text(found, encoding="utf-8")
        print(f"{noun(len(found.lines), 'line')} written to {save}")
        return None
    return found


def receipt(words: list[str]) -> ReceiptDisplay | None:
    """The receipt of a cell ('3', 'In[3]'), or of the last that launched work; short work too."""
    engine = session.current()
    views = engine.insight.snapshot().cells if engine is not None else {}
    ended = [view for view in views.values() if view.submitted and view.finished]
    if len(words) > 1:
        raise NotebookError("%nbray receipt takes one cell")
    if words:
        cell = current().cells.labelled(words[0])
        ended = [view for view in ended if view.cell == cell]
    for view in reversed(ended):
        found = made(view, asked=True)
        if found is not None:
            return ReceiptDisplay(found)
        if words:
            break
    where = f"Cell {words[0]} has no receipt" if words else "No cell has a receipt"
    print(f"{where} yet: it takes two tasks that have ended.")
    return None


def _of_cell(kept: Logs, cell: str) -> Log:
    log = kept.get(cell)
    return Log(log.lines() if log is not None else [])


def _list(kept: Logs) -> None:
    for cell in kept.cells():
        log = kept.get(cell)
        if log is not None:
            count, printers = log.size
            workers = noun(printers, "worker")
            name = current().cells.label(cell) or "another program"
            print(f"{name:>10}  {noun(count, 'line')} of {workers}")
    print("%nbray logs CELL shows them all, %nbray logs PID or NODE those of a worker or node.")
