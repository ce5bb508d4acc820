"""Clusters that outlived their notebook, told where one is started or their jobs are sought.

Owns the sentence. Does not own the records (`nbray.clusters`), nor what outlives a kernel. Rule:
who runs all cells in a new kernel starts a new cluster, and hears of the one that has his jobs.
"""

from __future__ import annotations

import contextlib

from nbray import session
from nbray.clusters.launcher import Launcher
from nbray.clusters.local import Local
from nbray.config import Owner
from nbray.exceptions import RayError


def staying(launcher: Launcher | None = None) -> str:
    """What else runs here without a notebook, and how to get at it; '' if nothing does."""
    engine = session.live()
    ours = engine.context.runtime().address if engine is not None else ""
    found: list[str] = []
    with contextlib.suppress(RayError, OSError):
        found = [
            record.head_address
            for record in (launcher or Local()).records()
            if record.head and record.owner is Owner.DETACHED and record.head_address != ours
        ]
    if not found:
        return ""
    one = len(found) == 1
    clusters = "A cluster that outlived its notebook runs" if one else (
        f"{len(found)} clusters that outlived their notebooks run"
    )
    return (
        f"{clusters} here, too, at {', '.join(found)}: for {'its' if one else 'their'} jobs run "
        f"%nbray stop, then %nbray attach {found[0]}."
    )
