"""Values of every kind arrive as they were, whichever way they take."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import pathlib
import uuid

import numpy as np
import pytest
from api import ray


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.5


class Colour(enum.Enum):
    RED = 1
    BLUE = "b"


Pair = collections.namedtuple("Pair", "left right")  # noqa: PYI024 - as users write it

VALUES = {
    "none": None,
    "true": True,
    "int": -7,
    "large int": 2**200,
    "float": 1.25,
    "infinity": float("inf"),
    "complex": 1 + 2j,
    "empty text": "",
    "text": "grüße, 世界",
    "bytes": b"\x00\xff",
    "list": [1, [2, [3]]],
    "tuple": (1, (2,)),
    "dict": {"a": {1: None}, (1, 2): "t"},
    "set": {1, 2},
    "frozenset": frozenset({"a"}),
    "range": range(0, 10, 3),
    "slice": slice(1, 5, 2),
    "ellipsis": ...,
    "type": int,
    "decimal": decimal.Decimal("1.10"),
    "fraction": fractions.Fraction(1, 3),
    "date": dt.datetime(2020, 2, 29, 12, tzinfo=dt.UTC),
    "duration": dt.timedelta(days=1, microseconds=5),
    "uuid": uuid.UUID(int=5),
    "path": pathlib.PurePosixPath("/a/b"),
    "deque": collections.deque([1, 2], maxlen=3),
    "counter": collections.Counter("abca"),
    "ordered": collections.OrderedDict(b=1, a=2),
    "dataclass": Point(1),
    "enum": Colour.BLUE,
    "named tuple": Pair(1, "r"),
    "numpy scalar": np.float32(0.5),
    "function": len,
}


@ray.remote
def same(value):
    return value


@ray.remote
def inside(box):
    return {"again": box["value"][0]}


@ray.remote
class Keeper:
    def __init__(self, value=None):
        self.value = value

    def read(self):
        return self.value

    def echo(self, value):
        return value


@pytest.fixture(scope="module")
def keeper(engine):
    return Keeper.options(num_cpus=0).remote()


def alike(got, sent):
    assert type(got).__name__ == type(sent).__name__
    if isinstance(sent, Colour):
        assert got.name == sent.name
    elif isinstance(sent, Point):
        assert dataclasses.astuple(got) == dataclasses.astuple(sent)
    else:
        assert got == sent


@pytest.fixture(params=VALUES, ids=[name.replace(" ", "-") for name in VALUES])
def value(request):
    return VALUES[request.param]


def test_by_put(value):
    alike(ray.get(ray.put(value)), value)


def test_as_argument_and_result(value):
    alike(ray.get(same.remote(value)), value)


def test_as_keyword(value):
    alike(ray.get(same.remote(value=value)), value)


def test_by_reference_as_argument(value):
    alike(ray.get(same.remote(ray.put(value))), value)


def test_inside_containers(value):
    alike(ray.get(inside.remote({"value": [value]}))["again"], value)


def test_by_a_method(keeper, value):
    alike(ray.get(keeper.echo.remote(value)), value)


def test_captured_by_a_function(value):
    @ray.remote
    def captured():
        return value

    alike(ray.get(captured.remote()), value)
