"""What the first panel needs, loaded while the node starts.

Owns the moment. Does not own the panel. Rule: nobody waits for it; whoever needs
a module that is being loaded here waits for the rest of it only.
"""

from __future__ import annotations

import threading

from nbray.jupyter.cells import Cells

HEAD_START = 0.1
"""Seconds the driver gets to load its own part, which the start waits for."""


def load_ahead(own: Cells) -> threading.Thread | None:
    """Load widgets and templates in a thread; None where there are no widgets to show."""
    if own.kernel is None:
        return None
    thread = threading.Timer(HEAD_START, _load)
    thread.name, thread.daemon = "nbray-ahead", True
    thread.start()
    return thread


def _load() -> None:
    from nbray.events import Snapshot
    from nbray.jupyter import panel  # noqa: F401 - ipywidgets take longest
    from nbray.view.panel import panel_html

    panel_html(Snapshot())
