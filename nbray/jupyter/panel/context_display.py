"""What `init` returns, shown as the panel.

Owns the registration with IPython, by type, so that the context itself knows no screen. Does
not own the panel. Rule: where there is no notebook, or the connection has ended, IPython shows
the context's own HTML or text.
"""

from __future__ import annotations

import sys

from nbray.context import ClusterContext
from nbray.jupyter.notebook import Notebook
from nbray.jupyter.panel.staying import staying


def show(context: ClusterContext) -> None:
    """Display a panel in the place of *context*.

    Raises:
        NotImplementedError: not in a notebook, or ended: IPython then shows what is left.
    """
    if context.in_use and "ipykernel" in sys.modules:
        from nbray.jupyter.panel import panel  # late: it loads ipywidgets

        if panel.show():
            if other := staying():
                print(other, flush=True)
            return
    raise NotImplementedError


def install(notebook: Notebook) -> None:
    """Have the shell of *notebook*, if there is one, show contexts so. Idempotent."""
    shell = notebook.attach().cells.shell
    if shell is not None:
        shell.display_formatter.ipython_display_formatter.for_type(ClusterContext, show)
