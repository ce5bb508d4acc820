"""Bad input on a live cluster: a clear error or a refusal, nothing lost, and work goes on.

Every test here is followed by `usable`: the same cluster must serve all of them.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

import nbray as ray
from nbray import session
from nbray.engines import native
from nbray.ids import client_id, node_client
from nbray.runtime.shell.network.address import parse_address
from nbray.wire.secret import Secret

STORE = 50_000_000


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    ray.init(engine="native", num_cpus=2, object_store_memory=STORE, infeasible="raise")
    yield session.current()
    ray.shutdown()


@ray.remote
def double(x: Any) -> Any:
    return x * 2


@pytest.fixture(autouse=True)
def usable(cluster: Any) -> Iterator[None]:
    """After each test: nothing that was there is lost, and new work runs."""
    kept = ray.put("kept")
    yield
    assert ray.get(kept, timeout=60) == "kept"
    assert ray.get([double.remote(i) for i in range(20)], timeout=60) == list(range(0, 40, 2))


def test_an_unpicklable_argument() -> None:
    with pytest.raises(TypeError, match="argument 1 of double.*lock"):
        double.remote(threading.Lock())


def test_an_unpicklable_result() -> None:
    @ray.remote
    def locked() -> Any:
        return threading.Lock()

    with pytest.raises(TypeError, match="the result of .*locked.*lock"):
        ray.get(locked.remote(), timeout=60)


def test_an_unpicklable_exception() -> None:
    class Odd(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(f"{one} and {two}")
            self.lock = threading.Lock()

    @ray.remote
    def odd() -> None:
        raise Odd(1, 2)

    with pytest.raises(ray.exceptions.RayTaskError, match="1 and 2") as caught:
        ray.get(odd.remote(), timeout=60)
    cause = caught.value.cause  # of its own class; the lock stays behind, with a note
    assert type(cause).__name__ == "Odd"
    assert any("lock" in note for note in cause.__notes__)


def test_what_is_no_reference() -> None:
    with pytest.raises((TypeError, ValueError), match="ObjectRef"):
        ray.get(42)
    with pytest.raises((TypeError, ValueError), match="ObjectRef"):
        ray.get([double.remote(1), "x"])


def test_impossible_resources() -> None:
    with pytest.raises(ray.exceptions.TaskUnschedulableError, match="1,000 CPUs.*2 CPUs"):
        ray.get(double.options(num_cpus=1000).remote(1), timeout=60)

    @ray.remote(num_gpus=500)
    class Greedy:
        def hello(self) -> None: ...

    with pytest.raises(ray.exceptions.ActorUnschedulableError, match="GPU"):
        ray.get(Greedy.remote().hello.remote(), timeout=60)


def test_an_unknown_option() -> None:
    with pytest.raises(ValueError, match="num_cpu.*did you mean 'num_cpus'"):
        double.options(num_cpu=1)


def test_a_worker_that_ends_itself() -> None:
    @ray.remote(max_retries=1)
    def leave() -> None:
        os._exit(7)

    others = [double.remote(i) for i in range(50)]
    with pytest.raises(ray.exceptions.WorkerCrashedError, match="leave.*exited with code 7"):
        ray.get(leave.remote(), timeout=60)
    assert ray.get(others, timeout=60) == list(range(0, 100, 2))


# -- on the wire ---------------------------------------------------------------------


def port(engine: Any) -> tuple[str, int]:
    """The node's TCP port."""
    return parse_address(engine.context.runtime().address)


def test_garbage_on_the_port(cluster: Any) -> None:
    greeting = b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f"  # ZeroMQ's, and then nothing
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 4096, greeting):
        with socket.create_connection(port(cluster), timeout=5) as peer:
            peer.sendall(data)
            peer.settimeout(0.2)
            try:
                while peer.recv(4096):
                    pass
            except OSError:
                pass


@pytest.mark.parametrize("how", ["no encryption", "a key of its own", "the right server key only"])
def test_unauthenticated_peers(cluster: Any, how: str) -> None:
    """Nothing that such a peer sends arrives, and nothing is sent to it."""
    host, number = port(cluster)
    record = native.records()[0]
    with zmq.Context() as context, context.socket(zmq.DEALER) as peer:
        peer.setsockopt(zmq.LINGER, 0)
        if how != "no encryption":
            public, private = zmq.curve_keypair()
            server = zmq.curve_keypair()[0]
            if how == "the right server key only":
                server = Secret.parse(record.secret).server_keys.public
            peer.curve_serverkey = server
            peer.curve_publickey, peer.curve_secretkey = public, private
        peer.connect(f"tcp://{host}:{number}")
        for _ in range(10):
            peer.send_multipart([b"hello", b"x" * 100], zmq.NOBLOCK)
        assert not peer.poll(500)


def test_corrupt_frames_on_the_inboxes(cluster: Any) -> None:
    """Within the user's own 0700 folder: a broken process must not break the others."""
    record = native.records()[0]
    me = cluster._brain.me
    corrupt = ([b""], [b"\xc1"], [b"\x92\xa7Goodbye"], [b"F", b"x"], [b"x" * 9, b"y"])
    targets = [node_client(1), client_id(1, 1), me]
    with zmq.Context() as context:
        for target in targets:
            with context.socket(zmq.PUSH) as pipe:
                pipe.setsockopt(zmq.LINGER, 500)
                pipe.connect(f"ipc://{record.directory}/{target:016x}")
                for frames in corrupt:
                    pipe.send_multipart(frames)
