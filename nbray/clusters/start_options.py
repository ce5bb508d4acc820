"""How the options of `nbray start` that are more than a number are read: resources, labels.

Owns their grammar on the command line, with every complaint a user may need. Only `nbray.cli`
loads it: a Jupyter server has no use of click.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import click

from nbray import labels


def _amount(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and value >= 0


def resources_option(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> dict[str, float]:
    """The object in `--resources`, with every complaint a user may need."""
    if not value:
        return {}
    example = """write it like --resources='{"disk": 2}'"""
    try:
        found = json.loads(value)
    except ValueError as error:
        raise click.BadParameter(f"not JSON ({error}): {example}") from None
    if not isinstance(found, dict):
        raise click.BadParameter(f"not a JSON object: {example}")
    for name, amount in found.items():
        if name in {"CPU", "GPU"}:
            raise click.BadParameter(f"{name} is given by --num-{name.lower()}s")
        if not name or not _amount(amount):
            raise click.BadParameter(
                f"{name!r} is {json.dumps(amount)}, not a number from 0 up: {example}"
            )
    return {name: float(amount) for name, amount in found.items()}


def labels_option(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> dict[str, str]:
    """The pairs in `--labels`; also a JSON object, as Ray has had it."""
    text = (value or "").strip()
    try:
        if text.startswith("{"):
            return labels.check(json.loads(text))
        return labels.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def labels_file_option(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> dict[str, str]:
    """The pairs in the file of `--labels-file`."""
    if not value:
        return {}
    try:
        return labels.parse_file(Path(value).read_text())
    except OSError as error:
        raise click.BadParameter(f"{value}: {error.strerror}") from None
    except (ValueError, TypeError) as error:
        raise click.BadParameter(f"{value}: {error}") from None
