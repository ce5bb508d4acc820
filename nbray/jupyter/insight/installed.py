"""What is installed where this runs. Runs as a task on other nodes.

Owns the reading of package metadata. Does not own the comparison
(`environment`). Imports nothing of IPython's, because workers have none loaded.
"""

from __future__ import annotations

import re
import sys
from importlib import metadata

import msgspec


class Installed(msgspec.Struct, frozen=True):
    """The packages of one Python environment."""

    versions: dict[str, str]
    """By normalised name (`scikit-learn`)."""
    executable: str
    """The Python that `-m pip` is run with."""


def normal(name: str) -> str:
    """A package's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed() -> Installed:
    """The packages that can be imported here. Reads a file for each package."""
    versions: dict[str, str] = {}
    for one in metadata.distributions():
        found = one.metadata  # parsed anew each time it is asked for
        name, version = found["Name"], found["Version"]
        if name and version:
            versions.setdefault(normal(name), version)  # the first one on the path counts
    return Installed(versions, sys.executable)
