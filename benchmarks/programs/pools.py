"""Other pools: 1,000 no-op tasks gathered, and one at a time, each by its own API."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from timing import module_name, rate

ASYNC, SYNC = "single client tasks async", "single client tasks sync"


def small(_=None):
    return b"ok"


def concurrent_futures():
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(2) as pool:
        rate(ASYNC, lambda: [f.result() for f in [pool.submit(small) for _ in range(1000)]], 1000)
        rate(SYNC, lambda: pool.submit(small).result())


def multiprocessing_pool():
    import multiprocessing

    with multiprocessing.Pool(2) as pool:
        rate(ASYNC, lambda: [r.get() for r in [pool.apply_async(small) for _ in range(1000)]], 1000)
        rate(SYNC, lambda: pool.apply_async(small).get())


def loky():
    from loky import get_reusable_executor

    pool = get_reusable_executor(max_workers=2)
    rate(ASYNC, lambda: [f.result() for f in [pool.submit(small) for _ in range(1000)]], 1000)
    rate(SYNC, lambda: pool.submit(small).result())
    pool.shutdown()


def dask():
    from distributed import Client, LocalCluster

    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    client = Client(cluster)
    rate(ASYNC, lambda: client.gather([client.submit(small, pure=False) for _ in range(1000)]),
         1000)  # fmt: skip
    rate(SYNC, lambda: client.submit(small, pure=False).result())
    client.close()
    cluster.close()


def ipyparallel():
    import ipyparallel as ipp

    with TemporaryDirectory() as folder:
        bin_ = Path(sys.executable).parent
        hub = subprocess.Popen(
            [bin_ / "ipcluster", "start", "-n", "2", f"--ipython-dir={folder}", "--profile-dir",
             folder, "--log-level=ERROR"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            client = None
            for _ in range(100):
                with contextlib.suppress(Exception):
                    client = ipp.Client(profile_dir=folder, timeout=1)
                    if len(client) == 2:
                        break
                time.sleep(0.2)
            view = client.load_balanced_view()

            def batch():
                for result in [view.apply_async(small) for _ in range(1000)]:
                    result.get()

            rate(ASYNC, batch, 1000)
            rate(SYNC, lambda: view.apply_async(small).get())
            client.close()
        finally:
            hub.terminate()
            hub.wait(20)


POOLS = {
    "concurrent.futures": concurrent_futures,
    "multiprocessing.Pool": multiprocessing_pool,
    "loky": loky,
    "dask": dask,
    "ipyparallel": ipyparallel,
}

if __name__ == "__main__":
    POOLS[module_name()]()
