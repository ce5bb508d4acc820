"""Ray's `ray.runtime_context`: the names that programs import from there.

Does not own what they are (`nbray.context`).
"""

from __future__ import annotations

from nbray.api import get_runtime_context
from nbray.context import RuntimeContext

__all__ = ["RuntimeContext", "get_runtime_context"]
