"""The sources as trees: many tests here look at all of them, and each is parsed once."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path


@cache
def parsed(path: Path) -> ast.Module:
    """The file's tree; who looks at it changes nothing in it."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))
