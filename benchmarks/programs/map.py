"""A map of a million tiny items into a list: nbray's, and those of the standard library."""

from __future__ import annotations

from timing import module_name, rate

ROW = "map of 1,000,000 tiny items"
ITEMS = 1_000_000


def add_one(x):
    return x + 1


def nbray():
    import nbray

    nbray.init(num_cpus=2)
    rate(ROW, lambda: list(nbray.util.map(add_one, range(ITEMS))), ITEMS)
    nbray.shutdown()


def concurrent_futures():
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(2) as pool:
        rate(ROW, lambda: list(pool.map(add_one, range(ITEMS), chunksize=1000)), ITEMS)


def multiprocessing_pool():
    import multiprocessing

    with multiprocessing.Pool(2) as pool:
        rate(ROW, lambda: pool.map(add_one, range(ITEMS)), ITEMS)


MAPS = {
    "nbray": nbray,
    "concurrent.futures": concurrent_futures,
    "multiprocessing.Pool": multiprocessing_pool,
}

if __name__ == "__main__":
    MAPS[module_name()]()
