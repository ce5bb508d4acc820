"""Objects from machine to machine: network namespaces, a node in each, one driver.

The driver's machine has no CPUs. Beside the figures stands what the encrypted channel
alone does between the same two namespaces, in the same minutes. For the broadcast every
machine's cable is slowed to a gigabit a second, or seven of them on one machine would
measure its CPUs. Takes root and iproute2; says so with a NOTE where it cannot be.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

from timing import module_name, percentile, report, wanted

MOVED = "1 GB from node to node"
LIMIT = "limit: CurveZMQ alone between the two nodes"
COST = "CPU time of both nodes for each GB moved"
BESIDE = "task beside a transfer, p99"
BROADCAST = "200 MB to six nodes over one transfer, a gigabit each"
ONE = "200 MB to one node, a gigabit each"
IP = shutil.which("ip") or "/usr/sbin/ip"
TC = shutil.which("tc") or "/usr/sbin/tc"
GB, PIECE = 10**9, 1 << 20
BIN = Path(sys.executable).parent


def ip(*argv):
    subprocess.run([IP, *argv], check=True, capture_output=True, timeout=20)


class Machines:
    """Namespaces with an address each, joined by a switch in a namespace of its own."""

    def __init__(self, count):
        stem = f"nbb-{os.getpid()}"
        self.switch = stem + "x"
        self.names = [f"{stem}{chr(97 + index)}" for index in range(count)]
        self.ips = [f"172.17.0.{2 + index}" for index in range(count)]

    def __enter__(self):
        for name in (self.switch, *self.names):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", self.switch, "link", "add", "hub", "type", "bridge")
        ip("-n", self.switch, "link", "set", "hub", "up")
        for index, name in enumerate(self.names):
            ends = ("link", "add", f"p{index}", "netns", self.switch, "type", "veth")
            ip(*ends, "peer", "name", "eth0", "netns", name)
            ip("-n", self.switch, "link", "set", f"p{index}", "master", "hub", "up")
            ip("-n", name, "addr", "add", f"{self.ips[index]}/16", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
        return self

    def slow(self, rate):
        """Give every cable so many bits a second each way."""
        for index, name in enumerate(self.names):
            for where, device in ((name, "eth0"), (self.switch, f"p{index}")):
                subprocess.run(
                    [IP, "netns", "exec", where, TC, "qdisc", "add", "dev", device, "root", "tbf",
                     "rate", rate, "burst", "1mb", "latency", "50ms"],
                    check=True, capture_output=True, timeout=20,
                )  # fmt: skip

    def argv(self, index, *argv):
        return [IP, "netns", "exec", self.names[index], *map(str, argv)]

    def run(self, index, *argv):
        done = subprocess.run(
            self.argv(index, *argv), check=True, capture_output=True, text=True, timeout=200
        )
        return done.stdout

    def __exit__(self, *_):
        for index in reversed(range(len(self.names))):
            for system in ("nbray", "ray"):
                if (BIN / system).exists():
                    stop = self.argv(index, BIN / system, "stop")
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        subprocess.run(stop, check=False, capture_output=True, timeout=60)
        for name in (*self.names, self.switch):
            subprocess.run([IP, "netns", "del", name], check=False, capture_output=True)


def start(machines, system):
    """A node on every machine; what the driver is to be told."""
    cli, (head, *others) = BIN / system, machines.ips
    store = f"--object-store-memory={3 * GB}"
    if system == "nbray":
        said = machines.run(0, cli, "start", "--head", "--node-ip-address", head,
                            "--num-cpus", 0, store)  # fmt: skip
        line = re.search(r"printf %s (\S+) \| nbray start (--address=\S+)", said)
        secret, address = line[1].strip("'"), line[2]
        words = ["start", address, f"--redis-password={secret}"]
    else:
        machines.run(0, cli, "start", "--head", f"--node-ip-address={head}", "--num-cpus=0",
                     "--include-dashboard=false", store)  # fmt: skip
        words, secret = ["start", f"--address={head}:6379"], ""
    for index, address in enumerate(others, 1):
        more = [] if system == "nbray" else [f"--node-ip-address={address}"]
        machines.run(index, cli, *words, "--num-cpus", 2, "--resources", f'{{"n{index}": 8}}',
                     store, *more)  # fmt: skip
    return f"{head}:6379", secret


def cpu_there():
    """CPU seconds so far of all processes in this program's namespaces but the driver's own."""
    import psutil

    ours = {entry.stat().st_ino for entry in Path("/run/netns").glob(f"nbb-{os.getppid()}*")}
    total = 0.0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            network = Path(f"/proc/{process.pid}/ns/net").stat().st_ino
            if process.pid != os.getpid() and network in ours:
                times = process.cpu_times()
                total += times.user + times.system
    return total


class Measures:
    """What the driver measures, in its namespace."""

    def __init__(self, ray):
        import numpy as np

        self.ray = ray

        @ray.remote
        def make(size):
            return np.ones(size, np.uint8)

        @ray.remote
        def small():
            return b"ok"

        @ray.remote
        def touch(array):
            return int(array[-1])

        self.make, self.small, self.touch = make, small, touch

    def on(self, task, node):
        return task.options(resources={f"n{node}": 1}, num_cpus=0)

    def fetch(self, size):
        """Seconds until an object that lies on node 1 is here."""
        ref = self.on(self.make, 1).remote(size)
        self.ray.wait([ref], timeout=100, fetch_local=False)
        time.sleep(0.3)
        began, before = time.perf_counter(), cpu_there()
        value = self.ray.get(ref)
        took = time.perf_counter() - began
        assert value[-1] == 1
        return took, cpu_there() - before

    def moved(self):
        self.fetch(GB // 8)
        found = [self.fetch(GB) for _ in range(4)]
        yield MOVED, 1 / statistics.median(took for took, _ in found)
        yield COST, statistics.median(cost for _, cost in found)

    def beside(self):
        """Round trips of small tasks on node 1 while objects come from there."""
        call, times, ended = self.on(self.small, 1), [], threading.Event()
        self.ray.get([call.remote() for _ in range(200)])

        def fetches():
            for _ in range(4):
                self.fetch(GB)
            ended.set()

        mover = threading.Thread(target=fetches)
        mover.start()
        while not ended.is_set():
            began = time.perf_counter()
            self.ray.get(call.remote())
            times.append(time.perf_counter() - began)
        mover.join()
        yield BESIDE, 1000 * percentile(times, 0.99)

    def broadcast(self):
        import numpy as np

        value = np.ones(200_000_000, np.uint8)
        self.ray.get([self.on(self.touch, node).remote(self.ray.put(np.ones(200_000, np.uint8)))
                      for node in range(1, 7)])  # fmt: skip

        def once(nodes):
            ref = self.ray.put(value)
            began = time.perf_counter()
            self.ray.get([self.on(self.touch, node).remote(ref) for node in nodes])
            return time.perf_counter() - began

        ones, sixes = [], []
        for node in range(1, 4):
            ones.append(once([node]))
            sixes.append(once(range(1, 7)))
        yield ONE, statistics.median(ones)
        yield BROADCAST, statistics.median(sixes) / statistics.median(ones)


def channel(role, address, public, private, own_public, own_private):
    """One end of a bare CurveZMQ connection that takes 1 GB in messages of 1 MiB."""
    import zmq

    context = zmq.Context()
    end = context.socket(zmq.PULL if role == "takes" else zmq.PUSH)
    end.set_hwm(16)
    if role == "takes":
        end.curve_server, end.curve_secretkey = True, private.encode()
        end.bind(f"tcp://{address}:7000")
        print("up", flush=True)
        end.recv()
        began = time.perf_counter()
        for _ in range(GB // PIECE):
            end.recv(copy=False)
        print(json.dumps(GB / (time.perf_counter() - began) / 1e9), flush=True)
    else:
        end.curve_serverkey = public.encode()
        end.curve_publickey, end.curve_secretkey = own_public.encode(), own_private.encode()
        end.connect(f"tcp://{address}:7000")
        piece = os.urandom(PIECE)
        end.send(b"begin")
        for _ in range(GB // PIECE):
            end.send(piece, copy=False)
    end.close()
    context.term()


def limit(machines):
    """GB/s of the bare channel from machine 1 to machine 0."""
    import zmq

    keys = [key.decode() for _ in range(2) for key in zmq.curve_keypair()]
    words = (sys.executable, __file__, "nbray", "--channel")
    takes = subprocess.Popen(machines.argv(0, *words, "takes", machines.ips[0], *keys),
                             stdout=subprocess.PIPE, text=True)  # fmt: skip
    takes.stdout.readline()
    machines.run(1, *words, "gives", machines.ips[0], *keys)
    found, _ = takes.communicate(timeout=60)
    return json.loads(found)


def join(system, part, address, secret):
    """The driver's part."""
    if system == "nbray":
        import nbray as ray

        ray.init(address=address, _redis_password=secret)
    else:
        import ray

        ray.init(address=address, log_to_driver=False)
    for row, value in getattr(Measures(ray), part)():
        report(row, value)
    ray.shutdown()


def measure(system, part, machines):
    address, secret = start(machines, system)
    words = (sys.executable, __file__, system, "--join", part, address, secret)
    print(machines.run(0, *words), end="", flush=True)


def main():
    system = module_name()
    if "--channel" in sys.argv:
        channel(*sys.argv[3:])
        return
    if "--join" in sys.argv:
        join(system, *sys.argv[3:])
        return
    if os.geteuid() != 0 or not Path(IP).exists():
        print("NOTE left out: it takes root and iproute2", flush=True)
        return
    try:
        for part, rows in (("moved", (MOVED, COST)), ("beside", (BESIDE,))):
            if any(map(wanted, rows)) or (part == "moved" and wanted(LIMIT)):
                with Machines(2) as machines:
                    before = limit(machines) if part == "moved" and system == "nbray" else 0.0
                    measure(system, part, machines)
                    if before:
                        report(LIMIT, statistics.mean((before, limit(machines))))
        if wanted(ONE) or wanted(BROADCAST):
            with Machines(7) as machines:
                machines.slow("1gbit")
                measure(system, "broadcast", machines)
    except subprocess.CalledProcessError as error:
        print(f"NOTE left out: {error}: {(error.stderr or '').strip()[-300:]!r}", flush=True)


if __name__ == "__main__":
    main()
