"""Numbers as people read them: counts, shares, rates, times.

Owns the wording of every figure on a screen, in an error and on a terminal.
Does not own where it stands. Memory is counted in 1,024s and called MB and GB,
as pandas counts it and laptops are sold: one figure has one spelling everywhere.
"""

from __future__ import annotations

import math

_UNITS = ("bytes", "KB", "MB", "GB", "TB", "PB")


def count(number: int) -> str:
    """`1,000`."""
    return f"{number:,}"


def noun(number: int, one: str, many: str = "") -> str:
    """`1 node`, `3 nodes`, `1,000 nodes`."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def amount(number: float, name: str) -> str:
    """`1 CPU`, `0.5 CPUs`, `1,024 CPUs`: how much of a resource."""
    return f"{exact(number)} {name}{'' if number == 1 else 's'}"


def part(some: float, whole: float, name: str) -> str:
    """`0 of 1 CPU`, `1 of 2 CPUs`."""
    return f"{exact(some)} of {amount(whole, name)}"


def exact(number: float) -> str:
    """`0.25`, `1`, `1,024`: as it was asked for."""
    return f"{number:,.4f}".rstrip("0").rstrip(".")


def brief(number: float) -> str:
    """Two significant places where they matter: `3.1`, `12`, `0`, `1,204`."""
    if abs(number) < 9.95 and round(number, 1) != int(number):
        return f"{number:.1f}"
    return f"{number:,.0f}"


def _scaled(size: float) -> tuple[float, str]:
    power = 0
    while size >= 1000 and power < len(_UNITS) - 1:  # 1,000 MB reads as 1 GB
        size /= 1024
        power += 1
    return size, _UNITS[power]


def memory(size: float) -> str:
    """`1.2 GB`, `512 bytes`."""
    scaled, unit = _scaled(size)
    return f"{brief(scaled)} {unit}"


def memory_asked(size: float) -> str:
    """`12.3 GB`: where a tenth decides whether it fits."""
    scaled, unit = _scaled(size)
    return f"{scaled:,.1f} {unit}".replace(".0 ", " ")


def memory_share(used: float, total: float) -> str:
    """`3.1 of 12 GB`; `900 MB of 2 TB` where one unit would hide the smaller figure."""
    scaled, unit = _scaled(total)
    part = used / 1024 ** _UNITS.index(unit)
    if used and part < 0.05:
        return f"{memory(used)} of {brief(scaled)} {unit}"
    return f"{brief(part)} of {brief(scaled)} {unit}"


def plain(text: str) -> str:
    """*text* without the characters that would move a terminal's cursor."""
    return "".join(char if char.isprintable() else "?" for char in text)


def percent(part: float, whole: float) -> float:
    """0 to 100; 0 where there is no whole."""
    return min(100.0, max(0.0, 100.0 * part / whole)) if whole > 0 else 0.0


def rate(per_second: float) -> str:
    """`187/s`, `3.4/s`, `12/min`, `2/h`."""
    for factor, unit in ((1, "s"), (60, "min")):
        if per_second * factor >= 1:
            return f"{brief(per_second * factor)}/{unit}"
    return f"{brief(per_second * 3600)}/h"


def duration(seconds: float) -> str:
    """`0.4 s`, `42 s`, `3 min`, `1.5 h`, `2.3 days`."""
    seconds = max(0.0, seconds)
    for limit, divisor, unit in ((90, 1, "s"), (5400, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            exact = seconds / divisor
            return f"{round(exact) if unit == 'min' else brief(exact)} {unit}"
    return f"{brief(seconds / 86_400)} days"


def left(seconds: float) -> str:
    """`3 s left`: whole units, rounded up, so that it never says 0."""
    whole = max(1, math.ceil(seconds - 0.05)) if seconds < 90 else seconds
    return f"{duration(whole)} left"
