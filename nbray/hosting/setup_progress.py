"""What is said while an environment is made: lines that stay, and what goes on now.

Owns the protocol between who makes it and who shows it, and that what is shown has no codes of
terminals. Does not own either.
"""

from __future__ import annotations

import re
from typing import Protocol

_CODES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


def uncoloured(text: str) -> str:
    """What an installer says, without what colours it in a terminal."""
    return _CODES.sub("", text) if "\x1b" in text else text



class SetupProgress(Protocol):
    """Where it is said. Neither method waits."""

    def say(self, text: str) -> None:
        """A line that stays."""

    def now(self, what: str, line: str) -> None:
        """*what* goes on ('pip installs numpy'; '': nothing any more); its latest *line*."""
