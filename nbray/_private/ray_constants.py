"""`ray._private.ray_constants`: a few that programs look at."""

from __future__ import annotations

from nbray.config import DASHBOARD_PORT, DEFAULT_PORT

__all__ = [
    "DEFAULT_DASHBOARD_IP", "DEFAULT_DASHBOARD_PORT", "DEFAULT_PORT", "ID_SIZE", "NODE_DEFAULT_IP",
    "RAY_ADDRESS_ENVIRONMENT_VARIABLE",
]  # fmt: skip

DEFAULT_DASHBOARD_IP = "127.0.0.1"
DEFAULT_DASHBOARD_PORT = DASHBOARD_PORT
NODE_DEFAULT_IP = "127.0.0.1"
RAY_ADDRESS_ENVIRONMENT_VARIABLE = "RAY_ADDRESS"
ID_SIZE = 16
"""Bytes of an object's id."""
