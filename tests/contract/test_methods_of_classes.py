"""A method is what the class has, whatever the instance has under its name."""

from __future__ import annotations

import functools

import pytest
from api import ray


class Account:
    def __init__(self, balance):
        self.balance = balance

    def balance(self):
        return self.balance


class Inherited(Account):
    def __init__(self, balance):
        super().__init__(balance)
        self.rate = lambda: "an attribute"

    def rate(self):
        return self.balance / 10


class Wrapped:
    def __init__(self):
        self.compute = functools.lru_cache(self.compute)
        self.static = 1
        self.cls = 2

    def compute(self, x):
        return x + 1

    @staticmethod
    def static():
        return "static"

    @classmethod
    def cls(cls):
        return cls.__name__


class Dynamic:
    def __getattr__(self, name):
        return f"no {name}"

    def __getattribute__(self, name):
        if name == "value":
            return "hidden"
        return super().__getattribute__(name)

    def value(self):
        return 5


class AsyncAccount:
    def __init__(self):
        self.read = None

    async def read(self):
        return "read"


@pytest.mark.parametrize(
    ("cls", "args", "calls"),
    [
        (Account, (5.0,), {"balance": ((), 5.0)}),
        (Inherited, (5.0,), {"balance": ((), 5.0), "rate": ((), 0.5)}),
        (Wrapped, (), {"compute": ((1,), 2), "static": ((), "static"), "cls": ((), "Wrapped")}),
        (Dynamic, (), {"value": ((), 5)}),
        (AsyncAccount, (), {"read": ((), "read")}),
    ],
)
@pytest.mark.parametrize("threads", [False, True])
def test_an_attribute_hides_no_method(cls, args, calls, threads):
    given = {"num_cpus": 0, **({"max_concurrency": 2} if threads else {})}
    actor = ray.remote(**given)(cls).remote(*args)
    for name, (arguments, expected) in calls.items():
        assert ray.get(getattr(actor, name).remote(*arguments), timeout=60) == expected
