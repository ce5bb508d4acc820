"""Folders and archives of an environment: packed by the driver, unpacked once on each node.

Owns the archive (a tar of plain files, named by the hash of what is in it), what is left out of
it, and the folders in which workers run and from which they import. Does not own how an archive
travels (the engine's). Rules: equal content has one name; nothing is written outside the folder
that an archive is unpacked into; a folder appears whole or not at all.
"""

from __future__ import annotations

import fcntl
import importlib
import io
import json
import os
import shutil
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any

from nbray.hosting.ignored import Ignored
from nbray.runtime_env import is_uri

MOST_BYTES = 500 << 20
"""Bytes of one folder or archive, as in Ray."""
URI = "gcs://"
"""Before the name of what a driver has packed, as in Ray: `gcs://_ray_pkg_HASH.zip`."""
PICKLED = " gcs://"
"""Between the name of a setup hook that is a function and that of what holds it, pickled."""
NEVER = frozenset({"__pycache__"})
IGNORE_FILES = (".gitignore", ".rayignore")


# -- packing ----------------------------------------------------------------------------


def packed(env: Mapping[str, Any]) -> tuple[str, dict[str, bytes]]:
    """A job's environment as it travels, and the archives that it names.

    Raises:
        ValueError: a folder or archive is not there, is no package, or is too large.
        OSError: it cannot be read.
    """
    found = dict(env)
    archives: dict[str, bytes] = {}

    def put(data: bytes, ending: str) -> str:
        from nbray.wire.digest import digest  # late: few have an archive

        name = f"_ray_pkg_{digest(data).hex()}{ending}"
        archives[name] = data
        return URI + name

    folder = found.get("working_dir")
    excludes = found.get("excludes") or []
    if folder and not is_uri(folder):
        path = Path(folder)
        if path.is_dir():
            found["working_dir"] = put(pack_folder(path, excludes), ".zip")
        else:
            found["working_dir"] = put(_read(path), "".join(_ending(path.name)))
    modules = []
    for one in found.get("py_modules") or ():
        path = Path(one)
        if is_uri(one):
            modules.append(one)
        elif path.is_dir() or path.suffix == ".py":
            name = path.resolve().name
            modules.append(put(pack_folder(path, excludes, name), ".zip"))
        else:
            modules.append(put(_read(path), _ending(path.name)))
    if modules:
        found["py_modules"] = modules
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


def _read(path: Path) -> bytes:
    if path.stat().st_size > MOST_BYTES:
        raise _too_large(path)
    return path.read_bytes()


def _too_large(path: Path) -> ValueError:
    return ValueError(
        f"Package {path} exceeds the maximum size of {MOST_BYTES >> 20} MiB. You can exclude large "
        "files using the 'excludes' option to the runtime_env or provide a remote URI of a zip "
        "file containing the package."
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
                raise _too_large(folder)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def files(folder: Path, excludes: list[str]) -> Iterator[tuple[str, Path]]:
    """(name, path) of what belongs to *folder*, in order; links are what they lead to."""
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
        if entry.name in NEVER or _left_out(name, inside, rules):
            continue
        if inside:
            real = os.path.realpath(path)
            if real in above:  # a link to a folder that it lies in
                continue
            yield name, path
            yield from _inside(path, name + "/", rules, above | {real})
        elif entry.is_file():  # no sockets, no pipes, no links to nowhere
            yield name, path


def _left_out(name: str, folder: bool, rules: list[tuple[str, Ignored]]) -> bool:
    # Ray's excludes stand first and are never taken back by a file.
    if rules and rules[0][1].says(name, folder):
        return True
    said = False
    for prefix, ignored in rules[1:]:
        found = ignored.says(name[len(prefix) :], folder)
        said = said if found is None else found
    return said


# -- unpacking --------------------------------------------------------------------------


def enter(
    env: Mapping[str, Any], folder: Path, fetch: Callable[[str], bytes], until: float | None
) -> None:
    """Have this process run in the environment's folder, and import from its modules.

    Raises:
        ValueError, OSError, TimeoutError: something cannot be had, is no archive, or leads out
            of its folder.
    """
    home = folder / "environments"
    home.mkdir(mode=0o700, exist_ok=True)
    paths: list[str] = []
    for uri in env.get("py_modules") or ():
        place = here(uri, home, fetch, until, strip=False)
        inside = sorted(one for one in place.iterdir() if one.is_dir())
        paths.append(str(place))
        if len(list(place.iterdir())) == 1 and inside and not (inside[0] / "__init__.py").exists():
            paths.append(str(inside[0]))
    if env.get("working_dir"):
        uri = env["working_dir"]
        place = here(uri, home, fetch, until, strip=not uri.startswith(URI))
        os.chdir(place)
        paths.insert(0, str(place))
    add_paths(paths)
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([*paths, *filter(None, [before])])


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
    if protocol == "file" and os.path.isdir(path):
        return Path(path)
    name = path if uri.startswith(URI) else _name_of(uri, path)
    place = home / name
    with locked(home / f"{name}.lock", until):
        if not place.is_dir():
            data = _bytes(uri, protocol, path, fetch, until)
            part = home / f"{name}.part"
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(mode=0o700)
            try:
                unpack(data, part, uri)
                part.rename(place)
            except BaseException:
                shutil.rmtree(part, ignore_errors=True)
                raise
    inside = list(place.iterdir())
    if strip and len(inside) == 1 and inside[0].is_dir():
        return inside[0]
    return place


def _name_of(uri: str, path: str) -> str:
    from nbray.wire.digest import digest  # late: few have an archive

    said = uri.encode()
    if uri.startswith("file://"):  # the same path may be another archive the next time
        status = os.stat(path)
        said += f"{status.st_size} {status.st_mtime_ns}".encode()
    return digest(said).hex()


def _bytes(
    uri: str, protocol: str, path: str, fetch: Callable[[str], bytes], until: float | None
) -> bytes:
    if protocol == "gcs":
        return bytes(fetch(path))
    if protocol == "file":
        return _read(Path(path))
    if protocol not in {"http", "https"}:
        raise ValueError(
            f"{uri} cannot be had: nbray reads archives from file://, http:// and https://"
        )
    import urllib.request  # late: few fetch any

    left = 60.0 if until is None else max(0.1, until - time.monotonic())
    with urllib.request.urlopen(uri, timeout=min(60.0, left)) as stream:  # noqa: S310 - checked
        data: bytes = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise _too_large(Path(uri))
    return data


class locked:  # noqa: N801 - used as a function
    """Alone with what *path* stands for, among all processes of this machine.

    Raises:
        TimeoutError: another one had it until *until*.
    """

    def __init__(self, path: Path, until: float | None) -> None:
        self._path = path
        self._until = until
        self._stream: IO[bytes] | None = None

    def __enter__(self) -> None:
        self._stream = self._path.open("ab")
        while True:
            try:
                fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self._until is not None and time.monotonic() > self._until:
                    self._stream.close()
                    raise TimeoutError(
                        "another process made the same environment for all of the time allowed "
                        "(config.setup_timeout_seconds)"
                    ) from None
                time.sleep(0.02)
            else:
                return

    def __exit__(self, *_: object) -> None:
        assert self._stream is not None
        self._stream.close()


def unpack(data: bytes, folder: Path, what: str) -> None:
    """Unpack an archive into *folder*.

    Raises:
        ValueError: it is no archive, or holds a file that would lie elsewhere.
    """
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
    place.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with open(descriptor, "wb") as target:
        shutil.copyfileobj(source, target)


__all__ = ["enter", "files", "locked", "pack_folder", "packed", "unpack"]
