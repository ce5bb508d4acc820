"""Ray's `ray.util`: small conveniences over the public API.

Owns the functions here; `ActorPool`, `Queue`, `map` and what iterates over
references load when first asked for.
"""

from __future__ import annotations

from typing import Any

from nbray import session

__all__ = [
    "ActorPool", "as_completed", "get_node_ip_address", "list_named_actors", "map", "progress",
]  # fmt: skip


def get_node_ip_address() -> str:
    """The IP address of the node on which the calling code runs."""
    return session.require().context.runtime().node_ip


def list_named_actors(all_namespaces: bool = False) -> list[Any]:
    """Names of the live named actors.

    With *all_namespaces*, dictionaries: {'namespace': ..., 'name': ...}.
    """
    found = session.require().actors.names(all_namespaces)
    if all_namespaces:
        return [{"namespace": namespace, "name": name} for namespace, name in found]
    return [name for _, name in found]


def __getattr__(name: str) -> Any:
    if name == "ActorPool":
        from nbray.util.actor_pool import ActorPool

        return ActorPool
    if name in {"as_completed", "progress"}:
        from nbray.util import completion

        return getattr(completion, name)
    if name == "map":
        from nbray.util.mapping import map

        return map
    if name == "state":
        import nbray.util.state as found

        return found
    raise AttributeError(f"module 'nbray.util' has no attribute {name!r}")
