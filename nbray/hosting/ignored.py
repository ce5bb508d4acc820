"""Which files of a folder are left out, by patterns in the form of `.gitignore` files.

Owns the meaning of the patterns. Does not own reading folders (`packages`). Rule: as in Ray, the
last pattern that fits a path, or a folder above it, decides; `a/` is all that lies in `a`, not `a`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_Rule = tuple[re.Pattern[str], bool]
"""(what fits, it comes back)."""


class Ignored:
    """The patterns of one file, for paths relative to the folder in which it lies."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._rules = [rule for line in lines if (rule := _rule(line)) is not None]

    def says(self, path: str) -> bool | None:
        """Whether *path* ('a/b') is left out; None if nothing is said of it."""
        said = None
        for pattern, back in self._rules:
            if pattern.fullmatch(path):
                said = not back
        return said


def _rule(line: str) -> _Rule | None:
    text = line.rstrip("\r\n").lstrip(" ")
    if not text.endswith("\\ "):
        text = text.rstrip(" ")
    if not text or text.startswith("#"):
        return None
    back = text.startswith("!")
    text = text[1:] if back or text.startswith(("\\#", "\\!")) else text
    folders = text.endswith("/")
    text = text.rstrip("/")
    if not text:
        return None
    anchored = "/" in text
    try:
        start = "" if anchored else "(?:.*/)?"
        below = "/.+" if folders else "(?:/.+)?"
        pattern = re.compile(start + _expression(text.lstrip("/")) + below, re.DOTALL)
    except re.error:
        return None
    return pattern, back


def _expression(text: str) -> str:
    out = []
    at = 0
    while at < len(text):
        char = text[at]
        if text.startswith("**/", at) and (at == 0 or text[at - 1] == "/"):
            out.append("(?:.*/)?")
            at += 3
        elif text.startswith("/**", at) and at + 3 == len(text):
            out.append("/.*")
            at += 3
        elif char == "*":
            out.append("[^/]*")
            at += 1
            while text.startswith("*", at):
                at += 1
        elif char == "?":
            out.append("[^/]")
            at += 1
        elif char == "[" and (end := text.find("]", at + 2)) > 0:
            inside = text[at + 1 : end].replace("\\", "\\\\")
            out.append(f"[{'^' + inside[1:] if inside[0] in '!^' else inside}]")
            at = end + 1
        else:
            if char == "\\" and at + 1 < len(text):
                at += 1
            out.append(re.escape(text[at]))
            at += 1
    return "".join(out)
