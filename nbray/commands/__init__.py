"""Commands of `nbray` with Ray's names: what a cluster does, jobs that are submitted, its health.

Owns the commands; `nbray.cli` has those that start and end clusters, and adds these. Nothing
heavy is imported before a command runs.
"""

from __future__ import annotations

import click

from nbray.commands import breakpoints, cluster, diagnostics, jobs, programs, published, state

__all__ = ["add_to"]


def add_to(main: click.Group) -> None:
    """Give *main* all commands of this package."""
    groups = (state, jobs, cluster, diagnostics, programs, breakpoints, published)
    for command in (one for group in groups for one in group.COMMANDS):
        main.add_command(command)
