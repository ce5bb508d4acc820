"""A cluster whose processes may have few descriptors: it serves whom it can, and tells the others.

`make bounds` runs the large ones.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from e2e import cli

import nbray
from nbray.engines import native
from nbray.ids import DRIVER_FLAG, client_id, node_client
from nbray.runtime.core import versions
from nbray.runtime.shell.launch import rundir
from nbray.runtime.shell.process.sockets import Post
from nbray.wire import messages as m
from nbray.wire.codec import client_decoder

SILENT = 2_000
LARGE = bool(os.environ.get("NBRAY_BOUNDS"))
_numbers = itertools.count(7)
LIMITS = [128, 256, 1024] if LARGE else [128]


@pytest.fixture(params=LIMITS)
def cluster(request: pytest.FixtureRequest) -> Iterator[tuple[int, rundir.Record]]:
    """A cluster of two CPUs, all of whose processes have few descriptors; we have attached."""
    limit: int = request.param
    start = f"ulimit -n {limit}; exec {shlex.join(cli.NBRAY)} start --head --num-cpus 2"
    store = "" if LARGE else " --object-store-memory 1000000000"
    done = cli.run(["bash", "-c", f"{start} --node-ip-address 127.0.0.1 --port 0{store}"])
    assert done.returncode == 0, done.stderr
    (record,) = rundir.read_all()
    nbray.init("auto")
    yield limit, record
    nbray.shutdown()
    native.stop_session(record)


@nbray.remote
def one(value: int) -> int:
    return value + 1


@nbray.remote(num_cpus=0)
class Counter:
    def up(self) -> int:
        return 1


def serves() -> None:
    assert nbray.get([one.remote(n) for n in range(20)], timeout=60) == list(range(1, 21))


def drivers(record: rundir.Record, count: int) -> tuple[list[Post], list[str]]:
    """*count* programs ask at once to be let in: those who were, and what the others were told."""
    decode = client_decoder().decode
    asked: list[Post] = []
    for _ in range(count):
        me = client_id(record.node, DRIVER_FLAG | next(_numbers))  # never used twice
        post = Post(me, Path(record.directory))
        post.send(
            node_client(record.node), m.Register(me, os.getpid(), True, versions.own())
        )
        asked.append(post)
    entered: list[Post] = []
    told: list[str] = []
    deadline = time.monotonic() + 60
    while asked and time.monotonic() < deadline:
        for post in list(asked):
            for answer in [decode(frames[0]) for frames in post.receive()]:
                if isinstance(answer, m.Registered):
                    entered.append(post)
                elif isinstance(answer, m.Refused):
                    told.append(answer.why)
                    post.close()
                else:
                    continue
                asked.remove(post)
        time.sleep(0.002)
    assert not asked, f"{len(asked)} of {count} were not answered"
    return entered, told


@contextlib.contextmanager
def silence(record: rundir.Record) -> Iterator[None]:
    """Connections to the node's port that say nothing."""
    host, _, port = record.address.rpartition(":")
    silent: list[socket.socket] = []
    try:
        for _ in range(SILENT if LARGE else 300):
            with contextlib.suppress(BlockingIOError):
                sock = socket.socket()
                sock.setblocking(False)
                silent.append(sock)
                sock.connect((host, int(port)))
        yield
    finally:
        for sock in silent:
            sock.close()


def test_a_crowd_is_served_as_far_as_it_goes_and_the_rest_is_told(
    cluster: tuple[int, rundir.Record],
) -> None:
    limit, record = cluster
    large: list[Any] = [nbray.put(np.full(4 * (1 << 20) // 8, n)) for n in range(200)]
    serves()
    assert [int(nbray.get(ref)[7]) for ref in large] == list(range(200))
    with silence(record):
        crowd(limit, record)
    serves()
    assert int(nbray.get(large[0])[0]) == 0


def crowd(limit: int, record: rundir.Record) -> None:
    """A hundred programs, twice; then as many actors."""
    for _ in range(2):  # who left gave everything back
        held: list[Post] = []
        for _ in range(20):  # a moment later: they go, and workers start, as the machine has time
            entered, told = drivers(record, 100 - len(held))
            held += entered
            if len(held) >= min(100, (limit * 7 // 8 - 100) // 3):
                break
            time.sleep(0.5)
        entered = held
        assert len(entered) >= min(100, (limit * 7 // 8 - 100) // 3)
        assert all(f"{limit:,} files" in why and "ulimit -n" in why for why in told)
        serves()
        for post in entered:
            post.send(node_client(record.node), m.Goodbye(post.me))
            post.close(0.1)

    count = 100 if LARGE else 40
    actors = [Counter.remote() for _ in range(count)]
    calls = [actor.up.remote() for actor in actors]
    served, _ = nbray.wait(calls, num_returns=min(count, (limit * 7 // 8 - 100) // 2), timeout=60)
    assert len(served) >= min(count, (limit * 7 // 8 - 100) // 2)
    serves()
    for actor in actors:
        nbray.kill(actor)


PROGRAM = """
import os, resource, sys
import nbray
nbray.init(num_cpus=2)
@nbray.remote
def one(value): return value + 1
assert nbray.get(one.remote(1)) == 2
resource.setrlimit(resource.RLIMIT_NOFILE, (72, 72))
mine = []
try:
    while True: mine.append(os.open(os.devnull, os.O_RDONLY))
except OSError: pass
try:
    nbray.put(b"x" * 10_000_000)
    print("stored")
except nbray.exceptions.ObjectStoreFullError as error:
    print("Too many open files" in str(error))
@nbray.remote(num_cpus=0)
class A:
    def up(self): return 1
several = [A.remote() for _ in range(6)]
late = [one_of_them.up.remote() for one_of_them in several]
ready, _ = nbray.wait(late, num_returns=6, timeout=2.5)
print(len(ready) < 6)
for number in mine[:40]: os.close(number)
assert nbray.get(late, timeout=60) == [1] * 6
assert nbray.get([one.remote(n) for n in range(50)], timeout=60) == list(range(1, 51))
print(len(nbray.get(nbray.put(b"x" * 10_000_000))))
"""


def test_a_program_that_uses_up_its_own_goes_on_when_it_has_some_again(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    done = cli.python(path)
    assert done.stdout.split() == ["True", "True", "10000000"], done.stdout + done.stderr
    assert "has no descriptor left for others of the cluster" in done.stderr
    assert done.stderr.count("ulimit -n") == 1


def test_a_worker_that_uses_up_its_own_goes_on(cluster: tuple[int, rundir.Record]) -> None:
    @nbray.remote(num_cpus=0)
    class Greedy:
        def take(self) -> int:
            self.mine: list[int] = []
            try:
                while True:
                    self.mine.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                return len(self.mine)

        def ask(self) -> int:
            return nbray.get(one.remote(1), timeout=60)

        def read(self, value: Any) -> int:
            return len(value)

        def give(self) -> None:
            while self.mine:
                os.close(self.mine.pop())

    greedy = Greedy.remote()
    assert nbray.get(greedy.take.remote(), timeout=60) > 50
    with pytest.raises(Exception, match="Too many open files|files and connections"):
        nbray.get(greedy.read.remote(nbray.put(np.zeros(1 << 20))), timeout=60)
    serves()
    nbray.get(greedy.give.remote(), timeout=60)
    assert nbray.get(greedy.ask.remote(), timeout=60) == 2
    assert nbray.get(greedy.read.remote(nbray.put(np.zeros(1 << 20))), timeout=60) == 1 << 20


def test_connections_that_say_nothing_do_not_end_the_node(
    cluster: tuple[int, rundir.Record],
) -> None:
    _, record = cluster
    with silence(record):
        for _ in range(5):
            serves()
            time.sleep(0.1)
    serves()
    assert rundir.alive(record)
