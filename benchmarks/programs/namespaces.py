"""Tasks a second across two network namespaces (encrypted TCP), and on one machine.

The machine with the driver has no CPUs, so every task crosses the wire. Takes
root and iproute2; says so with a NOTE where it cannot be.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from timing import report, wanted

HERE, THERE = "172.17.0.2", "172.17.0.3"
IP = shutil.which("ip") or "/usr/sbin/ip"
TWO = "tasks async over two namespaces, encrypted"
ONE = "tasks async over one namespace, local"
NBRAY = str(Path(sys.executable).with_name("nbray"))


def measure(**where):
    """Tasks a second of batches of 1,000."""
    import nbray

    nbray.init(**where)

    @nbray.remote
    def small():
        return b"ok"

    nbray.get([small.remote() for _ in range(5000)])
    rates = []
    for _ in range(30):
        began = time.perf_counter()
        nbray.get([small.remote() for _ in range(1000)])
        rates.append(1000 / (time.perf_counter() - began))
    nbray.shutdown()
    return statistics.median(rates)


def ip(*argv):
    subprocess.run([IP, *argv], check=True, capture_output=True, timeout=20)


def inside(name, *argv):
    done = subprocess.run(
        [IP, "netns", "exec", name, *argv], check=True, capture_output=True, text=True, timeout=100
    )
    return done.stdout


def two():
    """The same program with the workers on another machine."""
    stem = f"nbb-{os.getpid()}"
    here, there = stem + "a", stem + "b"
    made = []
    try:
        for name in (here, there):
            ip("netns", "add", name)
            made.append(name)
            ip("-n", name, "link", "set", "lo", "up")
        ends = ("link", "add", "eth0", "netns", here, "type", "veth")
        ip(*ends, "peer", "name", "eth0", "netns", there)
        for name, address in ((here, HERE), (there, THERE)):
            ip("-n", name, "addr", "add", f"{address}/16", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
        started = inside(here, NBRAY, "start", "--head", "--node-ip-address", HERE,
                         "--num-cpus", "0")  # fmt: skip
        line = re.search(r"printf %s (\S+) \| nbray start (--address=\S+)", started)
        secret = line[1].strip("'")
        words = ("start", line[2], f"--redis-password={secret}")
        inside(there, NBRAY, *words, "--num-cpus", "2")
        printed = inside(here, sys.executable, __file__, "nbray", "--join", f"{HERE}:6379", secret)
        report(TWO, json.loads(printed.splitlines()[-1]))
    finally:
        for name in reversed(made):
            subprocess.run([IP, "netns", "exec", name, NBRAY, "stop"], check=False,
                           capture_output=True, timeout=60)  # fmt: skip
            ip("netns", "del", name)


def main():
    if "--join" in sys.argv:
        address, secret = sys.argv[-2:]
        print(json.dumps(measure(address=address, _redis_password=secret)))
        return
    if wanted(ONE):
        report(ONE, measure(num_cpus=2))
    if wanted(TWO):
        if os.geteuid() != 0 or not Path(IP).exists():
            print(f"NOTE left out: {TWO} (it takes root and iproute2)", flush=True)
            return
        try:
            two()
        except subprocess.CalledProcessError as error:
            said = (error.stderr or b"").strip()
            print(f"NOTE left out: {TWO} ({error}: {said!r})", flush=True)


if __name__ == "__main__":
    main()
