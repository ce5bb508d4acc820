"""The errors of the state API, with Ray's names."""

from __future__ import annotations

__all__ = ["DataSourceUnavailable", "RayStateApiException", "ServerUnavailable"]


class DataSourceUnavailable(Exception):
    """A process that was asked has not answered."""


class RayStateApiException(Exception):
    """The state of the cluster cannot be told as it was asked for; says why."""


class ServerUnavailable(RayStateApiException):
    """There is no cluster to ask."""
