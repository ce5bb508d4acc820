"""`ray.runtime_context`: where the calling code runs."""

from __future__ import annotations

from nbray.api import get_runtime_context as get_runtime_context
from nbray.context import RuntimeContext as RuntimeContext

__all__ = ["RuntimeContext", "get_runtime_context"]
