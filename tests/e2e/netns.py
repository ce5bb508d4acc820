"""Several machines on one: network namespaces joined by virtual interfaces.

Two are connected directly, three and more through a switch that is a namespace
of its own, so the host's own networks (a container bridge on 172.17.0.1, say)
are neither seen nor disturbed. Names
carry this process's number; what a killed run left behind is removed by the
next one.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PREFIX = "nbt"
HEAD_IP = "172.17.0.2"
WORKER_IP = "172.17.0.3"
_IP = shutil.which("ip") or "/usr/sbin/ip"
_FOLDER = Path("/run/netns")


def _ip(*argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run([_IP, *argv], check=check, capture_output=True, text=True, timeout=20)


def available() -> str:
    """Why namespaces cannot be made here, or '' if they can."""
    if not Path(_IP).exists():
        return "iproute2 is not installed (apt-get install iproute2)"
    if os.geteuid() != 0:
        return "making network namespaces takes root"
    name = f"{PREFIX}-{os.getpid()}-probe"
    try:
        _ip("netns", "add", name)
        pair = ("link", "add", "v0", "netns", name, "type", "veth", "peer", "name", "v1")
        _ip(*pair, "netns", name)
    except subprocess.CalledProcessError as error:
        return f"network namespaces are not allowed here: {error.stderr.strip()}"
    finally:
        _ip("netns", "del", name, check=False)
    return ""


def remove_leftovers() -> None:
    """Remove namespaces of test runs that no longer exist."""
    if not _FOLDER.is_dir():
        return
    for entry in _FOLDER.iterdir():
        parts = entry.name.split("-")
        ours = parts[0] == PREFIX and len(parts) == 3
        if ours and not Path("/proc", parts[1]).exists():
            end_all(entry.name)
            _ip("netns", "del", entry.name, check=False)


def pids(name: str) -> list[int]:
    """Processes in the namespace *name*."""
    done = _ip("netns", "pids", name, check=False)
    return [int(word) for word in done.stdout.split()]


def end_all(name: str) -> None:
    """Kill every process in the namespace *name*."""
    for pid in pids(name):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _stem() -> str:
    remove_leftovers()
    return f"{PREFIX}-{os.getpid()}-{time.monotonic_ns() % 1_000_000:x}"


class Machines:
    """Namespaces `names` at `ips` (172.17.0.2 and on), each on a port of the namespace `switch`."""

    def __init__(self, names: list[str], switch: str) -> None:
        self.names = names
        self.ips = [f"172.17.0.{2 + index}" for index in range(len(names))]
        self.switch = switch

    @classmethod
    def make(cls, count: int) -> Machines:
        """Create *count*, up and connected.

        Raises:
            subprocess.CalledProcessError: the system refuses (see `available`).
        """
        stem = _stem()
        made = cls([f"{stem}{chr(97 + index)}" for index in range(count)], f"{stem}x")
        try:
            for name in (made.switch, *made.names):
                _ip("netns", "add", name)
                _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", made.switch, "link", "add", "hub", "type", "bridge")
            _ip("-n", made.switch, "link", "set", "hub", "up")
            for index, (name, address) in enumerate(zip(made.names, made.ips, strict=True)):
                ends = ("link", "add", f"p{index}", "netns", made.switch, "type", "veth")
                _ip(*ends, "peer", "name", "eth0", "netns", name)
                _ip("-n", made.switch, "link", "set", f"p{index}", "master", "hub", "up")
                _ip("-n", name, "addr", "add", f"{address}/16", "dev", "eth0")
                _ip("-n", name, "link", "set", "eth0", "up")
        except BaseException:
            made.close()
            raise
        return made

    def run(
        self, index: int, argv: Sequence[str], timeout: float = 150, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run *argv* on a machine; never raises on its exit status."""
        return subprocess.run(
            [_IP, "netns", "exec", self.names[index], *argv],
            check=False, capture_output=True, text=True, timeout=timeout, **more,
        )  # fmt: skip

    def popen(self, index: int, argv: Sequence[str], **more: Any) -> subprocess.Popen[str]:
        """Start *argv* on a machine."""
        argv = [_IP, "netns", "exec", self.names[index], *argv]
        return subprocess.Popen(argv, text=True, **more)

    def cable(self, index: int, plugged: bool) -> None:
        """Plug or unplug a machine's cable, at the switch."""
        _ip("-n", self.switch, "link", "set", f"p{index}", "up" if plugged else "down")

    def part(self, indices: Sequence[int], parted: bool) -> None:
        """Have these machines not see each other, though all others see them."""
        for index in indices:
            kind = ("type", "bridge_slave", "isolated", "on" if parted else "off")
            _ip("-n", self.switch, "link", "set", f"p{index}", *kind)

    def pids(self, index: int) -> list[int]:
        """Processes on a machine."""
        return pids(self.names[index])

    def close(self) -> None:
        """End what runs inside and remove all. Idempotent."""
        for name in (*self.names, self.switch):
            if (_FOLDER / name).exists():
                end_all(name)
                _ip("netns", "del", name, check=False)


class TwoMachines:
    """Namespaces `head` (172.17.0.2) and `worker` (172.17.0.3)."""

    def __init__(self, head: str, worker: str) -> None:
        self.head = head
        self.worker = worker

    @classmethod
    def make(cls) -> TwoMachines:
        """Create both, up and connected.

        Raises:
            subprocess.CalledProcessError: the system refuses (see `available`).
        """
        stem = _stem()
        two = cls(stem + "a", stem + "b")
        try:
            for name in (two.head, two.worker):
                _ip("netns", "add", name)
                _ip("-n", name, "link", "set", "lo", "up")
            ends = ("link", "add", "eth0", "netns", two.head, "type", "veth")
            _ip(*ends, "peer", "name", "eth0", "netns", two.worker)
            for name, address in ((two.head, HEAD_IP), (two.worker, WORKER_IP)):
                _ip("-n", name, "addr", "add", f"{address}/16", "dev", "eth0")
                _ip("-n", name, "link", "set", "eth0", "up")
        except BaseException:
            two.close()
            raise
        return two

    def _inside(self, name: str, argv: Sequence[str]) -> list[str]:
        return [_IP, "netns", "exec", name, *argv]

    def run(
        self, name: str, argv: Sequence[str], timeout: float = 150, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run *argv* in namespace *name*; never raises on its exit status."""
        return subprocess.run(
            self._inside(name, argv),
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout,
            **more,
        )

    def popen(self, name: str, argv: Sequence[str], **more: Any) -> subprocess.Popen[str]:
        """Start *argv* in namespace *name*."""
        return subprocess.Popen(self._inside(name, argv), text=True, **more)

    def link(self, up: bool) -> None:
        """Plug or unplug the cable between the two."""
        _ip("-n", self.head, "link", "set", "eth0", "up" if up else "down")

    def pids(self) -> list[int]:
        """Processes in either namespace."""
        return pids(self.head) + pids(self.worker)

    def close(self) -> None:
        """End what runs inside and remove both. Idempotent."""
        for name in (self.head, self.worker):
            if (_FOLDER / name).exists():
                end_all(name)
                _ip("netns", "del", name, check=False)
