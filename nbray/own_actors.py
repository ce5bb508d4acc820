"""Actors by which nbray itself keeps something for all of a cluster's programs.

Owns how one is found, made with the first thing that it is to keep, and asked. Does not own what
is kept (`publishing`, `experimental.internal_kv`). Rule: it takes no CPU, is on no screen, lives
on the head's machine, and is gone with the cluster.
"""

from __future__ import annotations

from typing import Any

from nbray import session
from nbray.api import get, get_actor
from nbray.ids import FIRST_NODE, OWN_CELL, OWN_NAMESPACE
from nbray.remote import remote


def ask(cls: type, name: str, method: str, *arguments: Any, make: bool = False) -> Any:
    """What the actor *name* of class *cls* answers; None: there is none, and it is not to be made.

    Raises:
        RayError: what the call raises.
    """
    token = session.cell.set(OWN_CELL)
    try:
        if make:
            keeper = remote(cls).options(
                name=name, namespace=OWN_NAMESPACE, get_if_exists=True, lifetime="detached",
                num_cpus=0, node=FIRST_NODE,
            ).remote()  # fmt: skip
        else:
            try:
                keeper = get_actor(name, OWN_NAMESPACE)
            except ValueError:
                return None
        return get(getattr(keeper, method).remote(*arguments))
    finally:
        session.cell.reset(token)
