"""What `init` was asked for, as engines receive it, and the runtime's constants.

Every time, size and limit of the runtime stands here, with its unit.
"""

import enum
import math
import os
from collections.abc import Mapping
from typing import Any

import msgspec

JOB_CONFIG = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""The variable by which the program of a submitted job knows the job's environment, as in Ray."""
JOB_ARCHIVES = "NBRAY_JOB_ARCHIVES"
"""The variable that names the folder with the archives of that environment."""
JOB_DRIVERS = "NBRAY_JOB_DRIVERS"
"""The variable that names the file in which the drivers of a submitted job say who they are: a line
each, of its client id and its process id."""


def join_line(address: str, secret: str) -> str:
    """The line that has another machine join the cluster at *address*; any shell takes it.

    The secret goes through a pipe: arguments are seen by every user of that machine.
    """
    import shlex  # late: `import nbray` needs none of it

    hidden = shlex.quote(secret)
    return f"printf %s {hidden} | nbray start --address={address} --secret-file=-"


class InitConfig(msgspec.Struct, frozen=True):
    """Arguments of `nbray.init`, validated."""

    address: str = ""
    """'' start a local cluster (or join `NBRAY_ADDRESS`), 'auto', 'local' or 'host:port'."""
    num_cpus: float | None = None
    num_gpus: float | None = None
    resources: dict[str, float] = {}
    object_store_memory: int | None = None
    """Bytes; None: 30 % of the machine's memory."""
    spill_directory: str = ""
    """Where objects go that the store does not hold; '': see `shell.node.disk.usual_directory`."""
    namespace: str = ""
    secret: str = ""
    node_ip_address: str = ""
    log_to_driver: bool = True
    detached: bool = False
    """A cluster that is started here outlives this process."""
    dashboard: bool = True
    """A cluster that is started here listens at a port for whoever wants to see its dashboard."""
    dashboard_port: int = 0
    """0: the usual one, or the next that is free."""
    runtime_env: Any = None
    """The job's, a checked `nbray.runtime_env.RuntimeEnv`; None: none."""
    labels: dict[str, str] = {}
    infeasible: str = "wait"
    """What no node can do waits for one that can ('wait'), or fails ('raise')."""
    looks: bool = False
    """Only to tell what there is: it is no job of anybody's."""


class Owner(enum.Enum):
    """With whom what runs on a machine ends."""

    DAEMON = "daemon"
    """Nobody: it lives until `nbray stop`."""
    DRIVER = "driver"
    """The process that started it."""
    DETACHED = "detached"
    """Nobody, though a driver started it."""


class NodeRequest(msgspec.Struct, frozen=True):
    """What `nbray start` asks for: a node of its own, a head's or one that joins.

    `settle` (in `nbray.engines.native`) fills what is empty before `start_node`.
    """

    head: bool
    address: str = ""
    """host:port of the cluster to join; '' for a head."""
    port: int = 0
    """TCP port of this node; 0: any free one."""
    node_ip: str = ""
    """Where this node listens and by which others reach it; '': the primary address."""
    num_cpus: float | None = None
    num_gpus: float | None = None
    resources: dict[str, float] = {}
    object_store_memory: int | None = None
    """Bytes; None: 30 % of the machine's memory."""
    spill_directory: str = ""
    """As in `InitConfig`."""
    secret: str = ""
    """'': a head makes a new one; a node that joins must have it."""
    insecure_password: bool = False
    """The user wants a weak password to be used beyond loopback."""
    owner: Owner = Owner.DAEMON
    ends_with: int = 0
    """A process with which a daemon's node ends, too (0: none): `nbray start --block`."""
    labels: dict[str, str] = {}
    max_workers: int = 0
    """Most worker processes; 0: as many as fit (see `shell.machine.resources.workers`)."""
    dashboard: bool = True
    """A head listens at a port for whoever wants to see its dashboard."""
    dashboard_port: int = 0
    """0: the usual one, or the next that is free."""
    idle_timeout: float = -1.0
    """Seconds without use after which the cluster of this head ends by itself (0: never; -1: what
    NBRAY_IDLE_TIMEOUT says, else `IDLE_ON_HUB` on a hub, else never)."""


INLINE_LIMIT = 64 * 1024
"""Bytes of a pickled value up to which it rides in messages; larger goes to the store."""
LARGE_FUNCTION = 1 << 20
"""Bytes of a pickled function from which on it is put into the store, with a warning."""
CHUNK = 1 << 20
"""Bytes of one frame of a bulk message between machines."""
NEAR_BYTES = 1 << 20
"""So many more bytes of a task's arguments than others a node must have to be asked first."""
PART = 4 * CHUNK
"""Bytes of a large object that are asked for at a time, and come in one bulk message."""
LINEAGE_BYTES = 1 << 30
"""Most bytes of recipes by which a process makes its lost objects again, as in Ray."""
MOST_LINEAGE = "NBRAY_MAX_LINEAGE_BYTES"
"""The environment variable that says another number."""
BATCH_TASKS = 50
"""Tasks a driver gathers before it sends."""
PIPELINE_SECONDS = 0.016
"""Queued work a worker is given ahead, by measured duration."""
PIPELINE_MAX = 256
"""Most unstarted tasks at one worker."""
MIXED_SECONDS = 0.001
"""Tasks that have taken as long or longer are given ahead only with their own kind."""
QUIET_SECONDS = 0.25
"""Seconds after which nothing more is given ahead to a worker that has not answered."""
ACTORS_SECONDS = 60.0
"""Seconds for which a node that leaves gently waits for a moment in which none of its actors
works; their calls are made again where they start next, if they may."""
HAND_OVER_SECONDS = 120.0
"""Seconds for which it then waits until what lies only there has been brought elsewhere."""
LEASE_LINGER = 0.2
"""Seconds an idle lease is kept for the next task."""
RESUME_SECONDS = 10.0
"""Seconds for which a task that lent its CPUs, while it waited, waits to have them again."""
LATE_RESUME_SECONDS = 1.0
"""The same where what it waited for has not come in the time that its call allowed."""
TASKS_REMEMBERED = 2_000
"""Ended tasks that a worker remembers, for detailed screens."""
IDLE_WORKER_SECONDS = 30.0
"""Seconds after which a node ends workers beyond one per CPU."""
MOST_WORKERS = "NBRAY_MAX_WORKERS"
"""The environment variable that says how many worker processes a node may have at most."""
WORKER_CAP = 64
"""Worker processes of a node, beyond one per CPU, for which its memory is not asked."""
WORKER_SHARE = 0.5
"""Part of the machine's memory that worker processes may take by themselves."""
WORKER_BYTES = 8_000_000
"""What a worker takes by itself, before user code loads anything: 6 MB, and what is sent to it."""
WORKER_TASKS = 4
"""Threads that the system is asked for by a worker, at least; a container may bound them."""
DEAD_GRACE = 0.02
"""Seconds a dead worker's last messages may still arrive."""
HEARTBEAT = 1.0
"""Seconds between signs of life on a link between nodes."""
NODE_TIMEOUT = 8.0
"""Seconds of silence after which the head's machine takes a node for dead."""
DETOUR = 2.5
"""Seconds of silence between two nodes after which they try to speak by way of a third."""
HEAD_PATIENCE = 120.0
"""Seconds that a node waits for a head that does not answer (it may be asleep)."""
REPLY_SECONDS = HEAD_PATIENCE + 10.0
"""Longest wait for an answer from node or head, which may be asleep; else they answer at once."""
REJOIN_SECONDS = 3600.0
"""Seconds in which a machine that has lost its cluster tries to join it again."""
FIRST_STATS = 0.15
"""Seconds until a node first looks at its machine: psutil takes 12 ms to load, and the first tasks
come before."""
STATS_INTERVAL = 0.5
"""Seconds between a node's figures."""
STORE_SHARE = 0.3
"""Part of the machine's memory the object store may use."""
SPILL_FILE = 256 << 20
"""Bytes of a file on disk that spilled objects share, at least; larger objects get their own."""
SPILL_BATCH = 64 << 20
"""Bytes that a node moves to disk at a time, at least, when its store is full."""
SPILL_DISK_SHARE = 0.95
"""Part of a disk up to which the store may fill it, with all else that is there: Ray's figure."""
SPILL_LIMIT = "NBRAY_SPILL_LIMIT"
"""The environment variable that says how many bytes a node's store may have on disk at most."""
PIN_SECONDS = 1.0
"""Seconds that a node waits for its clients to say that they pin what they use; an object for
which there is no room goes to disk itself, then."""
IN_USE_SECONDS = 0.5
"""Seconds after which an object that was in use is looked at again."""
ROOM_SECONDS = 60.0
"""Seconds that an object waits for room in the store before it is refused."""
RECORD_SITES = "RAY_record_ref_creation_sites"
"""The environment variable that has the line recorded at which each object is made, as in Ray;
of what is put into the store it always is."""
MOST_SITES = 100_000
"""Of how many objects of a process the line is remembered."""
UNREAD_BYTES = 1 << 30
"""Bytes of what one generator has yielded into the store and nobody has taken, from which on it
pauses for its reader: else it would fill memory, and then the disk."""
MOST_UNREAD = "NBRAY_MAX_UNREAD_BYTES"
"""The environment variable of the worker's node that says another number; 0: it never pauses."""
UNREAD_TOLD = 16 << 20
"""Bytes that a reader takes of such a generator between two words to it; twice that is the least
that it may have unread."""
SPARE_SECONDS = 10.0
"""Seconds that shared memory in which nothing lies is kept warm for the next object."""
SCARCE_SHARE = 0.1
"""Part of the machine's memory; when less is available, nothing is kept warm."""
MEMORY_THRESHOLD = 0.95
"""Part of the memory, the machine's or its group's, from which on a node ends work before the
kernel does; as in Ray."""
MEMORY_USAGE = "RAY_memory_usage_threshold"
"""The environment variable, where a node is started, that says another part."""
MEMORY_FREE = "RAY_min_memory_free_bytes"
"""The environment variable for bytes: a node steps in only where less is free as well."""
MEMORY_LOOK = 0.25
"""Seconds between two looks at the memory while something runs."""
MEMORY_MONITOR = "RAY_memory_monitor_refresh_ms"
"""The environment variable for another number of milliseconds between them; 0 for never."""
MEMORY_LAST_SHARE = 0.15
"""Share of the memory from which on who has it may be ended though it cannot be tried again."""
MEMORY_PATIENCE = 1.0
"""Most seconds for which nobody is ended because another's memory is being taken back."""
MEMORY_SOON = 0.02
"""Seconds between them where memory is nearly short."""
MEMORY_RATE = 4e9
"""Bytes a second that may be taken meanwhile: the nearer to the limit, the sooner the next look."""
MEMORY_WORTH = 10
"""Who holds less than this part (one in so many) of what the largest holds is not ended for it."""
MEMORY_IDLE_SHARE = 0.01
"""An idle worker that holds more than this part of the memory is asked to end where it is short."""
MEMORY_RELAX = 10.0
"""Seconds after which one more task of a kind may run beside the others again."""
MEMORY_RETRY_SECONDS = 1.0
MOST_MEMORY_RETRY_SECONDS = 60.0
"""Seconds until a task that was ended for want of memory is tried again: at first, doubled each
time, and at most, as in Ray."""
MEMORY_RETRIES = "RAY_task_oom_retries"
"""The environment variable that says how often; as in Ray without end where it says nothing."""
KEPT_OUTPUT = 64 << 20
KEPT_SHARE = 1 / 64
"""Most bytes of what C code and child processes have written to a stream that wait to be read: so
many, or this part of the machine's memory if that is more."""
DESCRIPTORS = 65_536
"""Most descriptors a process may have; at its start the soft limit is raised to the hard one,
but not beyond this."""
OWN_DESCRIPTORS = 6
"""Descriptors that every process holds back to be heard and to answer."""
RESERVED_DESCRIPTORS = 8
RESERVED_SHARE = 1 / 16
"""Descriptors, and the part of those a node may have, that it gives to nobody: the larger one."""
SEGMENTS_SHARE = 1 / 16
"""Most segments of shared memory, as a part of the descriptors a node may have; each takes two."""
STRANGERS = 64
STRANGERS_SHARE = 1 / 8
"""Most connections to a node's port at a time that have not proved who they are, and as a part of
the descriptors that the node may have: the smaller one."""
PIECE = 256 * 1024
"""Bytes of a message between machines that travel at once; a larger one is cut into pieces."""
MAX_FRAME = CHUNK + 64 * 1024
"""Bytes; a peer that announces a larger frame over TCP is disconnected, before it has proved who
it is as well: so much memory a stranger's connection can cost."""
MAX_MESSAGE = 1 << 30
"""Bytes; no process takes a larger message, on its own machine or from another one."""
MOST_ERROR = 4 << 20
"""Bytes of a task's error as it travels; what is longer is shortened, and says so."""
MOST_SHOWN = 32 << 20
"""Bytes of one display in all its forms; a form beyond them is a sentence that says so."""
PRINTED_AHEAD = 1 << 20
"""Characters that a worker prints for one driver before that has shown them; then `print` waits."""
FOLD_SECONDS = 5.0
"""Seconds in which the same text on stderr from many tasks is shown once on a script's terminal,
and then counted."""
MOST_LABEL = 1000
"""Characters of a task's or class's name that are shown; the rest is left out."""
MOST_NAME = 10_000
"""Characters of a name by which something is found: an actor, a namespace, a resource."""
MOST_RETURNED = 1 << 20
"""Bytes of one task's returns that ride in messages; further ones go to the store."""
DEFAULT_PORT = 6379
"""The TCP port of a head, as in Ray."""
IDLE_ON_HUB = 3600.0
"""Seconds without use after which a cluster ends on a hub, where nobody else would end it."""
IDLE_ON_HUB_KEPT = 24 * 3600.0
"""The same while it keeps a job's unfetched result, or another detached actor."""
DASHBOARD_PORT = 8265
"""Where the dashboard is looked for, as Ray's is."""
DASHBOARD_PORTS = 100
"""How many ports are tried for it from there on."""
PROTOCOL = 1
"""Version of the messages; peers of another one are refused."""


def most_workers() -> int:
    """What `NBRAY_MAX_WORKERS` says; 0 if it says nothing.

    Raises:
        ValueError: it is no positive whole number.
    """
    said = os.environ.get(MOST_WORKERS, "").strip()
    if not said:
        return 0
    if not said.isascii() or not said.isdigit() or not int(said):
        raise ValueError(
            f"{MOST_WORKERS} is {said!r}: it must be a positive whole number, the most worker "
            "processes that a node may have"
        )
    return int(said)


def memory_guard(environ: Mapping[str, str]) -> tuple[float, int, float]:
    """(part, bytes to be free or -1, seconds) by which a node looks after its memory.

    Raises:
        ValueError: the environment says something else than a number in its range.
    """
    part = _number(environ, MEMORY_USAGE, MEMORY_THRESHOLD, 0, 1)
    free = _number(environ, MEMORY_FREE, -1, -1, math.inf)
    every = _number(environ, MEMORY_MONITOR, MEMORY_LOOK * 1000, 0, math.inf)
    return part, int(free), every / 1000


def memory_retries(environ: Mapping[str, str]) -> int:
    """How often a task is tried again that was ended before memory was used up; below 0: always.

    Raises:
        ValueError: the environment says something else than a number.
    """
    return int(_number(environ, MEMORY_RETRIES, -1, -math.inf, math.inf))


def lineage_bytes(environ: Mapping[str, str]) -> int:
    """Most bytes of recipes that a process keeps (see `LINEAGE_BYTES`).

    Raises:
        ValueError: the environment says something else than a number that is not negative.
    """
    return int(_number(environ, MOST_LINEAGE, LINEAGE_BYTES, 0, math.inf))


def unread_bytes(environ: Mapping[str, str]) -> float:
    """Bytes that a generator may have in the store unread (see `UNREAD_BYTES`).

    Raises:
        ValueError: the environment says something else than 0, or a number that is large enough.
    """
    most = _number(environ, MOST_UNREAD, UNREAD_BYTES, 0, math.inf)
    return max(most, 2 * UNREAD_TOLD) if most else math.inf


def _number(
    environ: Mapping[str, str], name: str, usual: float, least: float, most: float
) -> float:
    said = environ.get(name, "").strip()
    if not said:
        return usual
    try:
        number = float(said)
        fits = least <= number <= most and (math.isfinite(number))
    except ValueError:
        fits = False
    if fits:
        return number
    bounds = [f"at least {least:g}"] if math.isfinite(least) else []
    bounds += [f"at most {most:g}"] if math.isfinite(most) else []
    of = f" of {' and '.join(bounds)}" if bounds else ""
    raise ValueError(f"{name} is {said!r} in the environment: it must be a number{of}")


def spill_limit() -> int:
    """What `NBRAY_SPILL_LIMIT` says, in bytes; 0 if it says nothing.

    Raises:
        ValueError: it is no positive whole number.
    """
    said = os.environ.get(SPILL_LIMIT, "").strip()
    if not said:
        return 0
    if not said.isascii() or not said.isdigit() or not int(said):
        raise ValueError(
            f"{SPILL_LIMIT} is {said!r}: it must be a positive whole number, the most bytes that a "
            "node's objects may take on disk"
        )
    return int(said)


def run_roots() -> list[str]:
    """Private folders (0700) where this user's clusters on this machine keep their sockets.

    New ones go to the first that can be used; clusters are looked for in all of them. They are
    short on purpose: a Unix socket's path may have about 100 characters. `NBRAY_RUN_DIR` is the
    only one where it is set. The session's own folder (`XDG_RUNTIME_DIR`) is second, for it goes
    when its user logs out, and a cluster may stay; the last are for when both cannot be used.
    """
    chosen = os.environ.get("NBRAY_RUN_DIR")
    if chosen:
        return [chosen]
    user = os.getuid()
    session = os.environ.get("XDG_RUNTIME_DIR", "")
    found = [
        f"/tmp/nbray-{user}",  # noqa: S108 - 0700
        f"{session}/nbray" if session.startswith("/") else "",
        f"/run/user/{user}/nbray",
        f"/var/tmp/nbray-{user}",  # noqa: S108 - 0700
        f"/dev/shm/nbray-{user}",  # noqa: S108 - 0700
    ]
    return list(dict.fromkeys(filter(None, found)))


def run_root() -> str:
    """The first of `run_roots`."""
    return run_roots()[0]
