"""`ray.remote_function`: the class of remote functions."""

from __future__ import annotations

from nbray.remote import RemoteFunction as RemoteFunction

__all__ = ["RemoteFunction"]
