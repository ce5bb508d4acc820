"""Which GPUs a process may use, as its environment says, and how a task is told which are its own.

Owns the variables' names and grammar (NVIDIA's, AMD's, Intel's). Does not own who gets which GPU
(`core.placement`): there they are indices 0, 1, ... of those that the node may use. Rule: an index
means an entry of the node's own variable, a number or a name (`GPU-...`, `MIG-...`); a task never
sees a GPU that its node was not given.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping, Sequence
from functools import cache
from pathlib import Path

import msgspec

CUDA = "CUDA_VISIBLE_DEVICES"
HIP = "HIP_VISIBLE_DEVICES"
ROCR = "ROCR_VISIBLE_DEVICES"
ONEAPI = "ONEAPI_DEVICE_SELECTOR"
_LEVEL_ZERO = "level_zero:"
_NVIDIA = Path("/proc/driver/nvidia/gpus")
_AMD = Path("/sys/class/kfd/kfd/topology/nodes")


class Devices(msgspec.Struct, frozen=True):
    """The GPUs of one process."""

    variable: str
    """The one that chooses among them."""
    names: tuple[str, ...] | None
    """What it says; None where it is not set: all there are."""
    prefix: str = ""
    """What stands before the names in the variable."""

    def ids(self, indices: Sequence[int]) -> tuple[int | str, ...]:
        """What the system calls these: numbers, or names where the variable has names."""
        names = self.names or ()
        found = [names[i] if i < len(names) else str(i) for i in indices]
        return tuple(int(name) if name.isdigit() else name for name in found)

    def show(self, indices: Sequence[int], environ: MutableMapping[str, str]) -> None:
        """Have whoever looks at *environ* see these GPUs only."""
        shown = ",".join(map(str, self.ids(indices)))
        environ[self.variable] = self.prefix + shown
        if self.variable == HIP and CUDA in environ:
            environ[CUDA] = shown  # AMD's libraries read it, too: it must not disagree


def devices(environ: Mapping[str, str] = os.environ) -> Devices:
    """What *environ* lets a process use."""
    for variable in (HIP, ROCR):
        if variable in environ:
            return Devices(variable, _names(environ[variable]))
    selector = environ.get(ONEAPI, "")
    if selector.startswith(_LEVEL_ZERO) and CUDA not in environ:
        chosen = selector.removeprefix(_LEVEL_ZERO)
        return Devices(ONEAPI, None if "*" in chosen else _names(chosen), _LEVEL_ZERO)
    if CUDA not in environ and _amd() and not _nvidia():
        return Devices(HIP, None)
    return Devices(CUDA, _names(environ[CUDA]) if CUDA in environ else None)


@cache
def own() -> Devices:
    """What this process could use when it was first asked: before it became a task's."""
    return devices()


def _names(text: str) -> tuple[str, ...]:
    """The devices that a variable lists: as for CUDA, those before the first wrong one."""
    found: list[str] = []
    for name in (part.strip() for part in text.split(",")):
        if not name or name == "NoDevFiles" or name.startswith("-"):
            break
        found.append(name)
    return tuple(found)


def count(environ: Mapping[str, str] = os.environ) -> int:
    """How many GPUs this machine has, as far as *environ* shows them."""
    there = _nvidia() or _amd()
    names = devices(environ).names
    if names is None:
        return there
    # A part of a GPU (MIG) has a name of its own; the driver lists whole ones only.
    parts = any(name.startswith("MIG-") for name in names)
    return len(names) if parts and there else min(there, len(names))


def complaint(wanted: float, environ: Mapping[str, str] = os.environ) -> str:
    """Why *wanted* GPUs cannot be had ('': they can, as far as the environment says)."""
    seen = devices(environ)
    if seen.names is None or wanted <= len(seen.names):
        return ""
    return (
        f"num_gpus={wanted:g} is more than {seen.variable}={environ.get(seen.variable, '')!r} "
        f"allows ({len(seen.names)}): give fewer, or change the variable"
    )


def _nvidia() -> int:
    try:
        return sum(1 for _ in _NVIDIA.iterdir())
    except OSError:
        return 0


def _amd() -> int:
    """GPUs of AMD's compute driver: nodes of its topology that are no processors."""
    found = 0
    try:
        for node in _AMD.iterdir():
            lines = (node / "properties").read_text().splitlines()
            found += any(
                line.startswith("simd_count ") and line.split()[1] != "0" for line in lines
            )
    except (OSError, IndexError):
        return found
    return found
