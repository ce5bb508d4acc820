"""Items of a generator task, each read as soon as it is there; one and the same text for both."""

from __future__ import annotations

import importlib

from timing import module_name, rate

ray = importlib.import_module(module_name())
ITEMS = 5_000


@ray.remote
def numbers(n):
    for index in range(n):  # noqa: UP028 - Ray sends into it, which a range has not
        yield index


def read(form):
    stream = form.remote(ITEMS)
    for _ in range(ITEMS):
        ray.get(next(stream))


def main():
    ray.init(num_cpus=2)
    rate("generator items", lambda: read(numbers), ITEMS)
    paced = numbers.options(_generator_backpressure_num_objects=10)
    rate("generator items, 10 unread at most", lambda: read(paced), ITEMS)
    actor = Numbers.remote()
    rate("async generator method items", lambda: read(actor.numbers), ITEMS)
    ray.shutdown()


@ray.remote
class Numbers:
    async def numbers(self, n):
        for index in range(n):
            yield index


if __name__ == "__main__":
    main()
