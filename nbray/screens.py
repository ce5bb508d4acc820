"""Which screens a process has: a notebook's cells, marimo, a terminal, the dashboard.

Owns the choice, by what else the process has loaded. Does not own what any of them
shows. Rules: the package registers this with the session as it is imported, so that what lies
below reaches its screens without knowing them; each is imported when it is first needed, so
that `import nbray` stays light.
"""

from __future__ import annotations

import sys
from typing import Any

from nbray.engine import Engine


class LazyScreens:
    """Those of this process (see `nbray.session.Screens`)."""

    def begin(self) -> None:
        """Bars for long waits and what tasks print, where someone may see them."""
        if "marimo" in sys.modules:
            from nbray.jupyter import marimo

            marimo.install()
        terminal = sys.stderr is not None and sys.stderr.isatty()
        if terminal or "IPython" in sys.modules:
            from nbray.jupyter.notebook import current
            from nbray.jupyter.panel import context_display
            from nbray.jupyter.waiting import progress

            progress.install()
            context_display.install(current())

    def job(self) -> Any:
        """A place under the running cell; None without a notebook."""
        if "IPython" not in sys.modules:
            return None
        from nbray.jupyter import jobs

        return jobs.show()

    def dashboard_url(self, engine: Engine) -> str:
        """The link to the dashboard of *engine*'s cluster, which is started if need be."""
        from nbray.dashboard import launch

        return str(launch.url(engine))

    def dashboard_known(self, engine: Engine) -> tuple[Any, str]:
        """The link that can be had for nothing, or None; and why not, if one was wanted."""
        from nbray.dashboard import launch

        return launch.known(engine)
