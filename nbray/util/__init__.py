"""Ray's `ray.util`: small conveniences over the public API.

Owns the functions here; `ActorPool`, `Queue`, `map` and what iterates over
references load when first asked for.
"""

from __future__ import annotations

import os
from typing import Any

from nbray import session

__all__ = [
    "ActorPool", "Executor", "as_completed", "collective", "connect", "deregister_serializer",
    "disable_log_once_globally", "disconnect", "enable_periodic_logging",
    "get_current_placement_group", "get_node_instance_id", "get_node_ip_address",
    "get_placement_group",
    "inspect_serializability", "list_named_actors", "log_once", "map", "map_unordered", "pdb",
    "placement_group", "placement_group_table", "progress", "ray_debugpy",
    "register_serializer",
    "remove_placement_group",
]  # fmt: skip


_GROUPS = frozenset({
    "get_current_placement_group", "get_placement_group", "placement_group",
    "placement_group_table", "remove_placement_group",
})  # fmt: skip


def get_node_ip_address() -> str:
    """The IP address of the node on which the calling code runs."""
    return session.require().context.runtime().node_ip


def get_node_instance_id() -> str:
    """What the cloud calls the machine ('' where `RAY_CLOUD_INSTANCE_ID` does not say)."""
    return os.environ.get("RAY_CLOUD_INSTANCE_ID", "")


def list_named_actors(all_namespaces: bool = False) -> list[Any]:
    """Names of the live named actors.

    With *all_namespaces*, dictionaries: {'namespace': ..., 'name': ...}.
    """
    found = session.require().actors.names(all_namespaces)
    if all_namespaces:
        shown = (one for one in found if not one[0].startswith("_nbray"))
        return [{"namespace": namespace, "name": name} for namespace, name in shown]
    return [name for _, name in found]


def _placing(name: str) -> Any:
    """What says where work runs."""
    if name == "accelerators":
        import nbray.util.accelerators as names

        return names
    if name == "scheduling_strategies":
        import nbray.util.scheduling_strategies as strategies

        return strategies
    import nbray.util.placement_group as placing

    return placing if name == "placement_group" else getattr(placing, name)


def _module(name: str) -> Any:
    """A module of this package, by its name or by one that Ray has given it.

    They are not imported from the package, which would ask here for each.
    """
    import nbray.util.actor_pool as pools
    import nbray.util.annotations as marks
    import nbray.util.check_serialize as checks
    import nbray.util.client_connect as connects
    import nbray.util.debug as says
    import nbray.util.debugpy as breaks
    import nbray.util.helpers as helps
    import nbray.util.iter as iterators
    import nbray.util.rpdb as stops
    import nbray.util.serialization as serializers

    return {
        "actor_pool": pools, "annotations": marks, "check_serialize": checks,
        "client_connect": connects, "debug": says, "debugpy": breaks, "helpers": helps,
        "iter": iterators, "pdb": stops, "ray_debugpy": breaks, "rpdb": stops,
        "serialization": serializers,
    }[name]  # fmt: skip


_MODULES = {
    "actor_pool", "annotations", "check_serialize", "client_connect", "debug", "debugpy",
    "helpers", "iter", "pdb", "ray_debugpy", "rpdb", "serialization",
}  # fmt: skip
"""Modules that `import ray` has loaded there."""


def __getattr__(name: str) -> Any:
    if name == "Executor":
        from nbray.util.executor import Executor

        return Executor
    if name == "ActorPool":
        from nbray.util.actor_pool import ActorPool

        return ActorPool
    if name in {"as_completed", "map_unordered"}:
        from nbray.util import helpers

        return getattr(helpers, name)
    if name in {"log_once", "disable_log_once_globally", "enable_periodic_logging"}:
        from nbray.util import debug

        return getattr(debug, name)
    if name == "progress":
        from nbray.util import completion

        return completion.progress
    if name in {"register_serializer", "deregister_serializer"}:
        from nbray.util import serialization

        return getattr(serialization, name)
    if name == "inspect_serializability":
        from nbray.util.check_serialize import inspect_serializability

        return inspect_serializability
    if name == "PublicAPI":
        from nbray.util.annotations import PublicAPI

        return PublicAPI
    if name in _GROUPS or name in {"accelerators", "scheduling_strategies"}:
        return _placing(name)
    if name == "map":
        from nbray.util.mapping import map

        return map
    if name == "state":
        import nbray.util.state as found

        return found
    if name == "collective":
        import nbray.util.collective as groups

        return groups
    if name in {"connect", "disconnect"}:
        from nbray.util import client_connect

        return getattr(client_connect, name)
    if name in _MODULES:
        return _module(name)
    raise AttributeError(f"module 'nbray.util' has no attribute {name!r}")


del annotations  # the future's, which would hide the module
