"""The entry for jupyter-server-proxy: the dashboard under `nbray/` of a Jupyter server.

Owns what that package is told. Jupyter lets its user in and starts the process
at the first visit; a private Unix socket lies between the two, so that no port
is open and no key is needed.
"""

from __future__ import annotations

import sys
from importlib import resources
from typing import Any


def setup() -> dict[str, Any]:
    """The server process as jupyter-server-proxy wants it described."""
    return {
        "command": [sys.executable, "-P", "-m", "nbray.dashboard", "--socket", "{unix_socket}"],
        "unix_socket": True,
        "timeout": 20,
        "new_browser_tab": True,
        "launcher_entry": {
            "enabled": True,
            "title": "nbray dashboard",
            "icon_path": str(resources.files("nbray.dashboard").joinpath("static/icon.svg")),
            "path_info": "nbray/",
        },
    }
