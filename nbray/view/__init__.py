"""Snapshots to HTML and plain text: pure functions over `nbray.events`.

Owns how things look, in one place for the notebook, the terminal, the sidebar
and the dashboard. Does not own when they are shown. Rule: no clock, no IO, no
state; the same arguments give the same text.
"""

from nbray.view.output import context_html, context_text, output_html, output_text
from nbray.view.panel import panel_html, panel_text
from nbray.view.progress import progress_html, progress_text

__all__ = [
    "context_html",
    "context_text",
    "output_html",
    "output_text",
    "panel_html",
    "panel_text",
    "progress_html",
    "progress_text",
]
