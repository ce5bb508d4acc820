"""The runtime environment of a job: what of it travels as files, packed where it is submitted."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

MOST_BYTES = 512 << 20
"""Of one folder, packed."""
_KNOWN = {"env_vars", "working_dir", "py_modules", "excludes"}


def packed(given: Mapping[str, Any] | None) -> tuple[dict[str, Any], dict[str, bytes]]:
    """(the environment as it is kept with the job, zip files of its folders).

    Raises:
        ValueError, TypeError: it is no environment, or has parts that jobs have not.
    """
    if given is None:
        return {}, {}
    if not isinstance(given, Mapping):
        raise TypeError(f"runtime_env must be a dictionary, got {type(given)}")
    environment = dict(given)
    unknown = [name for name in environment if name not in _KNOWN]
    if unknown:
        raise ValueError(
            f"runtime_env: a submitted job takes {', '.join(sorted(_KNOWN))}, not "
            f"{', '.join(map(repr, unknown))}; give it to init() in the job's program"
        )
    env_vars = environment.get("env_vars", {})
    if not isinstance(env_vars, Mapping) or not all(
        isinstance(part, str) for pair in env_vars.items() for part in pair
    ):
        raise TypeError("runtime_env['env_vars'] must map strings to strings")
    excludes = list(environment.get("excludes") or ())
    parts: dict[str, bytes] = {}
    if environment.get("working_dir"):
        parts["working_dir"] = _zipped(Path(environment["working_dir"]), excludes, inside=False)
    for number, module in enumerate(environment.get("py_modules") or ()):
        parts[f"py_modules_{number}"] = _zipped(Path(module), excludes, inside=True)
    return environment, parts


def _zipped(path: Path, excludes: list[str], *, inside: bool) -> bytes:
    """A zip file's bytes: *path* itself if it is one; else that folder's files."""
    path = path.expanduser()
    if path.is_file() and path.suffix in {".zip", ".whl"}:
        return path.read_bytes()
    if not path.is_dir():
        raise ValueError(f"runtime_env: {str(path)!r} is no directory and no .zip file")
    root = path.resolve()
    base = root.parent if inside else root
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        for file in sorted(root.rglob("*")):
            name = file.relative_to(root).as_posix()
            if not file.is_file() or "__pycache__" in file.parts or ".git" in file.parts:
                continue
            if any(fnmatch(name, each.strip("/")) or name.startswith(each.strip("/") + "/")
                   for each in excludes):  # fmt: skip
                continue
            archive.write(file, file.relative_to(base).as_posix())
            if buffer.tell() > MOST_BYTES:
                raise ValueError(
                    f"runtime_env: {str(path)!r} has more than {MOST_BYTES >> 20} MB: "
                    "leave out what the job does not need with 'excludes'"
                )
    return buffer.getvalue()
