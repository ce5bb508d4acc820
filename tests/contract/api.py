"""The API under test: nbray's, or with NBRAY_TEST_ENGINES=real that of the real Ray.

Every test of the contract has it from here and from nowhere else:

    from api import load, ray

    queue = load("util.queue")

so that it counts only if it passes over both.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

ENGINES = os.environ.get("NBRAY_TEST_ENGINES", "inline,native,scripted").split(",")
REAL = ENGINES == ["real"]
"""Whether the tests run over the real Ray, which has a process of its own: both do not mix."""

if "real" in ENGINES and not REAL:
    raise ValueError("NBRAY_TEST_ENGINES=real stands alone")

ray: Any = importlib.import_module("ray" if REAL else "nbray")


def load(name: str) -> Any:
    """The submodule *name* ('util.queue') of the API under test."""
    return importlib.import_module(f"{ray.__name__}.{name}")
