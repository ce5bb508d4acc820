"""Folders and archives of an environment, as the driver packs them.

Owns the archive (a tar of plain files, named by the hash of what is in it) and what is left out of
it. Does not own how an archive travels (the engine's) nor what becomes of it on a node
(`unpacking`). Rule: equal content has one name.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nbray.exceptions import RuntimeEnvSetupError
from nbray.hosting.ignored import Ignored
from nbray.hosting.kept_folders import name_of
from nbray.runtime_env import is_uri

MOST_BYTES = 512 << 20
"""Bytes of one folder or archive, as in Ray."""
URI = "gcs://"
"""Before the name of what a driver has packed, as in Ray: `gcs://_ray_pkg_HASH.zip`."""
PICKLED = " gcs://"
"""Between the name of a setup hook that is a function and that of what holds it, pickled."""
LEFT_OUT = ".git,.venv,venv,__pycache__"
"""What a job's folder comes without, as in Ray, unless `RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES`
says otherwise."""
IGNORE_FILES = (".gitignore", ".rayignore")


# -- packing ----------------------------------------------------------------------------


def packed(env: Mapping[str, Any]) -> tuple[str, dict[str, bytes]]:
    """A job's environment as it travels, and the archives that it names.

    Raises:
        RuntimeEnvSetupError: a folder or archive is too large, or cannot be read.
    """
    found = dict(env)
    archives: dict[str, bytes] = {}

    def put(data: bytes, ending: str) -> str:
        name = f"_ray_pkg_{name_of(data)}{ending}"
        archives[name] = data
        return URI + name

    def packed_one(what: str, path: Path, excludes: list[str], top: str = "") -> str:
        try:
            if path.is_dir() or path.suffix == ".py":
                return put(pack_folder(path, excludes, top), ".zip")
            return put(read(path), _ending(path.name))
        except (OSError, ValueError) as error:
            raise RuntimeEnvSetupError(
                f"Failed to upload {what} {path} to the cluster: {error}"
            ) from None

    folder = found.get("working_dir")
    excludes = found.pop("excludes", None) or []
    if folder and not is_uri(folder):
        left_out = os.environ.get("RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES", LEFT_OUT)
        found["working_dir"] = packed_one(
            "working_dir", Path(folder), [*left_out.split(","), *excludes]
        )
    if found.get("py_modules"):
        found["py_modules"] = [
            one if is_uri(one) else packed_one(
                "module", Path(one), ["__pycache__", *excludes], Path(one).resolve().name
            )
            for one in found["py_modules"]
        ]  # fmt: skip
    hook = found.get("worker_process_setup_hook")
    if callable(hook):
        from nbray.definitions import dumps  # late: few have one

        said = put(dumps(hook), ".hook").removeprefix(URI)
        name = getattr(hook, "__qualname__", type(hook).__name__)
        found["worker_process_setup_hook"] = f"{name}{PICKLED}{said}"
    return (json.dumps(found, sort_keys=True) if found else ""), archives


def _ending(name: str) -> str:
    for ending in (".tar.gz", ".tar.xz"):
        if name.endswith(ending):
            return ending
    return os.path.splitext(name)[1]


def read(path: Path) -> bytes:
    if path.stat().st_size > MOST_BYTES:
        raise too_large(path)
    return path.read_bytes()


def too_large(path: Path) -> ValueError:
    return ValueError(
        f"Package {path} exceeds the maximum size of {MOST_BYTES / 2**20:.2f}MiB. To exclude large "
        "files, add them to '.gitignore' or '.rayignore' files, or use the 'excludes' option in "
        "the runtime_env, or provide a URI of a remote zip file."
    )


def pack_folder(folder: Path, excludes: list[str], top: str = "") -> bytes:
    """*folder* (or one file) as an archive; equal content makes equal bytes.

    What changes or goes meanwhile is packed as it is found, or left out.

    Args:
        excludes: patterns as in a `.gitignore` in *folder*.
        top: the folder in the archive that everything lies in.

    Raises:
        ValueError: it is too large.
    """
    import tarfile  # late: few jobs have a folder

    out = io.BytesIO()
    size = 0
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, path in files(folder, excludes):
            inside = f"{top}/{name}" if top and folder.is_dir() else name
            try:
                mode = path.stat().st_mode
                info = tarfile.TarInfo(inside)
                info.mode = 0o700 if mode & 0o100 else 0o600
                if path.is_dir():
                    info.type, info.mode = tarfile.DIRTYPE, 0o700
                    archive.addfile(info)
                    continue
                with path.open("rb") as stream:
                    data = stream.read(MOST_BYTES + 1 - size)
            except FileNotFoundError:
                continue
            size += len(data)
            if size > MOST_BYTES:
                raise too_large(folder)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def files(folder: Path, excludes: list[str]) -> Iterator[tuple[str, Path]]:
    """(name, path) of its files and empty folders, in order; links are what they lead to."""
    if not folder.is_dir():
        yield folder.name, folder
        return
    yield from _inside(folder, "", [("", Ignored(excludes))], {os.path.realpath(folder)})


def _inside(
    folder: Path, prefix: str, rules: list[tuple[str, Ignored]], above: set[str]
) -> Iterator[tuple[str, Path]]:
    for name in IGNORE_FILES:
        if os.environ.get(f"RAY_RUNTIME_ENV_IGNORE_{name[1:].upper()}") == "1":
            continue
        try:
            lines = (folder / name).read_text(errors="surrogateescape").splitlines()
        except OSError:
            continue
        rules = [*rules, (prefix, Ignored(lines))]
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in entries:
        name = prefix + entry.name
        path = folder / entry.name
        inside = entry.is_dir()
        if any(ignored.says(name[len(at) :]) for at, ignored in rules):
            continue
        if inside:
            real = os.path.realpath(path)
            if real in above:  # a link to a folder that it lies in
                continue
            if not any(path.iterdir()):
                yield name, path
            yield from _inside(path, name + "/", rules, above | {real})
        elif entry.is_file():  # no sockets, no pipes, no links to nowhere
            yield name, path


__all__ = ["files", "pack_folder", "packed"]
