"""Starting a machine's part of a cluster, from a driver or the command line.

Owns the hand-over to root: configuration in, one answer out, as exceptions a
user understands. Does not own what root does then. Rule: it either returns
when the node can be spoken to, or raises with nothing left running.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import assert_never

import msgspec

from nbray.config import NodeRequest, Owner
from nbray.exceptions import AuthenticationError, RaySystemError, VersionMismatchError
from nbray.runtime.shell.process import channel as p
from nbray.text import forgiving

START_SECONDS = 30.0
_PROGRAM = """
import gc, sys, types
gc.disable()
sys.path.append({0!r})
if not {{"msgspec", "typing_extensions"}} & sys.modules.keys():
    sys.modules["typing_extensions"] = None
    try:
        import msgspec
    except ImportError:
        pass  # a version that needs it: it is imported later
    del sys.modules["typing_extensions"]
sys.modules["nbray"] = package = types.ModuleType("nbray")
package.__path__ = [{1!r}]
from nbray.runtime.shell.root.process import main
main()
"""
"""Root. Its package has modules, but not yet its public names: nobody needs them until there
are workers, and loading them takes as long as starting the node
(see `root.interpreter.complete_package`). msgspec asks typing_extensions for what `typing` has had
since Python 3.11; without it, it loads in two thirds of the time."""


HASH_SEED = "8265"
"""The same in the workers of all nodes, so that they agree where `hash(key)` belongs."""
Root = subprocess.Popen[bytes]
"""Root's process, as its launcher sees it."""


def spawn() -> Root:
    """Start root's interpreter. It loads its modules and waits for its orders.

    Whoever calls this gives it to `start_root` or `dismiss`.
    """
    home = str(Path(__file__).parents[4])
    # As this interpreter was started: asserts that it leaves out, its text.
    flags = ["-" + "O" * sys.flags.optimize] if sys.flags.optimize else []
    flags += ["-X", "utf8"] if sys.flags.utf8_mode else []
    return subprocess.Popen(
        # -P: a file in the working directory must not stand in for a module of ours.
        [sys.executable, *flags, "-P", "-c", _PROGRAM.format(home, str(Path(home, "nbray")))],
        env={"PYTHONHASHSEED": HASH_SEED, **os.environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def dismiss(root: Root) -> None:
    """End a root that was spawned and is not needed."""
    for pipe in (root.stdin, root.stdout, root.stderr):
        assert pipe is not None
        with contextlib.suppress(OSError):
            pipe.close()
    root.kill()  # it has done nothing yet
    root.wait()


def start_root(
    request: NodeRequest,
    owner_pid: int = 0,
    timeout: float = START_SECONDS,
    meanwhile: Callable[[], None] = lambda: None,
    root: Root | None = None,
) -> p.Started:
    """Start root with head and node (or a node that joins) and wait until it can be used.

    Args:
        request: settled (`address.settle`).
        owner_pid: everything ends with this process (0: it is left to `nbray stop`).
        timeout: seconds.
        meanwhile: done while the node starts.
        root: begun by `spawn` already.

    Raises:
        AuthenticationError: the cluster has another secret.
        VersionMismatchError: the cluster runs other versions.
        ConnectionError: nobody answers at the address.
        OSError: the port or address cannot be used.
        RaySystemError: anything else, with what was said last, or how far the start came.
    """
    deadline = time.monotonic() + timeout
    root = root or spawn()
    assert root.stdin is not None
    assert root.stdout is not None
    assert root.stderr is not None
    try:
        from nbray.pipes import read_line  # while root loads, as what follows
        from nbray.runtime.shell.launch import rundir

        directory = rundir.new_session()
        path = list(_import_path()) if request.owner is not Owner.DAEMON else []
        config = p.RootConfig(request, str(directory), owner_pid, path)
        with contextlib.suppress(BrokenPipeError):
            root.stdin.write(forgiving(msgspec.msgpack.encode)(config))
            root.stdin.close()
        meanwhile()
        line = read_line(root.stdout.fileno(), deadline)
        cause = "" if line else _cause(root.stderr.fileno(), directory)
    except BaseException:
        _end(root)
        raise
    finally:
        root.stdout.close()
        root.stderr.close()  # root has a log by now
    if not line:
        late = root.poll() is None and time.monotonic() >= deadline
        _end(root)
        rundir.remove(directory)
        why = f"did not start within {timeout:g} seconds" if late else "ended at once"
        raise RaySystemError(f"the node {why}: {cause}")
    answer = msgspec.json.decode(line, type=p.Answer)
    if isinstance(answer, p.Ready):
        root.returncode = 0  # it is on its own: do not warn that it still runs
        _roots.add(root.pid)
        return answer.started
    _end(root)
    rundir.remove(directory)
    raise _error(answer)


def _import_path() -> Iterator[bytes]:
    """`sys.path` as the file system has it: what Python itself would look at, and no more."""
    for entry in sys.path:
        if isinstance(entry, str):
            # It may be no name of a file, or the working directory may be gone.
            with contextlib.suppress(UnicodeEncodeError, OSError):
                yield os.fsencode(entry or os.getcwd())


def _cause(errors: int, directory: Path) -> str:
    """Why there is no answer: what was said last, or how far it came and how busy it is here."""
    logs = directory / "logs"
    said = {"": ""}
    os.set_blocking(errors, False)
    with contextlib.suppress(OSError):  # nothing was said
        said[""] = os.read(errors, 65536).decode(errors="replace")
    for name in ("root", "head", "node"):
        with contextlib.suppress(OSError):
            said[name] = (logs / f"{name}.log").read_text(errors="replace")
    for name, text in said.items():
        if text.strip():
            return (f"its {name} said: " if name else "") + text.strip().splitlines()[-1]
    if "node" in said:
        stage = "its processes run, but have not found each other"
    elif "root" in said:
        stage = "its processes were not yet forked"
    else:
        stage = f"{sys.executable} was still loading nbray (or cannot: see nbray doctor)"
    return f"{stage}; the load here is {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs"


def _error(failed: p.Failed) -> Exception:
    match failed.kind:
        case p.Fault.AUTH:
            return AuthenticationError(failed.error)
        case p.Fault.VERSION:
            return VersionMismatchError(failed.error)
        case p.Fault.UNREACHABLE:
            return ConnectionError(failed.error)
        case p.Fault.PORT:
            return OSError(failed.error)
        case p.Fault.OTHER:
            return RaySystemError(failed.error)
        case _:
            assert_never(failed.kind)


def _end(root: Root) -> None:
    with contextlib.suppress(ProcessLookupError):
        root.send_signal(signal.SIGTERM)
    try:
        root.wait(3)
    except subprocess.TimeoutExpired:
        root.kill()
        root.wait()


_roots: set[int] = set()
"""Roots that are children of this process and not yet reaped."""


def reap(pid: int) -> bool:
    """Take note of the end of a root that this process started; whether it has ended."""
    if pid in _roots:
        try:
            done, _ = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            done = pid  # somebody else did
        if not done:
            return False
        _roots.discard(pid)
    return True
