"""Ray's public names, a section a module: run by a Python that has Ray, to docs/ray-names.txt.

    .venv-ray/bin/python .ci/ray_names.py > docs/ray-names.txt

Names only. Where a module says `__all__`, that is it; else what it defines without an underscore.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import click
import ray
from ray._common import ray_option_utils
from ray.scripts.scripts import cli

MODULES = [
    "ray", "ray.actor", "ray.cluster_utils", "ray.cross_language", "ray.dag", "ray.exceptions",
    "ray.experimental.tqdm_ray", "ray.job_config", "ray.job_submission", "ray.runtime_env",
    "ray.util", "ray.util.actor_pool", "ray.util.annotations", "ray.util.check_serialize",
    "ray.util.collective", "ray.util.iter", "ray.util.joblib", "ray.util.metrics",
    "ray.util.multiprocessing", "ray.util.placement_group", "ray.util.queue",
    "ray.util.scheduling_strategies", "ray.util.state",
]  # fmt: skip
CLASSES = [
    "ray.ObjectRef", "ray.ObjectRefGenerator", "ray.cluster_utils.Cluster",
    "ray.dag.DAGNode", "ray.job_config.JobConfig", "ray.job_submission.JobSubmissionClient",
    "ray.runtime_context.RuntimeContext", "ray.runtime_env.RuntimeEnv", "ray.util.ActorPool",
    "ray.util.multiprocessing.Pool", "ray.util.placement_group.PlacementGroup",
    "ray.util.queue.Queue",
]  # fmt: skip
LAUNCHER = {
    "attach", "cpp", "dashboard", "down", "exec", "get-head-ip", "get-worker-ips", "metrics",
    "monitor", "rsync-down", "rsync-up", "submit", "up",
}  # fmt: skip
"""Commands of another tool, whose options say nothing where it is not."""


def public(module: Any) -> list[str]:
    if hasattr(module, "__all__"):
        return sorted(set(module.__all__))
    return sorted(
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and str(value.__module__).startswith(module.__name__)
    )


def found(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def section(title: str, names: Any) -> None:
    print(f"[{title}]", *sorted(names), "", sep="\n")


def options(command: click.Command) -> list[str]:
    return [
        max(one.opts, key=len)
        for one in command.params
        if isinstance(one, click.Option) and not one.hidden
    ]


def commands(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
    """All commands below *group*, each once, by the heading of their options."""
    for name, one in group.commands.items():
        if one.hidden or (not path and name in LAUNCHER):
            continue
        if options(one):
            yield " ".join(("options of ray", *path, name)), one
        if isinstance(one, click.Group):
            yield from commands(one, (*path, name))


if __name__ == "__main__":
    for path in MODULES:
        section(path, public(importlib.import_module(path)))
    for path in CLASSES:
        section(path, (name for name in dir(found(path)) if not name.startswith("_")))
    section("options of tasks", ray_option_utils.task_options)
    section("options of actors", ray_option_utils.actor_options)
    section("arguments of ray.init", (
        name for name in inspect.signature(ray.init).parameters if not name.startswith(("_", "kw"))
    ))  # fmt: skip
    section("commands", (name for name, one in cli.commands.items() if not one.hidden))
    for title, command in sorted(commands(cli, ())):
        section(title, options(command))
    job = cli.commands["job"]
    assert isinstance(job, click.Group)
    section("commands of ray job", job.commands)
