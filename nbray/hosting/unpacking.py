"""What the driver of a job has packed, unpacked once on each node for the workers that are in it.

Owns the folders in which workers run and from which they import: kept as long as the node lives,
the oldest in which nobody is going first when all together have more than
`RAY_RUNTIME_ENV_WORKING_DIR_CACHE_SIZE_GB` (10). Does not own the archives (`packages`). Rules:
nothing is written outside the folder that an archive is unpacked into; a folder appears whole or
not at all.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any

from nbray.hosting import kept_folders
from nbray.hosting.packages import MOST_BYTES, URI, read, too_large

KEPT_GB = 10.0
"""GB of unpacked archives that a node keeps, where the variable does not say how many."""


def enter(
    env: Mapping[str, Any], folder: Path, fetch: Callable[[str], bytes], until: float | None
) -> None:
    """Have this process run in the environment's folder, and import from its modules.

    Raises what `folders` does.
    """
    home = folder / "environments"
    home.mkdir(mode=0o700, exist_ok=True)
    work, paths = folders(env, home, fetch, until)
    if work:
        os.chdir(work)
    add_paths(paths)
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([*paths, *filter(None, [before])])


def folders(
    env: Mapping[str, Any], home: Path, fetch: Callable[[str], bytes], until: float | None
) -> tuple[str, list[str]]:
    """(where the environment's processes run or '', where they import from) in *home*.

    Raises:
        ValueError, OSError, TimeoutError: something cannot be had, is no archive, or leads out
            of its folder.
    """
    paths: list[str] = []
    for uri in env.get("py_modules") or ():
        place = here(uri, home, fetch, until, strip=False)
        paths.append(str(place))
        if not uri.startswith(URI) and (inside := _only_folder(place)):
            paths.append(str(inside))
    if not env.get("working_dir"):
        return "", paths
    uri = env["working_dir"]
    place = here(uri, home, fetch, until, strip=not uri.startswith(URI))
    return str(place), [str(place), *paths]


def add_paths(paths: Any) -> None:
    """Have modules of these folders found before all others."""
    sys.path[:0] = [path for path in paths if path not in sys.path]
    importlib.invalidate_caches()


def here(
    uri: str, home: Path, fetch: Callable[[str], bytes], until: float | None, strip: bool
) -> Path:
    """The folder with what *uri* names, unpacked if this node does not have it yet.

    Args:
        strip: if all lies in one folder, it is that one that is meant.
    """
    protocol, _, path = uri.partition("://")
    if protocol == "local" or (protocol == "file" and os.path.isdir(path)):
        if not os.path.isdir(path):
            raise ValueError(f"{uri} points to {path!r}, which must already exist on every node.")
        return Path(path)
    name = path if uri.startswith(URI) else _name_of(uri, path)
    place = home / name
    with kept_folders.locked(place, until):
        if not place.is_dir():
            _make(place, _bytes(uri, protocol, path, fetch, until), uri)
            _tidy(home)
        kept_folders.use(place)
    return (_only_folder(place) if strip else None) or place


def _only_folder(place: Path) -> Path | None:
    """The folder that all of *place* lies in; None if it is not one."""
    first, *others = [*place.iterdir(), place]
    return first if len(others) == 1 and first.is_dir() else None


def _make(place: Path, data: bytes, uri: str) -> None:
    import shutil  # late: few workers unpack anything

    part = kept_folders.beside(place, "part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    try:
        unpack(data, part, uri)
        kept_folders.beside(place, "use").write_text(str(len(data)))
        part.rename(place)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _tidy(home: Path) -> None:
    """Remove what was unpacked longest ago, and no worker is in, of more than is kept."""
    from shutil import rmtree  # late: few workers unpack anything

    try:
        kept = float(os.environ.get("RAY_RUNTIME_ENV_WORKING_DIR_CACHE_SIZE_GB", KEPT_GB)) * 1e9
    except ValueError:
        kept = KEPT_GB * 1e9
    found = []
    for place in home.iterdir():
        if place.suffix != ".part" and place.is_dir():
            with contextlib.suppress(OSError, ValueError):
                size = int(kept_folders.beside(place, "use").read_text())
                found.append((place.stat().st_ctime, size, place))
    for _, size, place in sorted(found, reverse=True):
        kept -= size
        if kept < 0:
            kept_folders.remove_unused(place, lambda one: rmtree(one, ignore_errors=True))


def _name_of(uri: str, path: str) -> str:
    said = uri.encode()
    if uri.startswith("file://"):  # the same path may be another archive the next time
        status = os.stat(path)
        said += f"{status.st_size} {status.st_mtime_ns}".encode()
    return kept_folders.name_of(said)


def _bytes(
    uri: str, protocol: str, path: str, fetch: Callable[[str], bytes], until: float | None
) -> bytes:
    if protocol == "gcs":
        return bytes(fetch(path))
    if protocol == "file":
        return read(Path(path))
    if protocol not in {"http", "https"}:
        raise ValueError(
            f"{uri} cannot be had: nbray reads archives from file://, http:// and https://"
        )
    import urllib.request  # late: few fetch any

    left = 60.0 if until is None else max(0.1, until - time.monotonic())
    with urllib.request.urlopen(uri, timeout=min(60.0, left)) as stream:  # noqa: S310 - checked
        data: bytes = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise too_large(Path(uri))
    return data


def unpack(data: bytes, folder: Path, what: str) -> None:
    """Unpack an archive into *folder*.

    Raises:
        ValueError: it is no archive, or holds a file that would lie elsewhere.
    """
    import tarfile  # late: few workers unpack anything
    import zipfile

    stream = io.BytesIO(data)
    if zipfile.is_zipfile(stream):
        with zipfile.ZipFile(stream) as archive:
            for entry in archive.infolist():
                place = _place(folder, entry.filename, what)
                if entry.is_dir():
                    place.mkdir(parents=True, exist_ok=True)
                    continue
                mode = 0o700 if entry.external_attr >> 16 & 0o100 else 0o600
                with archive.open(entry) as source:
                    _write(place, source, mode)
        return
    stream.seek(0)
    try:
        with tarfile.open(fileobj=stream) as tar:
            for member in tar:
                place = _place(folder, member.name, what)
                if member.isdir():
                    place.mkdir(parents=True, exist_ok=True)
                elif member.isfile():
                    part = tar.extractfile(member)
                    assert part is not None
                    _write(place, part, 0o700 if member.mode & 0o100 else 0o600)
                elif not member.issym():
                    raise ValueError(f"{what} holds {member.name!r}, which is no file or folder")
    except tarfile.TarError as error:
        raise ValueError(f"{what} is no archive: {error}") from None


def _place(folder: Path, name: str, what: str) -> Path:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise ValueError(f"{what} holds {name!r}, which would lie outside its folder")
    return folder / path


def _write(place: Path, source: IO[bytes], mode: int) -> None:
    from shutil import copyfileobj  # late: few workers unpack anything

    place.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with open(descriptor, "wb") as target:
        copyfileobj(source, target)


__all__ = ["add_paths", "enter", "here", "unpack"]
