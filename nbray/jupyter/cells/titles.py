"""What a cell is called where cells are listed: by what it ran, else by what it defines.

Owns the choice of the line. Does not own the number before it. Rule: read from
the text alone, for a cell may hold magics, mistakes, or another language. Pure.
"""

from __future__ import annotations

import re

LONGEST = 80
"""Characters of a title."""
_DEFINES = re.compile(r"(?:async\s+)?(?P<kind>def|class)\s+(?P<name>\w+)")
_LAUNCHES = re.compile(r"\.remote\(|\bn?ray\.|\bas_completed\(|\bremote\(")
_DRAWS_IN = re.compile(r"(?:import|from)\s")
_IN_TEXT = re.compile(r"\"\"\"|'''")


def title(source: str) -> str:
    """One line for a cell's *source*; '' for an empty one.

    Its magic if the whole cell is one; else the first statement that launches work;
    else the first that does anything; else the names of what it defines.
    """
    lines = list(_outermost(source))
    if not lines:
        return next((line.strip() for line in source.splitlines() if line.strip()), "")[:LONGEST]
    if lines[0].startswith("%%"):
        return lines[0][:LONGEST]
    found = [(match["kind"], match["name"]) for line in lines if (match := _DEFINES.match(line))]
    does = [line for line in lines if not _DEFINES.match(line) and not _DRAWS_IN.match(line)]
    work = [line for line in does if not line.startswith(("%", "!", "@"))]
    launches = next((line for line in work if _LAUNCHES.search(line)), "")
    if launches or (work and not found):
        return (launches or work[0])[:LONGEST]
    if found:
        return ", ".join(f"{kind} {name}" for kind, name in found)[:LONGEST]
    return next((line for line in does), lines[0])[:LONGEST]


def _outermost(source: str) -> list[str]:
    """The lines at the left margin that say something: no comments, no ends of brackets."""
    lines: list[str] = []
    inside = ""
    first = next((line for line in source.splitlines() if line.strip()), "")
    indent = first[: len(first) - len(first.lstrip())]  # which IPython takes off, too
    for line in source.splitlines():
        line = line.removeprefix(indent)
        marks = _IN_TEXT.findall(line)
        if inside:
            if inside in marks:
                inside = ""
            continue
        if line.strip() and not line[0].isspace() and line[0] not in "#)]}'\"":
            lines.append(line.rstrip())
        if len(marks) % 2:
            inside = marks[-1]
    return lines
