"""`ray._version`."""

from __future__ import annotations

from nbray.as_ray import VERSION

__all__ = ["commit", "version"]

version = VERSION
commit = ""
