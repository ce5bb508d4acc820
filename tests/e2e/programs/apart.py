"""Work that goes between machines all the time, each result checked; ends when told to.

Rounds of nested tasks, of values and arrays from one machine to the other, and of calls between
actors; 'on LINE' is printed after each. A line on standard input ends it, and what it has counted
is printed: rounds, errors by name, wrong results. `python apart.py ADDRESS SECRET`.
"""

import collections
import faulthandler
import json
import signal
import sys
import threading
import time

import nbray
from nbray import exceptions

faulthandler.register(signal.SIGUSR1)  # says where it stands
address, secret = sys.argv[1:3]
nbray.init(address=address, _redis_password=secret)
NAMED = tuple(
    kind for kind in vars(exceptions).values()
    if isinstance(kind, type) and issubclass(kind, exceptions.RayError)
)
PLACES = sorted(name for name in nbray.cluster_resources() if name.startswith("at"))


def at(place, **more):
    return {"resources": {place: 0.01}, "num_cpus": 0.1, "max_retries": 3, **more}


@nbray.remote
def square(x):
    time.sleep(0.005)
    return x * x


@nbray.remote
def squares(place, count):
    return sum(nbray.get([square.options(**at(place)).remote(n) for n in range(count)]))


@nbray.remote
def large(n):
    return bytes([n % 251]) * 300_000


@nbray.remote
def length(data, n):
    return len(data) if set(data[:1000]) == {n % 251} else -1


class Counter:
    def __init__(self, other=None):
        self.other, self.calls = other, 0

    def add(self, n):
        self.calls += 1
        if self.other is None:
            return n
        return nbray.get(self.other.add.remote(n)) + 1


def actors():
    plain = nbray.remote(Counter)
    made = []
    for index, place in enumerate(PLACES):
        made.append(plain.options(
            resources={place: 0.01}, num_cpus=0, max_restarts=-1, max_task_retries=3,
        ).remote(*made[:index][-1:]))
    return made


def one_round(number, counters):
    checks = []
    for here in PLACES:
        for there in PLACES:
            checks.append((squares.options(**at(here)).remote(there, 6), 55))
            data = large.options(**at(here)).remote(number)
            checks.append((length.options(**at(there)).remote(data, number), 300_000))
    for index, counter in enumerate(counters):
        checks.append((counter.add.remote(number), number + index))
    for ref, expected in checks:
        try:
            got = nbray.get(ref)
        except NAMED as error:
            errors[type(error).__name__] += 1
        else:
            if got != expected:
                wrong.append((got, expected))


errors, wrong, done = collections.Counter(), [], threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), done.set()), daemon=True).start()
counters, rounds, longest = actors(), 0, 0.0
print("on", flush=True)
while not done.is_set():
    started = time.monotonic()
    one_round(rounds, counters)
    rounds += 1
    longest = max(longest, time.monotonic() - started)
    time.sleep(0.1)
print(json.dumps({"rounds": rounds, "errors": errors, "wrong": wrong, "longest": longest}))
