"""What goes wrong is one sentence on stderr and status 1; what all commands of a cluster take."""

from __future__ import annotations

import contextlib
import io
import sys
import time
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


class _Refused(click.ClickException):
    """What was asked for is not to be had: as for wrong arguments."""

    exit_code = 2


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """Turn errors into a line on stderr: status 1; 2, as Ray's, where the state API refuses."""
    from nbray.util.state.exception import RayStateApiException, ServerUnavailable

    try:
        yield
    except (RayError, ServerUnavailable, RuntimeError, ValueError, AssertionError) as error:
        raise click.ClickException(str(error)) from None
    except RayStateApiException as error:  # of what was asked for
        raise _Refused(str(error)) from None
    except OSError as error:
        raise click.ClickException(error.strerror or str(error)) from None


# -- how output looks ---------------------------------------------------------------------


class _Records(io.TextIOBase):
    """Lines with the time and a level before each, as programs that read logs want them."""

    def __init__(self, inner: Any, level: str) -> None:
        self._inner = inner
        self._level = level
        self._fresh = True

    def write(self, text: str) -> int:
        """Write *text*; each line gets its beginning once."""
        if not isinstance(text, str):  # click looks by this whether it is a file of bytes
            raise TypeError(f"write() takes a str, not {type(text).__name__}")
        for line in text.splitlines(keepends=True):
            if self._fresh and line.strip():
                now = time.time()
                stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
                self._inner.write(f"{stamp},{int(now % 1 * 1000):03} {self._level} nbray -- ")
            self._inner.write(line)
            self._fresh = line.endswith("\n")
        return len(text)

    def flush(self) -> None:
        """Flush what is below."""
        self._inner.flush()


def _style(context: click.Context, _parameter: click.Parameter, value: str) -> None:
    if value == "record":
        out, err = _Records(sys.stdout, "INFO"), _Records(sys.stderr, "WARNING")
        context.with_resource(contextlib.redirect_stdout(out))
        context.with_resource(contextlib.redirect_stderr(err))


def _color(context: click.Context, _parameter: click.Parameter, value: str) -> None:
    if value != "auto":
        context.color = value == "true"


def log_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let *command* take Ray's `--log-style` and `--log-color`."""
    for option in (
        click.option(
            "--log-style", type=click.Choice(["auto", "record", "pretty"]), default="auto",
            callback=_style, expose_value=False, is_eager=True,
            help="record: lines with the time and a level before each.",
        ),
        click.option(
            "--log-color", type=click.Choice(["auto", "false", "true"]), default="auto",
            callback=_color, expose_value=False, is_eager=True,
            help="Colours: where a terminal shows them, never, or always.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command
