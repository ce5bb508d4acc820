"""The dashboard: the cluster in a browser, beside or without a notebook.

Owns a process of its own (`python -m nbray.dashboard`) that attaches to the
cluster as any driver does, one page and one WebSocket. Does not own how things
look (`nbray.view`). Rules: it costs nothing until somebody asks for it; it ends
with its cluster; all its addresses are relative.

The package can be called: `nbray.dashboard()` starts the dashboard of the
session's cluster, or finds the one that runs, and returns its link.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbray.dashboard.links import Link


def open_here(port: int | None = None) -> Link:
    """The link to the dashboard of this session's cluster; starts it at the first call.

    Args:
        port: TCP port on 127.0.0.1 (default: 8265, or the next one that is free).

    Raises:
        RaySystemError: there is no cluster to show, or the dashboard does not start.
    """
    from nbray import session
    from nbray.dashboard.launch import of_engine

    return of_engine(session.require(), port)


class _Callable(ModuleType):
    """`nbray.dashboard` is a package and, for users, a verb like `nbray.panel`."""

    def __call__(self, port: int | None = None) -> Link:
        return open_here(port)


sys.modules[__name__].__class__ = _Callable
