"""`nbray published`: data that any notebook of a cluster reads by name, listed and freed."""

from __future__ import annotations

import time

import click

from nbray.clusters.local import Local
from nbray.commands.sentences import address_option, one_sentence


@click.command()
@click.option("--free", "freed", metavar="NAME", help="Free what was published under NAME.")
@click.option("--namespace", default="", help="Of the name that is freed.")
@address_option
def published(freed: str | None, namespace: str, address: str | None) -> None:
    """Data that any notebook of a cluster reads by name (nbray.publish, nbray.published)."""
    from nbray import api, publishing
    from nbray.view.published import published_text

    with one_sentence():
        if not address and not Local().records():
            raise click.ClickException(
                "no nbray runs on this machine: start a cluster with `nbray start --head`"
            )
        api.init(address=address or "auto", log_to_driver=False)
        try:
            if freed is not None:
                publishing.unpublish(freed, namespace=namespace)
                click.echo(f"{freed} is freed.")
            else:
                click.echo(published_text(publishing.published(), time.time()))
        finally:
            api.shutdown()


COMMANDS = (published,)
