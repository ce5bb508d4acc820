"""Root's interpreter: what it has loaded before it forks, and that it has one thread.

Owns the order in which modules are loaded, the package's public names, and beginning anew without
start-up hooks. Does not own forking (`process`). Rule: what is loaded here every fork has, so it is
what workers need, and starts no thread.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import signal
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_WORKER = (
    "dataclasses", "cloudpickle", "nbray.hosting.output", "nbray.runtime.core.worker.brain",
    "nbray.runtime.shell.client.memory", "nbray.runtime.shell.client.engine",
    "nbray.runtime.shell.worker.process",
)  # fmt: skip
"""In steps of a few milliseconds."""


def import_common() -> None:
    """What both head and node need, imported once."""
    import nbray.runtime.core.effects
    import nbray.runtime.shell.process.sockets
    import nbray.wire.messages  # noqa: F401
    from nbray.runtime.core import versions

    versions.own()


def import_ties() -> None:
    """What `die_with_parent` needs: not the node."""
    if sys.platform == "linux":
        _prctl()


@cache
def _prctl() -> Callable[..., int]:
    import ctypes  # late: the node has started meanwhile

    found: Callable[..., int] = ctypes.CDLL(None).prctl
    return found


def keep_pages() -> None:
    """Before forks: as little as can be is written where they share this process's memory.

    What is here now is no garbage and is not looked at again. The interpreter's cache of attributes
    is emptied, for each name that it forgets is written to, wherever it lies.
    """
    if hasattr(sys, "_clear_type_cache"):
        sys._clear_type_cache()
    gc.freeze()


def complete_package() -> None:
    """Give root's package `nbray` its public names (see `launch.starting`)."""
    package = sys.modules["nbray"]
    if getattr(package, "__spec__", None) is not None:
        return
    folder = package.__path__[0]
    spec = importlib.util.spec_from_file_location(
        "nbray", f"{folder}/__init__.py", submodule_search_locations=[folder]
    )
    assert spec is not None
    assert spec.loader is not None
    package.__spec__, package.__loader__, package.__file__ = spec, spec.loader, spec.origin
    spec.loader.exec_module(package)


def import_worker(between: Callable[[], None]) -> None:
    """What every worker needs, imported once, so that a fork has it.

    Args:
        between: done now and then meanwhile.
    """
    from nbray.wire import codec

    try:
        complete_package()
        for name in _WORKER:
            between()
            importlib.import_module(name)
        codec.client_decoder()
    except ImportError:
        pass  # workers say it again, in their logs


def threads_here() -> int:
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        import threading

        return threading.active_count()


def die_with_parent() -> None:
    """Linux: the kernel kills this process when root ends, however it ends."""
    if sys.platform == "linux":
        _prctl()(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


_AGAIN = """
import gc, sys, types
gc.disable()
sys.path[:] = {0!r}
sys.modules["nbray"] = package = types.ModuleType("nbray")
package.__path__ = [{1!r}]
from nbray.runtime.shell.root.process import main
main(hooks=True)
"""
"""As `launch.starting` starts it, with the path that hooks have made."""


def without_hooks() -> None:
    """Begin anew without start-up hooks (sitecustomize, `.pth` files): one has started a thread.

    What a thread has locked would stay locked in a fork, and the libraries that hooks load take
    their number of threads from the environment, which only workers have.
    """
    program = _AGAIN.format(sys.path, str(Path(__file__).parents[3]))
    argv = [sys.executable, "-P", "-S", "-c", program]
    os.execv(sys.executable, argv)  # noqa: S606 - no shell is wanted


def run_hooks() -> None:
    """In a worker: what Python does at a start."""
    import site

    site.main()
