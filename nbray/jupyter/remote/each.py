"""`%%remote --each`: a cell's body for each element, in chunks that fit how long it takes.

Owns the making of a map from a cell. Does not own the map (`nbray.util.map`),
the cell's running (`body`) nor what becomes of the results (`remote_cell`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sized
from typing import Any

import msgspec

from nbray import api
from nbray.jupyter.remote import body
from nbray.jupyter.remote.capture import Captured
from nbray.options import TaskOptions
from nbray.util.chunk_run import Plan
from nbray.util.map_run import Run
from nbray.util.mapping import Map
from nbray.util.sizes import SECONDS


def each(
    program: body.Program, captured: Captured, items: Iterable[Any], options: TaskOptions, name: str
) -> Map:
    """The cell's `body.Result` for each of *items*, in order, as they come.

    Raises (while iterating, at the place of an element):
        RayTaskError: the cell's code raised for it.
    """
    values, large = captured.values, list(captured.large)
    call = functools.partial(body.element, program, values)
    if values.live:  # references must not stay with the function, which workers keep
        call = functools.partial(body.element, program)
        large.insert(0, api.put(values))
    plan = Plan(
        call, name, width=2, retries=options.max_retries, retry_on=options.retry_exceptions,
        noted=False,
    )  # fmt: skip
    run = Run(
        plan,
        large,
        msgspec.structs.replace(options, num_returns=2, counted=False, retry_exceptions=False),
        enumerate(items),
        len(items) if isinstance(items, Sized) else None,
        seconds=SECONDS,
        ordered=True,
        max_in_flight=None,
        return_exceptions=False,
    )
    return Map(run)
