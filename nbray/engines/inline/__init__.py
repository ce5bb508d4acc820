"""The inline engine: everything in this process, at once, with the same visible semantics.

Owns nothing itself; `start` makes the engine. It is the oracle of the contract
tests and a way to debug remote code with an ordinary debugger. Rule: whatever a
program can tell apart from the native engine, other than time and processes,
is a defect.
"""

from __future__ import annotations

from nbray.config import InitConfig
from nbray.engines.inline.engine import InlineEngine

__all__ = ["InlineEngine", "start"]


def start(config: InitConfig) -> InlineEngine:
    """A new engine in this process.

    Raises:
        ValueError: an address is given; there is no cluster to join.
    """
    if config.address not in {"", "local"}:
        raise ValueError(
            f"the inline engine runs in this process and cannot join {config.address!r}: "
            "leave out the address, or use engine='native'"
        )
    return InlineEngine(config)
