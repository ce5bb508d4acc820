"""`ray.util.client`: Ray's client mode.

In Ray a client speaks to a process that is a driver in its stead. Every driver of nbray's speaks to
its cluster itself, also to one elsewhere, so that a client is a driver.
"""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["ray"]

ray: Any = sys.modules["nbray"]
"""The API."""
