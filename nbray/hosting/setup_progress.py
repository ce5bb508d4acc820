"""What is said while an environment is made: lines that stay, and what goes on now.

Owns the protocol between who makes it and who shows it. Does not own either.
"""

from __future__ import annotations

from typing import Protocol


class SetupProgress(Protocol):
    """Where it is said. Neither method waits."""

    def say(self, text: str) -> None:
        """A line that stays."""

    def now(self, what: str, line: str) -> None:
        """*what* goes on ('pip installs numpy'; '': nothing any more); its latest *line*."""
