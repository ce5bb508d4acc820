"""Root, node and head as real processes: starts, ends, and what is left (nothing)."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from harness import eventually

import nbray
from nbray.config import PROTOCOL, NodeRequest
from nbray.engines import native
from nbray.exceptions import AuthenticationError, RaySystemError, VersionMismatchError
from nbray.ids import DRIVER_FLAG, HEAD, client_id, node_client
from nbray.options import UNIT
from nbray.runtime.core import versions
from nbray.runtime.shell.launch import rundir
from nbray.runtime.shell.launch import starting as launch
from nbray.runtime.shell.launch.starting import reap, start_root
from nbray.runtime.shell.process.channel import Started
from nbray.runtime.shell.process.sockets import Post
from nbray.wire import messages as m
from nbray.wire.codec import client_decoder
from nbray.wire.secret import Secret

SECRET = Secret.generate().text
CPU = {"CPU": UNIT}


def head(**more: Any) -> NodeRequest:
    fields = {"node_ip": "127.0.0.1", "secret": SECRET, "num_cpus": 2, **more}
    return NodeRequest(head=True, **fields)


def joiner(started: Started, **more: Any) -> NodeRequest:
    fields = {"address": started.address, "node_ip": "127.0.0.1", "secret": SECRET, **more}
    return NodeRequest(head=False, **fields)


def stop_root(started: Started) -> None:
    """End a machine's part that this process started, and wait until it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(started.root_pid, signal.SIGTERM)
    assert eventually(lambda: reap(started.root_pid))


@pytest.fixture
def started() -> Iterator[Started]:
    made = start_root(head())
    yield made
    stop_root(made)


class Driver:
    """A tiny client that speaks to its node by hand."""

    def __init__(self, started: Started, number: int = 1) -> None:
        self.me = client_id(started.node, DRIVER_FLAG | number)
        self.node = node_client(started.node)
        self.post = Post(self.me, Path(started.directory))
        self._decode = client_decoder().decode
        self._got: list[Any] = []
        self.send(m.Register(self.me, os.getpid(), True, versions.own()))

    def send(self, message: Any, to: int = 0) -> None:
        self.post.send(to or self.node, message)

    def expect(self, kind: type, timeout: float = 60.0) -> Any:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for message in self._got:
                if isinstance(message, kind):
                    self._got.remove(message)
                    return message
            poll = select.poll()
            poll.register(self.post.fd, select.POLLIN)
            poll.poll(20)
            self._got += [self._decode(frames[0]) for frames in self.post.receive()]
        raise AssertionError(f"no {kind.__name__}; got {self._got}")

    def close(self) -> None:
        self.post.close()


@pytest.fixture
def driver(started: Started) -> Iterator[Driver]:
    made = Driver(started)
    yield made
    made.close()


def family(started: Started) -> list[psutil.Process]:
    root = psutil.Process(started.root_pid)
    return [root, *root.children(recursive=True)]


def gone(processes: list[psutil.Process]) -> bool:
    return all(
        not p.is_running() or p.status() == psutil.STATUS_ZOMBIE for p in processes
    )


def test_it_starts_with_a_record_and_ends_without_a_trace() -> None:
    started = start_root(head())
    (record,) = [r for r in rundir.read_all() if r.directory == started.directory]
    assert (record.node, record.head, record.secret) == (1, True, SECRET)
    processes = family(started)
    stop_root(started)
    assert gone(processes)
    assert not Path(started.directory).exists()


def test_a_driver_is_leased_a_worker(started: Started, driver: Driver) -> None:
    registered = driver.expect(m.Registered)
    assert registered.cluster == started.cluster
    driver.send(m.Demand(driver.me, 1, CPU, 1))
    grant = driver.expect(m.Granted)
    driver.send(m.KillWorker(driver.me, grant.worker, "cancelled with force"))
    death = driver.expect(m.Died).deaths[0]
    assert (death.client, death.intended) == (grant.worker, True)


def test_a_crash_is_told_with_signal_and_memory(started: Started, driver: Driver) -> None:
    driver.expect(m.Registered)
    driver.send(m.Demand(driver.me, 1, CPU, 1))
    driver.expect(m.Granted)
    workers = [p for p in family(started)[1:] if p.pid != started.node_pid]
    victim = max(workers, key=lambda p: p.pid)
    victim.send_signal(signal.SIGSEGV)
    death = driver.expect(m.Died).deaths[0]
    assert f"pid {victim.pid}" in death.cause
    assert "SIGSEGV" in death.cause
    assert "MB" in death.cause
    assert not death.intended


def test_corrupt_frames_are_dropped(started: Started, driver: Driver) -> None:
    driver.post.send_frames(driver.node, [b"\xc1 nonsense"])
    driver.post.send_frames(driver.node, [b"", b"x"])
    driver.post.send_frames(HEAD, [b"\xc1 nonsense"])
    driver.expect(m.Registered)
    driver.send(m.Watch(driver.me), to=HEAD)
    nodes: list[Any] = []
    while not nodes:  # the first picture may come before the node's own report
        nodes = driver.expect(m.Picture).nodes
    assert nodes[0].number == 1
    log = Path(started.directory, "logs", "node.log")
    assert eventually(lambda: "corrupt frame (2" in log.read_text())


def test_the_head_knows_the_node(driver: Driver) -> None:
    driver.expect(m.Registered)
    driver.send(m.Watch(driver.me), to=HEAD)
    eventually(lambda: driver.expect(m.Picture).nodes[0].figures.memory_used > 0)


@pytest.mark.parametrize("victim", ["node_pid", "root_pid"])
def test_nothing_is_left_when_a_part_is_killed(victim: str) -> None:
    started = start_root(head())
    processes = family(started)
    os.kill(getattr(started, victim), signal.SIGKILL)
    assert eventually(lambda: gone(processes))
    assert eventually(lambda: not Path(started.directory).exists())
    stop_root(started)


def test_nothing_is_left_when_the_owner_is_killed() -> None:
    program = (
        "import os, sys, time\n"
        "from nbray.config import NodeRequest\n"
        "from nbray.runtime.shell.launch.starting import start_root\n"
        "request = NodeRequest(head=True, node_ip='127.0.0.1', secret=sys.argv[1],"
        " owner='driver')\n"
        "started = start_root(request, os.getpid())\n"
        "print(started.root_pid, started.directory, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, SECRET], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        pid, directory = owner.stdout.readline().split()
        root = psutil.Process(int(pid))
        processes = [root, *root.children(recursive=True)]
        assert len(processes) >= 3
        owner.kill()
        assert eventually(lambda: gone(processes))
        assert eventually(lambda: not Path(directory).exists())


def test_a_head_that_dies_ends_the_node_in_order(started: Started, driver: Driver) -> None:
    driver.expect(m.Registered)
    processes = family(started)
    head_process = sorted(processes[1:], key=lambda p: p.pid)[1]  # the node is forked first
    head_process.kill()
    assert "head" in driver.expect(m.Exit).why
    assert eventually(lambda: gone(processes))


def test_sigterm_tells_the_drivers(started: Started, driver: Driver) -> None:
    driver.expect(m.Registered)
    os.kill(started.root_pid, signal.SIGTERM)
    driver.expect(m.Exit)


def test_a_used_port_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="taken by another program"):
            start_root(head(port=taken.getsockname()[1]))


def test_a_wrong_address_is_one_sentence() -> None:
    with pytest.raises(OSError, match="no address 203.0.113.7"):
        start_root(head(node_ip="203.0.113.7"))


def test_an_unreachable_head_is_one_sentence() -> None:
    request = NodeRequest(
        head=False, address="127.0.0.1:1", node_ip="127.0.0.1", secret=SECRET
    )
    with pytest.raises(ConnectionError, match="no nbray listens"):
        start_root(request)


def test_a_wrong_secret_is_one_sentence(started: Started) -> None:
    with pytest.raises(AuthenticationError, match="another secret"):
        start_root(joiner(started, secret=Secret.generate().text))


def test_a_root_that_cannot_run_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbray.runtime.shell.launch.starting._PROGRAM", "raise SystemExit(3) # {0}")
    with pytest.raises(RaySystemError, match="ended at once"):
        start_root(head())
    broken = "import sys; sys.stdin.buffer.read(); import nbray_is_not_here # {0}"
    monkeypatch.setattr("nbray.runtime.shell.launch.starting._PROGRAM", broken)
    with pytest.raises(RaySystemError, match="ended at once: ModuleNotFoundError: .*not_here"):
        start_root(head())


def test_a_start_that_times_out_names_its_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(psutil.Process().children())
    program = launch._PROGRAM
    monkeypatch.setattr(launch, "_PROGRAM", "import time; time.sleep(60) # {0}")
    loading = r"did not start within 0.5 seconds: .* was still loading nbray .* on \d+ CPUs"
    with pytest.raises(RaySystemError, match=loading):
        start_root(head(), timeout=0.5)
    hangs = (
        "import time\nimport nbray.runtime.shell.node.founding as founding\n"
        "def stuck(*_):\n    print('the disk is slow', file=sys.stderr, flush=True)\n"
        "    time.sleep(60)\n"
        "founding.main = stuck\nmain()\n"
    )
    monkeypatch.setattr(launch, "_PROGRAM", program.replace("main()\n", hangs))
    with pytest.raises(RaySystemError, match="within 5 seconds: its node said: the disk is slow"):
        start_root(head(), timeout=5)
    assert eventually(lambda: set(psutil.Process().children()) <= before)


def test_a_root_that_gets_no_orders_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is spawned before all is known that it will be told."""
    spawned: list[psutil.Process] = []
    before = set(psutil.Process().children())

    def interrupted(_request: Any) -> Any:
        spawned.extend(set(psutil.Process().children()) - before)
        raise KeyboardInterrupt

    monkeypatch.setattr(native, "settle", interrupted)
    with pytest.raises(KeyboardInterrupt):
        nbray.init(num_cpus=1, engine="native")
    assert len(spawned) == 1
    assert gone(spawned)
    assert not nbray.is_initialized()


def test_a_start_that_finds_no_port_for_the_dashboard_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    none = "import nbray.runtime.shell.root.dashboard_port as port\nport.DASHBOARD_PORTS = 1\n"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        none += f"port.DASHBOARD_PORT = {taken.getsockname()[1]}\nmain()\n"
        monkeypatch.setattr(launch, "_PROGRAM", launch._PROGRAM.replace("main()\n", none))
        started = start_root(head())
        try:
            (record,) = [one for one in rundir.read_all() if one.directory == started.directory]
            assert record.dashboard.port == 0
            assert "can be used: Address already in use" in record.dashboard.why
        finally:
            stop_root(started)


# -- two machines ------------------------------------------------------------------------


def test_a_second_node_joins_grants_and_leaves(started: Started, driver: Driver) -> None:
    other = start_root(joiner(started, num_cpus=1))
    try:
        assert (other.node, other.cluster) == (2, started.cluster)
        driver.expect(m.Registered)
        eventually(lambda: len(driver.expect(m.Members).nodes) == 2)
        driver.send(m.Demand(driver.me, 1, CPU, 3))
        nodes = sorted(driver.expect(m.Granted).worker >> 32 for _ in range(3))
        assert nodes == [1, 1, 2]
    finally:
        stop_root(other)
    assert driver.expect(m.NodeLost).node == 2


def test_when_the_head_stops_the_others_stop() -> None:
    first = start_root(head())
    second = start_root(joiner(first))
    processes = family(second)
    stop_root(first)
    assert eventually(lambda: gone(processes))
    stop_root(second)


def test_a_machine_with_another_python_is_refused(started: Started) -> None:
    from nbray.runtime.shell.network.lanes import Lanes, make_context
    from nbray.runtime.shell.network.links import Links
    from nbray.runtime.shell.node.joining import join

    context = make_context()
    lanes = Lanes(context, Secret.parse(SECRET))
    info = m.NodeInfo(0, "old", "127.0.0.1", 1, CPU, CPU)
    try:
        with pytest.raises(VersionMismatchError, match=r"Python: .* in the cluster, 3\.9\.1 here"):
            join(
                Links(lanes, lambda _: "", lambda: ()), started.address, Secret.parse(SECRET), info,
                m.Versions(PROTOCOL, "3.9.1", "0.0.1"),
            )  # fmt: skip
    finally:
        lanes.close()
        context.term()
