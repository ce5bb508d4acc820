"""nbray's options in Ray's words.

Owns the translation of resources, places and retries. Does not own their checks (`nbray.options`,
`nbray.where`), which have been made. Rule: what Ray decides by itself is left to it.
"""

from __future__ import annotations

import json
from typing import Any

from ray.util import scheduling_strategies as strategies

from nbray.engines.ray.errors import TO_RETRY
from nbray.engines.ray.places import selector, theirs_of
from nbray.options import BARE, DYNAMIC, STREAMING, ActorOptions, MethodOptions, TaskOptions
from nbray.where import APART, Condition, Where

_RETURNS: dict[int, Any] = {STREAMING: "streaming", DYNAMIC: "dynamic"}


def of_task(options: TaskOptions, name: str) -> dict[str, Any]:
    """What `.options()` of a task's trampoline is given."""
    return {
        "name": name,
        "num_cpus": options.num_cpus,
        "num_returns": _RETURNS.get(options.num_returns, options.num_returns),
        "max_retries": options.max_retries,
        "retry_exceptions": TO_RETRY if options.retry_exceptions else False,
        **_pace(options.most_unread),
        **_common(options),
    }


def of_actor(
    options: ActorOptions, namespace: str, is_async: bool, methods: int = 0
) -> dict[str, Any]:
    """What `.options()` of an actor's class is given.

    *methods*: how often some method is tried again. Each call says how often it is; but calls wait
    for an actor that restarts only where the class says that any is, and fail at once elsewhere.
    """
    asked: dict[str, Any] = {
        "namespace": options.namespace or namespace,
        "max_restarts": options.max_restarts,
        "max_task_retries": options.max_task_retries or methods,
        "max_pending_calls": options.max_pending_calls,
        "num_cpus": options.num_cpus or 0,
        **_common(options),
    }
    if options.name:
        asked |= {"name": options.name, "get_if_exists": options.get_if_exists}
    if options.lifetime:
        asked["lifetime"] = options.lifetime
    if options.max_concurrency or is_async:
        asked["max_concurrency"] = options.max_concurrency or 1000
    if options.allow_out_of_order_execution is not None:
        asked["allow_out_of_order_execution"] = options.allow_out_of_order_execution
    return asked


def of_method(options: MethodOptions, name: str, retries: int) -> dict[str, Any]:
    """What `.options()` of an actor's method is given."""
    asked: dict[str, Any] = {
        "name": name,
        "num_returns": _RETURNS.get(options.num_returns, options.num_returns),
        "max_task_retries": retries if options.max_task_retries == -2 else options.max_task_retries,
        "retry_exceptions": TO_RETRY if options.retry_exceptions else False,
        **_pace(options.most_unread),
    }
    if options.concurrency_group:
        asked["concurrency_group"] = options.concurrency_group
    return asked


def _pace(most: int) -> dict[str, Any]:
    return {"_generator_backpressure_num_objects": most} if most else {}


def _common(options: TaskOptions | ActorOptions) -> dict[str, Any]:
    """What tasks and actors ask for alike."""
    asked: dict[str, Any] = {}
    if options.num_gpus:
        asked["num_gpus"] = options.num_gpus
    if options.memory:
        asked["memory"] = options.memory
    if options.resources:
        asked["resources"] = dict(options.resources)
    if options.accelerator_type:
        asked["accelerator_type"] = options.accelerator_type
    if options.runtime_env:
        environment = {} if options.runtime_env == BARE else json.loads(options.runtime_env)
        asked["runtime_env"] = environment
    if not options.listed:
        asked["enable_task_events"] = False
    if options.where is not None:
        asked |= _place(options.where)
    return asked


def _place(where: Where) -> dict[str, Any]:
    """Ray's scheduling strategy, or selector of labels."""
    asked: dict[str, Any] = {}
    if where.hard and not where.wished and not where.group:
        asked["label_selector"] = selector(where.hard)
        if where.otherwise:
            asked["fallback_strategy"] = [
                {"label_selector": selector(one)} for one in where.otherwise
            ]
        return asked
    strategy: Any = None
    if where.spread:
        strategy = "SPREAD"
    elif where.node_id:
        strategy = strategies.NodeAffinitySchedulingStrategy(
            where.node_id, where.soft, _spill_on_unavailable=where.spill,
            _fail_on_unavailable=where.fail,
        )  # fmt: skip
    elif where.hard or where.wished:
        strategy = strategies.NodeLabelSchedulingStrategy(
            hard=dict(map(_label, where.hard)), soft=dict(map(_label, where.wished))
        )
    elif where.group == APART:
        strategy = "DEFAULT"
    elif where.group:
        strategy = strategies.PlacementGroupSchedulingStrategy(
            theirs_of(where.group), where.bundle, where.captures
        )
    return {"scheduling_strategy": strategy} if strategy is not None else {}


def _label(condition: Condition) -> tuple[str, Any]:
    key, how, values = condition
    kinds = {
        "in": strategies.In, "not in": strategies.NotIn,
        "exists": strategies.Exists, "lacks": strategies.DoesNotExist,
    }  # fmt: skip
    return key, kinds[how](*values)
