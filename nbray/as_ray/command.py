"""`nbray run`: a Python program, as `python` runs it, with nbray for `ray` if that is asked for.

Owns the command. Rule: it becomes that `python`; so arguments, exit status, signals and tracebacks
are what they would be without it.
"""

from __future__ import annotations

import os
import sys

import click

from nbray.as_ray import STARTUP


@click.command(
    context_settings={"allow_interspersed_args": False, "ignore_unknown_options": False},
    options_metavar="[--as-ray]",
)
@click.option("--as-ray", is_flag=True, help="`import ray` gives nbray, also in what it starts.")
@click.option("-m", "module", is_flag=True, help="PROGRAM is a module, as with `python -m`.")
@click.option("-c", "text", is_flag=True, help="PROGRAM is a text, as with `python -c`.")
@click.argument("program")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def run(as_ray: bool, module: bool, text: bool, program: str, args: tuple[str, ...]) -> None:
    """Run a Python program: a file, '-' (standard input), or with -m a module."""
    if module and text:
        raise click.UsageError("give either -m or -c")
    environment = dict(os.environ)
    if as_ray:
        before = environment.get("PYTHONPATH", "")
        environment["PYTHONPATH"] = STARTUP + (os.pathsep + before if before else "")
    how = ["-m"] if module else ["-c"] if text else []
    sys.stdout.flush()
    command = [sys.executable, *_flags(), *how, program, *args]
    os.execve(sys.executable, command, environment)  # noqa: S606 - no shell is wanted


def _flags() -> list[str]:
    """The options with which this interpreter was started, for the next one."""
    given = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv) + 1]
    return given[:-2] if given[-2:-1] == ["-m"] else given[:-1]
