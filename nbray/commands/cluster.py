"""`nbray health-check`, and what is said of Ray's options and commands that have no effect here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from nbray.commands.sentences import address_option

_WITHOUT_EFFECT = (
    "--node-name", "--dashboard-host", "--temp-dir", "--min-worker-port", "--max-worker-port",
    "--worker-port-list", "--ray-client-server-port", "--object-manager-port",
    "--node-manager-port", "--gcs-server-port", "--metrics-export-port", "--memory",
    "--dashboard-agent-listen-port", "--dashboard-agent-grpc-port", "--dashboard-grpc-port",
    "--runtime-env-agent-port", "--plasma-directory", "--object-spilling-directory",
    "--autoscaling-config", "--storage", "--system-config", "--tracing-startup-hook",
    "--ray-debugger-external", "--redis-shard-ports", "--redis-username",
)  # fmt: skip
"""Options of `ray start` about what nbray has not."""
_FLAGS = ("--disable-usage-stats", "--no-monitor", "--no-redirect-output",
          "--enable-resource-isolation", "--verbose")  # fmt: skip
_LAUNCHER = ("up", "down", "attach", "exec", "submit", "rsync-up", "rsync-down", "get-head-ip",
             "monitor")  # fmt: skip


def without_effect(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let `start` take what Ray's takes and nbray has not; a line says so."""

    def said(_context: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value not in (None, False):
            name = parameter.opts[0]
            click.echo(f"{name} has no effect here: nbray has no such thing", err=True)

    for name in (*_WITHOUT_EFFECT, *_FLAGS):
        command = click.option(
            name, is_flag=name in _FLAGS, callback=said, hidden=True, expose_value=False
        )(command)
    return command


@click.command("health-check")
@address_option
@click.option("--component", hidden=True)
@click.option("--skip-version-check", is_flag=True, hidden=True)
def health_check(address: str | None, **_others: Any) -> None:
    """Status 0 if the cluster answers, else 1."""
    from nbray.util.state.api import connected
    from nbray.util.state.exception import RayStateApiException

    try:
        with connected(address) as (engine, _own):
            alive = any(node["Alive"] for node in engine.cluster.nodes())
    except (RayStateApiException, ValueError) as error:
        raise click.ClickException(str(error)) from None
    if not alive:
        raise SystemExit(1)


def _absent(name: str) -> click.Command:
    @click.command(
        name, hidden=True, context_settings={"ignore_unknown_options": True},
        help="Ray's cluster launcher, which nbray has not.",
    )  # fmt: skip
    @click.argument("rest", nargs=-1, type=click.UNPROCESSED)
    def command(**_rest: Any) -> None:
        raise click.ClickException(
            f"nbray has no `{name}`: it launches no machines. Start the head with `nbray start "
            "--head`, and paste the line of `nbray join` on each further machine"
        )

    return command


COMMANDS = (health_check, *map(_absent, _LAUNCHER))
