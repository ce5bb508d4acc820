"""What goes wrong is one sentence on stderr and status 1; what all commands of a cluster take."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import click

from nbray.exceptions import RayError

address_option: Callable[[Any], Any] = click.option(
    "--address", metavar="HOST:PORT",
    help="Of which cluster.  [default: NBRAY_ADDRESS, RAY_ADDRESS, else the youngest here]",
)  # fmt: skip
timeout_option: Callable[[Any], Any] = click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=30, show_default=True,
    metavar="SECONDS", help="Longest wait for everybody's answer.",
)  # fmt: skip


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """Turn errors of a cluster and of arguments into a line on stderr and status 1."""
    from nbray.util.state.exception import RayStateApiException

    try:
        yield
    except (RayError, RayStateApiException, RuntimeError, ValueError, AssertionError) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(error.strerror or str(error)) from None
