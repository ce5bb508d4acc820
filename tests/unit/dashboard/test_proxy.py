"""What jupyter-server-proxy is told."""

from __future__ import annotations

import tomllib
from pathlib import Path

from harness import ROOT

from nbray.dashboard.proxy import setup


def test_the_entry_is_registered_and_complete() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    entries = project["entry-points"]["jupyter_serverproxy_servers"]
    assert entries == {"nbray": "nbray.dashboard.proxy:setup"}
    given = setup()
    assert "{unix_socket}" in given["command"]
    assert given["unix_socket"] is True
    assert Path(given["launcher_entry"]["icon_path"]).read_text().startswith("<svg")
