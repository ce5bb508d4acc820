"""`ray.util.tracing.tracing_helper`: OpenTelemetry's spans of tasks, which nbray has not."""

from __future__ import annotations

__all__ = ["is_tracing_enabled"]

_global_is_tracing_enabled = False


def is_tracing_enabled() -> bool:
    """False."""
    return _global_is_tracing_enabled
