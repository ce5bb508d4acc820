"""Many times the store live at a time, where /dev/shm is small. Arguments: megabytes, a folder."""

import sys
import time

import numpy as np

import nbray as ray

MB = 10**6
STORE, LIVE, LARGE, DROPPED = (int(one) * MB for one in sys.argv[1:5])
EACH = STORE // 15
ray.init(num_cpus=2, object_store_memory=STORE, object_spilling_directory=sys.argv[5])


def value(number, size=EACH):
    return np.random.default_rng(number).integers(0, 1 << 63, size // 8, np.int64)


@ray.remote
def make(number):
    return value(number)


@ray.remote
def right(number, got):
    return bool((got == value(number)).all())


count = LIVE // EACH
in_use = [ray.get(ray.put(value(1000 + number))) for number in range(3)]
refs = [ray.put(value(n)) if n % 2 else make.remote(n) for n in range(count)]
large = ray.put(value(7, LARGE))
assert all(ray.get([right.remote(number, ref) for number, ref in enumerate(refs)]))
assert all((ray.get(ref) == value(number)).all() for number, ref in enumerate(refs))
assert (ray.get(large) == value(7, LARGE)).all()
assert all((array == value(1000 + number)).all() for number, array in enumerate(in_use))
del refs, large
array = np.full(EACH, 7, np.uint8)
began = time.monotonic()
for _ in range(DROPPED // EACH):
    ray.put(array)
took = time.monotonic() - began
assert all((array == value(1000 + number)).all() for number, array in enumerate(in_use))
print(f"right {count} {DROPPED / took / 1e9:.2f} GB/s")
