"""The Jupyter server's part: it finds the user's clusters and shows them to the sidebar.

Owns the entry points by which a Jupyter server loads it. Does not own the
requests (`handlers`), what there is (`clusters`), the looking (`watching`,
`observer`). Rule: the server's event loop never waits for a cluster.
"""

from __future__ import annotations

from typing import Any

NAME = "nbray.jupyter.server"
"""How the server's configuration calls this extension."""


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": NAME}]


def _load_jupyter_server_extension(server: Any) -> None:
    """Called by a Jupyter server at its start."""
    from nbray.jupyter.server.handlers import add

    add(server)
    server.log.info("nbray: the sidebar's requests are served")
