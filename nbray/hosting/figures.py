"""matplotlib's backend in workers: `plt.show()` sends the figures to the launching cell.

Owns when figures are sent and closed: at `show`, and what is left open at the
task's end, as in a notebook. Imported by matplotlib only, by its name in
MPLBACKEND. Rule: a figure is shown once.
"""

from __future__ import annotations

import base64
import io
from typing import Any

from matplotlib._pylab_helpers import Gcf
from matplotlib.backend_bases import FigureManagerBase
from matplotlib.backends.backend_agg import FigureCanvasAgg

from nbray import session

__all__ = ["FigureCanvas", "FigureManager", "png", "show", "show_open"]

FigureCanvas = FigureCanvasAgg
FigureManager = FigureManagerBase


def png(figure: Any) -> str:
    """*figure* as PNG, in base64, cut to what is drawn."""
    if not hasattr(figure.canvas, "print_png"):
        FigureCanvasAgg(figure)
    data = io.BytesIO()
    figure.canvas.print_figure(
        data, format="png", dpi=figure.dpi, bbox_inches="tight",
        facecolor=figure.get_facecolor(), edgecolor=figure.get_edgecolor(),
    )  # fmt: skip
    return base64.b64encode(data.getvalue()).decode()


def show(*_: Any, **__: Any) -> None:
    """Send every open figure and close it."""
    publisher = session.publisher()
    try:
        for manager in Gcf.get_all_fig_managers():
            figure = manager.canvas.figure
            if publisher is not None and (figure.axes or figure.texts or figure.images):
                data = {"image/png": png(figure), "text/plain": repr(figure)}
                publisher.publish(data, {}, "", False)
    finally:
        Gcf.destroy_all()


def show_open() -> None:
    """At a task's end: send what it left open."""
    if Gcf.figs:
        show()


_publisher = session.publisher()
if _publisher is not None:
    _publisher.at_end = show_open
