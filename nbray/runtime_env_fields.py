"""What a `RuntimeEnv` says of itself, by the names of Ray's methods.

Owns the questions that a program asks of an environment that it has. Does not own the fields and
their checks (`nbray.runtime_env`), nor what can be made of them (`nbray.hosting`). Rule: an answer
is read from the fields; nothing is made or looked up for it.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar


class Fields(dict[str, Any]):
    """Answers about the fields of an environment."""

    extensions_fields: ClassVar[frozenset[str]] = frozenset({
        "_ray_release", "_ray_commit", "_inject_current_ray",
    })  # fmt: skip
    """Fields that `get_extension` reads."""

    def env_vars(self) -> dict[str, str]:
        """The environment variables that it sets."""
        return dict(self.get("env_vars") or {})

    def working_dir(self) -> str:
        """Where workers run ('': where the cluster was started)."""
        return str(self.get("working_dir") or "")

    def working_dir_uri(self) -> str | None:
        """The same, or None."""
        found: str | None = self.get("working_dir")
        return found

    def has_working_dir(self) -> bool:
        """Whether it says where workers run."""
        return self.get("working_dir") is not None

    def py_modules(self) -> list[str]:
        """What can be imported beside what is installed."""
        return list(self.get("py_modules") or ())

    def py_modules_uris(self) -> list[str]:
        """The same."""
        return self.py_modules()

    def has_pip(self) -> bool:
        """Whether it has packages, by pip."""
        return bool(self.get("pip"))

    def has_uv(self) -> bool:
        """Whether it has packages, by uv."""
        return bool(self.get("uv"))

    def has_conda(self) -> bool:
        """Whether it asks for conda."""
        return bool(self.get("conda"))

    def pip_config(self) -> dict[str, Any]:
        """Its packages and how pip is to install them; {} without any."""
        found = self.get("pip") or {}
        return dict(found) if isinstance(found, dict) else {}

    def uv_config(self) -> dict[str, Any]:
        """The same of uv."""
        found = self.get("uv") or {}
        return dict(found) if isinstance(found, dict) else {}

    def pip_uri(self) -> str | None:
        """'pip://' and a digest of its packages, the same for equal ones; None without any."""
        return self._uri("pip")

    def uv_uri(self) -> str | None:
        """'uv://' and a digest of its packages; None without any."""
        return self._uri("uv")

    def conda_uri(self) -> str | None:
        """'conda://' and a digest of what it asks of conda; None if that is nothing."""
        return self._uri("conda")

    def _uri(self, tool: str) -> str | None:
        if not self.get(tool):
            return None
        import hashlib  # late: it loads OpenSSL

        text = json.dumps(self[tool], sort_keys=True).encode()
        return f"{tool}://{hashlib.sha1(text, usedforsecurity=False).hexdigest()}"

    def plugin_uris(self) -> list[str]:
        """[]: as in Ray, plug-ins have none."""
        return []

    def virtualenv_name(self) -> str | None:
        """The environment that is named instead of packages; None if none is."""
        found = self.get("pip")
        return found if isinstance(found, str) else None

    def conda_env_name(self) -> str | None:
        """The conda environment that it names; None if none is."""
        found = self.get("conda")
        return found if found and isinstance(found, str) else None

    def conda_config(self) -> str | None:
        """What it asks of conda, as JSON with sorted keys; None where it is a name, or nothing."""
        found = self.get("conda")
        return json.dumps(found, sort_keys=True) if found and isinstance(found, dict) else None

    def has_py_container(self) -> bool:
        """Whether it asks for a container."""
        return bool(self.get("container"))

    def py_container_image(self) -> str | None:
        """The container's image; None without a container."""
        found: str | None = self._of_container("image", "")
        return found

    def py_container_worker_path(self) -> str | None:
        """The path of Ray's worker in the container; None without a container."""
        found: str | None = self._of_container("worker_path", "")
        return found

    def py_container_run_options(self) -> list[str] | None:
        """Arguments for the container's start; None without a container."""
        found: list[str] | None = self._of_container("run_options", [])
        return found

    def _of_container(self, name: str, otherwise: Any) -> Any:
        found = self.get("container")
        return found.get(name, otherwise) if found else None

    def image_uri(self) -> str | None:
        """The container image that it asks for."""
        found: str | None = self.get("image_uri")
        return found

    def py_executable(self) -> str | None:
        """The interpreter that it asks for."""
        found: str | None = self.get("py_executable")
        return found

    def java_jars(self) -> list[str]:
        """Java archives; [] without any."""
        return list(self.get("java_jars") or ())

    def nsight(self) -> Any:
        """Settings of NVIDIA's profiler; None without."""
        return self.get("_nsight")

    def rocprof_sys(self) -> Any:
        """Settings of AMD's profiler; None without."""
        return self.get("_rocprof_sys")

    def get_extension(self, key: str) -> Any:
        """The value of one of `extensions_fields`; None if it is not set.

        Raises:
            ValueError: it is another field.
        """
        if key not in self.extensions_fields:
            known = set(self.extensions_fields)
            raise ValueError(f"Extension key must be one of {known}, got: {key}")
        return self.get(key)
