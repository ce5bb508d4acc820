"""`ray.util.debug`: saying something once."""

from __future__ import annotations

__all__ = ["log_once"]

_said: set[str] = set()


def log_once(key: str) -> bool:
    """Whether this is the first time that *key* is asked for in this process."""
    if key in _said:
        return False
    _said.add(key)
    return True
