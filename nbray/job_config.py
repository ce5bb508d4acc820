"""Ray's `ray.job_config`: what a job has, to be given to `init(job_config=...)`.

Owns the names. What they mean is what `init`'s own arguments mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["JobConfig", "LoggingConfig"]

LIFETIMES = ("detached", "non_detached")


class LoggingConfig:
    """Ray's `ray.LoggingConfig`: checked, and without effect, for there is no log to configure."""

    def __init__(
        self, encoding: str = "TEXT", log_level: str = "INFO",
        additional_log_standard_attrs: list[str] | None = None,
    ) -> None:  # fmt: skip
        if encoding not in {"TEXT", "JSON"}:
            raise ValueError(
                f"Invalid encoding type: {encoding}. Valid encoding types are: TEXT, JSON"
            )
        self.encoding = encoding
        self.log_level = log_level
        self.additional_log_standard_attrs = list(additional_log_standard_attrs or ())


class JobConfig:
    """Settings of a job: `init(job_config=JobConfig(ray_namespace="mine"))`.

    Args:
        runtime_env: what its tasks and actors have (see `nbray.runtime_env.RuntimeEnv`).
        metadata: texts by text.
        ray_namespace: where names of actors are looked up.
        default_actor_lifetime: 'detached' or 'non_detached', of actors of the driver that say none.
        jvm_options, code_search_path: of Java's workers, which nbray has not.

    Raises:
        TypeError: *code_search_path* is no list.
        ValueError: another *default_actor_lifetime*.
    """

    def __init__(
        self,
        jvm_options: Sequence[str] | None = None,
        code_search_path: Sequence[str] | None = None,
        runtime_env: Mapping[str, Any] | None = None,
        _client_job: bool = False,
        metadata: Mapping[str, str] | None = None,
        ray_namespace: str | None = None,
        default_actor_lifetime: str = "non_detached",
        _disable_job_level_lineage_reconstruction: bool = False,
        _py_driver_sys_path: Sequence[str] | None = None,
    ) -> None:
        self.jvm_options = list(jvm_options or ())
        if code_search_path is not None and not isinstance(code_search_path, (list, tuple)):
            raise TypeError(f"The type of code search path is incorrect: {type(code_search_path)}")
        self.code_search_path = list(code_search_path or ())
        self.metadata = dict(metadata or {})
        self.ray_namespace = ray_namespace
        self.runtime_env: Mapping[str, Any] = {}
        self.py_logging_config: Any = None
        self.default_actor_lifetime = ""
        self.set_runtime_env(runtime_env)
        self.set_default_actor_lifetime(default_actor_lifetime)

    @classmethod
    def from_json(cls, job_config_json: Mapping[str, Any]) -> JobConfig:
        """The settings that a dictionary has by these names; others are left out."""
        names = ("jvm_options", "code_search_path", "runtime_env", "metadata", "ray_namespace")
        given: dict[str, Any] = {name: job_config_json.get(name) for name in names}
        return cls(**given)

    def set_metadata(self, key: str, value: str) -> None:
        """Add one text."""
        self.metadata[key] = value

    def set_runtime_env(
        self, runtime_env: Mapping[str, Any] | None, validate: bool = False
    ) -> None:
        """Have another environment (None: none).

        Raises:
            TypeError, ValueError: *validate*, and it is none.
        """
        self.runtime_env = runtime_env if runtime_env is not None else {}
        if validate:
            from nbray.runtime_env import RuntimeEnv

            self.runtime_env = RuntimeEnv(**self.runtime_env)

    def set_ray_namespace(self, ray_namespace: str) -> None:
        """Have another namespace."""
        self.ray_namespace = ray_namespace

    def set_default_actor_lifetime(self, default_actor_lifetime: str) -> None:
        """Say what actors are that say nothing themselves.

        Raises:
            ValueError: neither 'detached' nor 'non_detached'.
        """
        if default_actor_lifetime not in LIFETIMES:
            raise ValueError("Default actor lifetime must be one of `detached`, `non_detached`")
        self.default_actor_lifetime = default_actor_lifetime

    def set_py_logging_config(self, logging_config: Any = None) -> None:
        """Keep a `LoggingConfig`; it has no effect, for there is no log to configure."""
        self.py_logging_config = logging_config

    def ensure_logging_config(self, logging_config: Any = None) -> None:
        """The same, unless there is one; a dictionary is one by its arguments.

        Raises:
            TypeError: it is something else.
        """
        if logging_config is None or self.py_logging_config is not None:
            return
        if isinstance(logging_config, dict):
            logging_config = LoggingConfig(**logging_config)
        elif not isinstance(logging_config, LoggingConfig):
            raise TypeError(
                f"logging_config must be a dict or LoggingConfig, got {type(logging_config)}"
            )
        self.set_py_logging_config(logging_config)
