"""The run directory: where this user's clusters on this machine are found again.

Owns one private folder a user (0700), in it one folder a session with its
sockets and a 0600 record, and ending sessions by their record. Does not own
the sockets' traffic, or which processes a session starts.

Rules. A folder that somebody else could have prepared is refused. A record
counts while its root process lives: pid and start time must both match, so a
number that was used again is nobody. Two network namespaces of one machine may
share the file system but are two machines to a cluster: one sees only its own
records, and removes a stale record only where it can see that root is gone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import time
from pathlib import Path

import msgspec

from nbray.config import Owner, run_roots
from nbray.exceptions import RaySystemError
from nbray.runtime.shell.network.address import is_this_machine, parse_address
from nbray.runtime.shell.process.channel import Front
from nbray.text import forgiving, safe

RECORD = "record.json"
_SOCKET_PATH_LIMIT = 103
"""Bytes of a Unix socket's path that every platform accepts (Linux: 107)."""
_INBOX_LENGTH = len("/s-12345678/.0123456789abcdef")
_KILL_WAIT = 5.0
_STEP = 0.02
_HAS_PROC = Path("/proc/self/stat").exists()


class Record(msgspec.Struct, frozen=True):
    """One session: a node of a cluster on this machine, and all its processes."""

    directory: str
    """Absolute path of the session's folder."""
    root_pid: int
    root_started: float
    """See `process_started`; with the pid it names one process for good."""
    node: int
    """The node's number in its cluster."""
    head: bool
    """Whether the cluster's head runs here."""
    address: str
    """'ip:port' of this node's port."""
    head_address: str
    """'ip:port' of the cluster."""
    secret: str
    node_ip: str
    version: str
    """nbray's."""
    python: str
    """'3.11.7'."""
    owner: Owner
    """As in `NodeRequest`; `DETACHED` also while the session outlives its driver."""
    created: float
    """Seconds since the epoch."""
    netns: int = 0
    """Inode of the network namespace (0: the platform has none)."""
    pidns: int = 0
    """Inode of the namespace in which `root_pid` counts."""
    cluster: str = ""
    """16 hexadecimal digits, the same on every node of the cluster ('' from an older nbray)."""
    executable: str = ""
    """The Python that runs the session, as it was called: its environment is the cluster's."""
    owner_pid: int = 0
    """The process with which everything ends (0: nobody's)."""
    dashboard: Front = Front()
    """Where the cluster's dashboard is, if its head runs here."""


def run_directory() -> Path:
    """This user's run directory for what is new, made if need be.

    Raises:
        RaySystemError: none of those there may be can be used: it belongs to somebody else, others
            may enter it, or its path is too long for sockets.
    """
    first: RaySystemError | None = None
    for root in run_roots():
        try:
            return _private(Path(root).absolute())
        except RaySystemError as error:  # in somebody's way: the next one
            first = first or error
    assert first is not None
    raise first


def run_directories() -> list[Path]:
    """All run directories that there are and that are this user's own; clusters may be in any.

    Raises:
        RaySystemError: the one that was chosen (`NBRAY_RUN_DIR`) cannot be used.
    """
    roots = [Path(root).absolute() for root in run_roots()]
    if len(roots) == 1:
        return [_private(roots[0])]
    found = []
    for root in roots:
        with contextlib.suppress(OSError):
            if not _complaint(root, root.lstat()):
                found.append(root)
    return found


def _private(path: Path) -> Path:
    """*path*, made if need be, with all that is missing above it as private as itself.

    Raises:
        RaySystemError: it cannot be used; says why.
    """
    if len(os.fsencode(path)) + _INBOX_LENGTH > _SOCKET_PATH_LIMIT:
        raise RaySystemError(
            f"the path of the run directory {path} is too long for sockets: "
            "set NBRAY_RUN_DIR to a shorter one"
        )
    if safe(str(path)) != str(path):
        raise RaySystemError(
            f"the path of the run directory {safe(str(path))} is not UTF-8, and other processes "
            "could not be told of it: set NBRAY_RUN_DIR to another one"
        )
    try:
        missing = [folder for folder in path.parents if not folder.exists()]
        # Not all at once: `mkdir(parents=True)` makes them as open as the umask says.
        for folder in [*reversed(missing), path]:
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
        found = path.lstat()  # not stat: a link is somebody's trick
    except OSError as error:
        raise RaySystemError(
            f"the run directory {path} cannot be made ({error.strerror}): "
            "set NBRAY_RUN_DIR to another one"
        ) from None
    why = _complaint(path, found)
    if why:
        raise RaySystemError(why)
    return path


def _complaint(path: Path, found: os.stat_result) -> str:
    """Why a folder that is there must not be used ('': it may be)."""
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        return (
            f"the run directory {path} is not yours: remove it or set NBRAY_RUN_DIR to another one"
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        return (
            f"others may enter the run directory {path}: run `chmod 700 {path}`, "
            "or set NBRAY_RUN_DIR to another one"
        )
    return ""


def new_session() -> Path:
    """A new folder for a session's sockets and record.

    Raises:
        RaySystemError: as `run_directory`.
    """
    root = run_directory()
    while True:
        path = root / f"s-{os.urandom(4).hex()}"
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
            return path


def namespace(kind: str) -> int:
    """Inode of this process's namespace of *kind* ('net', 'pid'), 0 where there are none."""
    try:
        return Path(f"/proc/self/ns/{kind}").stat().st_ino
    except OSError:
        return 0


def process_started(pid: int) -> float | None:
    """When process *pid* started, in seconds of a clock of the system's own; None if it is gone.

    A zombie is gone. On Linux read from /proc, where it never changes with the
    wall clock.
    """
    if _HAS_PROC:
        try:
            # The command may contain anything, brackets too: fields count from its end.
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            return None
        if fields[0] in {b"Z", b"X"}:
            return None
        return int(fields[19]) / os.sysconf("SC_CLK_TCK")
    import psutil  # only where it is needed: it takes 12 ms to import

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return None


def write(record: Record) -> None:
    """Write the session's record at once or not at all, readable by its user only."""
    folder = Path(record.directory)
    draft = folder / f"{RECORD}.{os.getpid()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(msgspec.json.format(forgiving(msgspec.json.encode)(record), indent=1))
    draft.replace(folder / RECORD)


def alive(record: Record) -> bool:
    """Whether the session's root process runs."""
    return process_started(record.root_pid) == record.root_started


def outlives(record: Record) -> bool:
    """Whether a driver's session has become one that stays when the driver ends."""
    try:
        now = msgspec.json.decode(Path(record.directory, RECORD).read_bytes(), type=Record)
    except (OSError, msgspec.DecodeError):
        return False
    return now.owner is Owner.DETACHED


def read_all(only_this_netns: bool = True) -> list[Record]:
    """Records of live sessions, youngest first; stale ones are removed on the way.

    Raises:
        RaySystemError: as `run_directory`.
    """
    netns, pidns = namespace("net"), namespace("pid")
    found = []
    for path in [path for root in run_directories() for path in root.glob(f"*/{RECORD}")]:
        try:
            record = msgspec.json.decode(path.read_bytes(), type=Record)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            continue  # ended meanwhile, or of another version: not ours to judge
        if record.pidns == pidns and not alive(record):
            remove(path.parent)
        elif not only_this_netns or record.netns == netns:
            found.append(record)
    return sorted(found, key=lambda record: record.created, reverse=True)


def find(address: str) -> Record | None:
    """The live session on this machine that is, or belongs to, the cluster at *address*.

    'auto' or '': the youngest of those that are no driver's, else the youngest. A
    node's own address counts as well as its head's, and loopback or a name of this machine
    stand for any address of it. Of a cluster's nodes here the head's comes first:
    the others can be taken away.

    Raises:
        ValueError: that is no address.
    """
    records = read_all()
    if address in {"", "auto"}:
        heads = {record.cluster: record for record in records if record.head and record.cluster}
        records = [heads.get(record.cluster, record) for record in records]
        # What another process has for itself is the last that one wants to be in.
        return min(records, key=lambda record: record.owner is Owner.DRIVER, default=None)
    host, port = parse_address(address)
    for record in sorted(records, key=lambda record: not record.head):
        for known in (record.head_address, record.address):
            known_host, known_port = parse_address(known)
            if port != known_port:
                continue
            if host == known_host or (known == record.address and is_this_machine(host)):
                return record
    return None


def started_by_command() -> Record | None:
    """The youngest session of a cluster that `nbray start` began (None: there is none)."""
    found = (record for record in read_all() if record.owner is Owner.DAEMON and record.node)
    return next(found, None)


def remove(session_dir: Path) -> None:
    """Remove a session's folder with its sockets; nothing if it is gone."""
    import shutil  # late: with all archives that it knows it takes a while

    shutil.rmtree(session_dir, ignore_errors=True)


def stop_session(record: Record, timeout: float = 10.0) -> None:
    """End a session: ask its root, wait, and kill all that is left after *timeout* seconds."""
    family = _family(record)
    if alive(record):
        _signal(record.root_pid, record.root_started, signal.SIGTERM)
        if not _gone(family, timeout):
            # What started meanwhile counts too; root first, or it would fork again.
            family |= _family(record)
            order = [(record.root_pid, record.root_started), *family]
            for pid, started in order:
                _signal(pid, started, signal.SIGKILL)
            _gone(family, _KILL_WAIT)
    remove(Path(record.directory))


def _family(record: Record) -> set[tuple[int, float]]:
    """(pid, start) of the session's root and its descendants, this process excepted."""
    if not alive(record):
        return set()
    found = {(record.root_pid, record.root_started)}
    import psutil

    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(record.root_pid).children(recursive=True):
            started = process_started(child.pid)
            if started is not None and child.pid != os.getpid():
                found.add((child.pid, started))
    return found


def _gone(family: set[tuple[int, float]], timeout: float) -> bool:
    """Wait until no process of *family* runs; False when the time is up."""
    deadline = time.monotonic() + timeout
    while any(process_started(pid) == started for pid, started in family):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_STEP)
    return True


def _signal(pid: int, started: float, number: signal.Signals) -> None:
    if process_started(pid) == started:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
