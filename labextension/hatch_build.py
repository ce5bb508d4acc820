"""pip's way to the sidebar: builds it into the wheel, with Node.js from a wheel if need be.

`NBRAY_SIDEBAR=0` leaves it out.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


def _sibling() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "nbray_sidebar_build", Path(__file__).with_name("build.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class SidebarHook(BuildHookInterface):
    """Runs before hatchling gathers the wheel's files."""

    def _wanted(self) -> bool:
        return os.environ.get("NBRAY_SIDEBAR") != "0"

    def dependencies(self) -> list[str]:
        """What pip installs into the build's own environment."""
        return _sibling().requirements() if self._wanted() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build what `shared_data` names below."""
        if not self._wanted():
            return
        sidebar = _sibling()
        sidebar.build()
        for path in sorted(sidebar.BUILT.rglob("*")):
            if path.is_file() and path.name != sidebar.STAMP:
                inside = path.relative_to(sidebar.BUILT)
                build_data["shared_data"][str(path)] = f"share/jupyter/labextensions/nbray/{inside}"
        install = "share/jupyter/labextensions/nbray/install.json"
        build_data["shared_data"][str(sidebar.HERE / "install.json")] = install
