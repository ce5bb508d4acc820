"""What the processes of a job, a task or an actor have: `RuntimeEnv`, by Ray's fields.

Owns which fields there are, the checks of each, how one environment adds to another
(`merged`), and the form in which one travels: JSON with sorted keys. Does not own making
one (`hosting.environments`). Rule: a bad value is refused where it is written.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nbray.runtime_env_fields import Fields

__all__ = ["RuntimeEnv", "RuntimeEnvConfig"]

SETUP_SECONDS = 600
"""How long an environment may take to be made, as in Ray."""
ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar.xz")
"""What a folder may come in."""
_ABSENT = {
    "conda": "nbray makes virtual environments only: give the packages as 'pip' or 'uv'",
    "container": "nbray runs workers in this machine's own system, not in containers",
    "image_uri": "nbray runs workers in this machine's own system, not in containers",
    "java_jars": "nbray runs Python only",
    "py_executable": "nbray's workers are forked from the interpreter of the node",
    "_nsight": "nbray starts no worker under a profiler",
    "_rocprof_sys": "nbray starts no worker under a profiler",
}
"""Ray's fields that are not here, and why: work that asks for one fails with this."""


class RuntimeEnvConfig(dict[str, Any]):
    """How an environment is made; not part of what it is.

    Args:
        setup_timeout_seconds: how long making it may take; -1: as long as it takes.
        eager_install: accepted; an environment is made when it is first used.
        log_files: accepted, without effect.

    Raises:
        TypeError, ValueError: a value of the wrong kind or out of range.
    """

    known_fields = frozenset({"setup_timeout_seconds", "eager_install", "log_files"})

    def __init__(
        self, setup_timeout_seconds: int = SETUP_SECONDS, eager_install: bool = True,
        log_files: list[str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        kinds: tuple[Any, Any] = (setup_timeout_seconds, eager_install)
        if not isinstance(kinds[0], int):
            raise TypeError(
                f"setup_timeout_seconds must be of type int, got: {type(setup_timeout_seconds)}"
            )
        if setup_timeout_seconds <= 0 and setup_timeout_seconds != -1:
            raise ValueError(
                "setup_timeout_seconds must be greater than zero or equals to -1, "
                f"got: {setup_timeout_seconds}"
            )
        if not isinstance(kinds[1], bool):
            raise TypeError(f"eager_install must be a boolean. got {type(eager_install)}")
        files: Any = log_files
        if files is not None and not (
            isinstance(files, list) and all(isinstance(one, str) for one in files)
        ):
            raise TypeError(
                f"log_files must be a list of strings or None, got {log_files} with type "
                f"{type(log_files)}."
            )
        self["setup_timeout_seconds"] = setup_timeout_seconds
        self["eager_install"] = eager_install
        self["log_files"] = list(log_files or ())

    @staticmethod
    def parse_and_validate_runtime_env_config(config: Any) -> RuntimeEnvConfig:
        """What a dictionary says, checked; entries that are not known are ignored with a warning.

        Raises:
            TypeError, ValueError: it is no dictionary, or a value of it is wrong.
        """
        return _config(config)

    @classmethod
    def default_config(cls) -> RuntimeEnvConfig:
        """That of an environment that says nothing of it."""
        return cls()

    def to_dict(self) -> dict[str, Any]:
        """The same as a plain dictionary."""
        return dict(self)


class RuntimeEnv(Fields):
    """An environment, checked. It can stand wherever a plain dictionary of its fields can.

    Args:
        py_modules: folders, files and wheels that can be imported (job only), or their URIs.
        working_dir: a folder or archive in which workers run (job only), or its URI.
        pip, uv: packages: a list, a requirements file, or a dictionary with 'packages'.
        env_vars: environment variables; `${NAME}` in a value is what NAME is in the worker.
        worker_process_setup_hook: a function, or 'module.function', called in each worker.
        config: see `RuntimeEnvConfig`.
        conda, container, image_uri, py_executable, nsight, rocprof_sys: accepted as Ray's;
            work that asks for one fails with `RuntimeEnvSetupError`.

    Raises:
        TypeError, ValueError: a value of the wrong kind, a path that is not there, or fields
            that exclude each other.
    """

    known_fields = frozenset({
        "py_modules", "py_executable", "java_jars", "working_dir", "conda", "pip", "uv",
        "container", "excludes", "env_vars", "_ray_release", "_ray_commit",
        "_inject_current_ray", "config", "worker_process_setup_hook", "_nsight",
        "_rocprof_sys", "image_uri",
    })  # fmt: skip

    def __init__(self, *, _validate: bool = True, **fields: Any) -> None:
        super().__init__()
        for new, name in (("_nsight", "nsight"), ("_rocprof_sys", "rocprof_sys")):
            if name in fields:
                fields[new] = fields.pop(name)
        if not _validate:
            self.update(fields)
            return
        given = {name: value for name, value in fields.items() if value is not None}
        _exclusive(given)
        for name, value in given.items():
            self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        if hasattr(type(value), "__dataclass_fields__"):
            from dataclasses import asdict  # late: few give one

            value = asdict(value)
        check = _CHECKS.get(name)
        if check is not None:
            value = check(value)
            if value is None:
                return
        super().__setitem__(name, value)

    def set(self, name: str, value: Any) -> None:
        """Set a field; checked as the constructor does."""
        self[name] = value

    def get(self, name: str, default: Any = None, data_class: Any = None) -> Any:
        """The value of a field, or *default*; made a *data_class* if one is given."""
        if name not in self:
            return default
        return self[name] if data_class is None else data_class(**self[name])

    @classmethod
    def deserialize(cls, serialized_runtime_env: str) -> RuntimeEnv:
        """What `serialize` gave."""
        return cls(_validate=False, **json.loads(serialized_runtime_env))

    def serialize(self) -> str:
        """JSON with sorted keys."""
        return json.dumps(RuntimeEnv(**self), sort_keys=True)

    def to_dict(self) -> dict[str, Any]:
        """A plain dictionary; nothing in it is shared."""
        from copy import deepcopy  # late: few ask

        found = {name: deepcopy(value) for name, value in self.items()}
        if isinstance(found.get("config"), RuntimeEnvConfig):
            found["config"] = found["config"].to_dict()
        return found

    def plugins(self) -> list[tuple[str, Any]]:
        """The fields that are not known; they have no effect."""
        return [(name, value) for name, value in self.items() if name not in self.known_fields]


# -- the checks -----------------------------------------------------------------------


def _exclusive(given: Mapping[str, Any]) -> None:
    if sum(name in given for name in ("pip", "conda", "uv")) > 1:
        raise ValueError(
            "The 'pip' field, 'uv' field, and 'conda' field of runtime_env cannot be specified at "
            f"the same time.\nspecified pip field: {given.get('pip')}\n"
            f"specified conda field: {given.get('conda')}\nspecified uv field: {given.get('uv')}\n"
            "To use pip with conda, please only set the 'conda' field."
        )
    for name in ("container", "image_uri"):
        others = set(given) - {name, "config", "env_vars"}
        if given.get(name) and others:
            raise ValueError(
                f"The '{name}' field currently cannot be used together with other fields of "
                f"runtime_env. Specified fields: {others}"
            )


def _env_vars(value: Any) -> dict[str, str] | None:
    if not isinstance(value, dict):
        raise TypeError(
            f"runtime_env['env_vars'] must be of type Dict[str, str], got {type(value)}"
        )
    for key, text in value.items():
        for what, one in (("key", key), ("value", text)):
            if not isinstance(one, str):
                raise TypeError(
                    "runtime_env['env_vars'] must be of type Dict[str, str], but the "
                    f"{what} {one} is of type {type(one)}"
                )
        if not key or "=" in key or "\0" in key or "\0" in text:
            raise ValueError(f"runtime_env['env_vars']: {key!r} cannot be a variable of a process")
    return value or None


def is_uri(text: str) -> bool:
    """Whether it names its protocol; else it is a path of this machine."""
    return "://" in text


def _path_or_uri(text: str, archives: tuple[str, ...], field: str) -> None:
    if is_uri(text):
        protocol, _, path = text.partition("://")
        if protocol == "local":
            if not Path(path).is_absolute():
                raise ValueError(f"{text} is not a valid URI: the path must be absolute.")
            return
        if protocol not in {"file", "https", "http", "gcs", "s3", "gs", "azure", "abfss"}:
            known = "local, file, https, http, gcs"
            raise ValueError(f"{text} is not a valid URI: its protocol must be one of {known}")
        if protocol == "file" and Path(path).is_dir():
            return
        if not path.partition("?")[0].endswith(archives):
            known = ", ".join(archives)
            got = text.partition("?")[0]
            raise ValueError(f"Only {known} files are supported for {field} URIs; got {got}.")
    elif not Path(text).exists():
        raise ValueError(
            f"{text} is not a valid path. It must be an existing directory or a supported archive "
            f"({', '.join(archives)})"
        )


def _working_dir(value: Any) -> str:
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"`working_dir` must be a string, got {type(value)}.")
    text = os.fspath(value)
    if not isinstance(text, str):
        raise TypeError(f"`working_dir` must be a string, got {type(value)}.")
    _path_or_uri(text, ARCHIVES, "working_dir")
    if not is_uri(text) and not (Path(text).is_dir() or text.endswith(ARCHIVES)):
        raise ValueError(
            f"{text} is not a valid path. It must be an existing directory or a supported archive "
            f"({', '.join(ARCHIVES)})"
        )
    return text


def _py_modules(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise TypeError(f"`py_modules` must be a list of strings, got {type(value)}.")
    found = []
    for one in value:
        if hasattr(one, "__path__") or hasattr(one, "__file__"):  # a module
            paths = list(getattr(one, "__path__", ()))
            one = paths[0] if paths else one.__file__
        if isinstance(one, os.PathLike):
            one = os.fspath(one)
        if not isinstance(one, str):
            raise TypeError(f"`py_module` must be a string, got {type(one)}.")
        _path_or_uri(one, (ARCHIVES[0], ".whl", *ARCHIVES[1:]), "py_modules")
        found.append(one)
    return found


def _excludes(value: Any) -> list[str] | None:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise TypeError(f"runtime_env['excludes'] must be of type List[str], got {type(value)}")
    return value or None


def _requirements(path: str) -> list[str]:
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"{path} is not a valid file")
    return file.read_text(encoding="utf-8").strip().split("\n")


def _packages(tool: str) -> Callable[[Any], dict[str, Any] | None]:
    known: dict[str, type]
    if tool == "pip":
        known = {"packages": list, "pip_check": bool, "pip_install_options": list,
                 "pip_version": str}
    else:
        known = {"packages": list, "uv_check": bool, "uv_version": str,
                 "uv_pip_install_options": list}  # fmt: skip

    def check(value: Any) -> dict[str, Any] | None:
        found: dict[str, Any]
        if isinstance(value, str):
            found = {"packages": _requirements(value)}
        elif isinstance(value, list) and all(isinstance(one, str) for one in value):
            found = {"packages": value}
        elif isinstance(value, dict):
            if set(value) - set(known):
                *names, last = known
                raise ValueError(
                    f"runtime_env['{tool}'] can only have these fields: {', '.join(names)} and "
                    f"{last}, but got: {list(value)}"
                )
            if "packages" not in value:
                raise ValueError(
                    f"runtime_env['{tool}'] must include field 'packages', but got {value}"
                )
            found = dict(value)
            if tool == "pip" and isinstance(found["packages"], str):
                found["packages"] = _requirements(found["packages"])
            if not isinstance(found["packages"], list):
                raise ValueError(
                    f"runtime_env['{tool}']['packages'] must be of type "
                    f"{'str or list' if tool == 'pip' else 'list'}, got: {type(found['packages'])}"
                )
            for name, one in found.items():
                _of_kind(f"runtime_env['{tool}']['{name}']", one, known[name])
        else:
            raise TypeError(
                f"runtime_env['{tool}'] must be of type str or List[str], got {type(value)}"
            )
        found.setdefault(f"{tool}_check", False)
        if tool == "uv" and isinstance(value, dict):
            found.setdefault("uv_pip_install_options", ["--no-cache"])
        found["packages"] = list(dict.fromkeys(found["packages"]))
        return found if found["packages"] else None

    return check


def _of_kind(what: str, value: Any, kind: type) -> None:
    if kind is not list:
        if not isinstance(value, kind):
            raise TypeError(f"{what} must be of type {kind.__name__}, got {type(value)}")
        return
    if not isinstance(value, list):
        raise TypeError(f"{what} must be of type list[str] got {type(value)}")
    for number, one in enumerate(value):
        if not isinstance(one, str):
            raise TypeError(
                f"{what} must be of type list[str] got {type(one)} for {number}-th item."
            )


def _conda(value: Any) -> Any:
    if not isinstance(value, (str, dict)):
        raise TypeError(f"runtime_env['conda'] must be of type str or dict, got {type(value)}.")
    file = Path(value) if isinstance(value, str) else Path()
    if file.suffix in {".yaml", ".yml"} and not file.is_file():
        raise ValueError(f"Can't find conda YAML file {value}.")
    if file.suffix not in {".yaml", ".yml"} and file.is_absolute() and not file.is_dir():
        raise ValueError(f"Can't find conda env directory {value}.")
    return value


def _config(value: Any) -> RuntimeEnvConfig:
    if isinstance(value, RuntimeEnvConfig):
        return value
    if not isinstance(value, dict):
        raise TypeError(
            f"runtime_env['config'] must be of type dict or RuntimeEnvConfig, got: {type(value)}"
        )
    unknown = set(value) - RuntimeEnvConfig.known_fields
    if unknown:
        warnings.warn(
            f"runtime_env['config']: these entries are unknown and ignored: {sorted(unknown)}",
            UserWarning, stacklevel=4,
        )  # fmt: skip
    known = {name: one for name, one in value.items() if name not in unknown}
    return RuntimeEnvConfig(**known)


def _hook(value: Any) -> Any:
    if not (callable(value) or isinstance(value, str)):
        raise TypeError(
            "worker_process_setup_hook must be a function or the name of one, "
            f"got {type(value)}."
        )
    return value


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "env_vars": _env_vars,
    "working_dir": _working_dir,
    "py_modules": _py_modules,
    "excludes": _excludes,
    "pip": _packages("pip"),
    "uv": _packages("uv"),
    "conda": _conda,
    "config": _config,
    "worker_process_setup_hook": _hook,
}


# -- as it travels ---------------------------------------------------------------------


def checked(value: Any) -> RuntimeEnv:
    """What a user gave for `runtime_env`, checked.

    Raises:
        TypeError, ValueError: see `RuntimeEnv`.
    """
    if isinstance(value, RuntimeEnv):
        return RuntimeEnv(**value)
    if not isinstance(value, Mapping):
        raise TypeError(
            "The type of keyword 'runtime_env' must be (<class 'dict'>, <class 'NoneType'>), "
            f"but received type {type(value)}"
        )
    return RuntimeEnv(**value)


def text_of(value: Any) -> str:
    """The environment of a task or an actor, as it travels; '' if it asks for nothing.

    Raises:
        TypeError, ValueError: see `RuntimeEnv`; or it names a folder of this machine.
    """
    if value is None:
        return ""
    env = checked(value)
    for one in (*filter(None, [env.get("working_dir")]), *env.py_modules()):
        if not is_uri(one):
            raise ValueError(
                f"{one} is not a valid URI. Passing directories or modules to be dynamically "
                "uploaded is only supported at the job level (i.e., passed to `ray.init`)."
            )
    if callable(env.get("worker_process_setup_hook")):
        raise TypeError(
            "worker_process_setup_hook: a function is taken from nbray.init() only; a task or an "
            "actor can name one, as 'module.function'"
        )
    return json.dumps(env, sort_keys=True) if env else ""


def merged(parent: str, child: str) -> str:
    """*child* over *parent*, both as they travel: variables add up, other fields are replaced."""
    if not child or not parent:
        return child or parent
    over, under = json.loads(child), json.loads(parent)
    if {"pip", "uv", "conda"} & set(over):
        for name in ("pip", "uv", "conda"):
            under.pop(name, None)
    found = {**under, **over}
    variables = {**under.get("env_vars", {}), **over.get("env_vars", {})}
    if variables:
        found["env_vars"] = variables
    return json.dumps(found, sort_keys=True)


def absent(env: Mapping[str, Any]) -> str:
    """Why *env* cannot be had here, in one sentence; '' if it can."""
    for name, why in _ABSENT.items():
        if env.get(name):
            return f"runtime_env[{name.lstrip('_')!r}] is not supported: {why}"
    return ""
