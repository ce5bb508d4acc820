"""Raw limits beside which the figures stand: ZeroMQ, pickle, memcpy, fork. No system measured."""

from __future__ import annotations

import os
import pickle
import select
import socket
import statistics
import tempfile
import threading
import time

import cloudpickle
import msgspec
import numpy as np
import zmq
from timing import rate, report


def echo(folder):
    """The other end of the ping-pong, in a forked process."""
    context = zmq.Context()
    inbox, out = context.socket(zmq.PULL), context.socket(zmq.PUSH)
    inbox.bind(f"ipc://{folder}/b")
    out.connect(f"ipc://{folder}/a")
    while (frame := inbox.recv()) != b"end":
        out.send(frame)
    context.destroy(0)


def sink(folder, count):
    """Counts what comes, then says so."""
    context = zmq.Context()
    inbox, out = context.socket(zmq.PULL), context.socket(zmq.PUSH)
    inbox.bind(f"ipc://{folder}/b")
    out.connect(f"ipc://{folder}/a")
    for _ in range(count):
        inbox.recv()
    out.send(b"done")
    context.destroy(1000)


def ping_pong():
    with tempfile.TemporaryDirectory() as folder:
        child = os.fork()
        if child == 0:
            echo(folder)
            os._exit(0)
        context = zmq.Context()
        inbox, out = context.socket(zmq.PULL), context.socket(zmq.PUSH)
        inbox.bind(f"ipc://{folder}/a")
        out.connect(f"ipc://{folder}/b")
        poller = zmq.Poller()
        poller.register(inbox, zmq.POLLIN)

        def turn():
            out.send(b"x" * 50)
            inbox.recv()

        rate("limit: ZeroMQ PUSH/PULL round trips, ipc", turn)
        out.send(b"end")
        os.waitpid(child, 0)
        context.destroy(0)


def stream():
    count = 100_000
    with tempfile.TemporaryDirectory() as folder:
        child = os.fork()
        if child == 0:
            sink(folder, count)
            os._exit(0)
        context = zmq.Context()
        inbox, out = context.socket(zmq.PULL), context.socket(zmq.PUSH)
        out.sndhwm = 0
        inbox.bind(f"ipc://{folder}/a")
        out.connect(f"ipc://{folder}/b")
        time.sleep(0.2)
        began = time.perf_counter()
        for _ in range(count):
            out.send(b"x" * 50)
        inbox.recv()
        report("limit: ZeroMQ messages one way, ipc", count / (time.perf_counter() - began))
        os.waitpid(child, 0)
        context.destroy(0)


def handover():
    """A pipe round trip between processes: the kernel's part alone."""
    there, back = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        while os.read(there[0], 1) == b"x":
            os.write(back[1], b"x")
        os._exit(0)

    def turn():
        os.write(there[1], b"x")
        os.read(back[0], 1)

    rate("limit: pipe round trips", turn)
    os.write(there[1], b"e")
    os.waitpid(child, 0)


def unix_sockets():
    """Round trips over Unix stream sockets, each end polling: what a message costs at least."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    child = os.fork()
    if child == 0:
        here.close()
        while (frame := _polled(there)) != b"":
            there.send(frame)
        os._exit(0)
    there.close()

    def turn():
        here.send(b"x" * 50)
        _polled(here)

    rate("limit: Unix socket round trips, polled", turn)
    here.close()
    os.waitpid(child, 0)


def _polled(end):
    poll = select.poll()
    poll.register(end, select.POLLIN)
    poll.poll()
    return end.recv(4096)


def copies():
    source = np.ones(100 * 1024 * 1024, dtype=np.int64)
    target = np.ones_like(source)

    def copy():
        target[:] = source

    rate("limit: memcpy of 800 MB, one thread, pages there", copy, 0.8)
    half = len(source) // 2

    def part(where):
        target[where] = source[where]

    def two():
        other = threading.Thread(target=part, args=(slice(half, None),))
        other.start()
        part(slice(0, half))
        other.join()

    rate("limit: memcpy of 800 MB, two threads, pages there", two, 0.8)
    target = None
    began = time.perf_counter()
    fresh = source.copy()
    report("limit: memcpy of 800 MB into fresh pages", 0.8388608 / (time.perf_counter() - began))
    del fresh


class Batch(msgspec.Struct, frozen=True, array_like=True):
    seqs: list[int]
    args: list[bytes]


def pickles():
    value = ((1, "two"), {})
    rate("limit: pickle dumps and loads of small arguments",
         lambda: pickle.loads(pickle.dumps(value, 5)))  # fmt: skip
    rate("limit: cloudpickle dumps of small arguments", lambda: cloudpickle.dumps(value))
    encode = msgspec.msgpack.Encoder().encode
    decode = msgspec.msgpack.Decoder(Batch).decode
    batch = Batch(list(range(50)), [b"x" * 10] * 50)
    rate("limit: msgspec, tasks of a batch of 50, there and back",
         lambda: decode(encode(batch)), 50)  # fmt: skip


def forks():
    times = []
    for _ in range(30):
        began = time.perf_counter()
        child = os.fork()
        if child == 0:
            os._exit(0)
        times.append(time.perf_counter() - began)
        os.waitpid(child, 0)
    report("limit: fork of this process", 1000 * statistics.median(times))


if __name__ == "__main__":
    forks()
    handover()
    unix_sockets()
    ping_pong()
    stream()
    pickles()
    copies()
