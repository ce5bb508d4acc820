"""Ray's public names, a section a module: run by a Python that has Ray, to docs/ray-names.txt.

    .venv-ray/bin/python .ci/ray_names.py > docs/ray-names.txt

Names only. Where a module says `__all__`, that is it; else what it defines without an underscore.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import click
import ray
from ray._common import ray_option_utils
from ray.scripts.scripts import cli

MODULES = [
    "ray", "ray.actor", "ray.cross_language", "ray.dag", "ray.exceptions",
    "ray.experimental.tqdm_ray", "ray.job_submission", "ray.runtime_env", "ray.util",
    "ray.util.actor_pool", "ray.util.collective", "ray.util.joblib", "ray.util.metrics",
    "ray.util.multiprocessing", "ray.util.placement_group", "ray.util.queue",
    "ray.util.scheduling_strategies", "ray.util.state",
]  # fmt: skip
CLASSES = [
    "ray.ObjectRef", "ray.ObjectRefGenerator", "ray.job_submission.JobSubmissionClient",
    "ray.runtime_context.RuntimeContext", "ray.runtime_env.RuntimeEnv", "ray.util.ActorPool",
    "ray.util.multiprocessing.Pool", "ray.util.placement_group.PlacementGroup",
    "ray.util.queue.Queue",
]  # fmt: skip
COMMANDS = ["start", "stop", "status"]


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
    for name in COMMANDS:
        section(f"options of ray {name}", options(cli.commands[name]))
    job = cli.commands["job"]
    assert isinstance(job, click.Group)
    section("commands of ray job", job.commands)
