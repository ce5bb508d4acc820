"""`nbray health-check`, `kill-actor`; what is said of Ray's options and commands without effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from nbray.commands.sentences import address_option, log_options, one_sentence

_WITHOUT_EFFECT = (
    "--node-name", "--dashboard-host", "--temp-dir", "--min-worker-port", "--max-worker-port",
    "--worker-port-list", "--ray-client-server-port", "--object-manager-port",
    "--node-manager-port", "--gcs-server-port", "--metrics-export-port",
    "--dashboard-agent-listen-port", "--dashboard-agent-grpc-port", "--dashboard-grpc-port",
    "--runtime-env-agent-port", "--plasma-directory",
    "--autoscaling-config", "--storage", "--system-config", "--tracing-startup-hook",
    "--redis-shard-ports", "--redis-username", "--include-log-monitor", "--system-reserved-cpu",
    "--system-reserved-memory", "--cgroup-path", "--proxy-server-url",
)  # fmt: skip
"""Options of `ray start` about what nbray has not."""
_FLAGS = ("--disable-usage-stats", "--no-monitor", "--no-redirect-output",
          "--enable-resource-isolation", "--ray-debugger-external",
          "--enable-object-reconstruction")  # fmt: skip
_TERMINATION_SECONDS = 30.0
_LAUNCHER = ("up", "down", "attach", "exec", "submit", "rsync-up", "rsync-down", "get-head-ip",
             "monitor", "get-worker-ips", "kill-random-node")  # fmt: skip


def verbose_anyway(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command take Ray's options about its own words; it says no more with -v."""
    option = click.option("-v", "--verbose", is_flag=True, hidden=True, expose_value=False)
    return log_options(option(command))


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
    return verbose_anyway(command)


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


@click.command("kill-actor")
@click.option("--name", help="Its name.")
@click.option("--namespace", help="Where that is looked up.")
@click.option("--force", is_flag=True, help="At once: what it does is not ended first.")
@click.option(
    "--no-restart", is_flag=True, help="With --force: it stays dead, whatever max_restarts says.",
)  # fmt: skip
@address_option
def kill_actor(
    name: str | None, namespace: str | None, force: bool, no_restart: bool, address: str | None
) -> None:
    """End an actor by its name."""
    if not name:
        raise click.ClickException("Must specify --name to identify the actor.")
    from nbray import api

    if no_restart and not force:
        click.echo("WARNING: --no-restart flag is only effective with --force", err=True)
    with one_sentence(), api.init(address or "auto", namespace=namespace, log_to_driver=False):
        try:
            actor = api.get_actor(name, namespace=namespace)
        except ValueError:
            raise click.ClickException(
                f"No named actor found: {name} (namespace={namespace})"
            ) from None
        if force:
            api.kill(actor, no_restart=no_restart)
            click.echo(f"Actor killed (force): {name}")
        else:
            ended = actor.__ray_terminate__.remote()
            click.echo(f"Requested graceful termination for actor: {name}")
            api.wait([ended], timeout=_TERMINATION_SECONDS)  # with its caller the call would end


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


COMMANDS = (health_check, kill_actor, *map(_absent, _LAUNCHER))
