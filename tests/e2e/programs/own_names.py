"""Definitions of `__main__` that Python pickles by their names, in tasks, actors and values."""

import enum
import functools
import operator
import typing

import nbray as ray

ray.init(num_cpus=1)


def run(call, *args):
    return ray.get(ray.remote(call).remote(*args), timeout=30)


@functools.lru_cache(maxsize=7, typed=True)
def cached(x):
    return x * 2


@functools.cache
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def plus_one(call):
    @functools.wraps(call)
    def inner(*args):
        return call(*args) + 1

    return inner


@plus_one
@functools.lru_cache
def around(x):
    return x


@functools.lru_cache
@plus_one
def within(x):
    return x


@functools.singledispatch
def kind_of(x):
    return "thing"


@kind_of.register
def _(x: int):
    return "int"


@kind_of.register(list)
def _(x):
    return [kind_of(one) for one in x]


class Thing:
    def __init__(self, x):
        self.x = x

    @functools.cached_property
    def double(self):
        return self.x * 2

    @functools.lru_cache
    def plus(self, y):
        return self.x + y

    @functools.singledispatchmethod
    def of(self, a):
        return "thing"

    @of.register
    def _(self, a: int):
        return "int"

    plus_three = functools.partialmethod(plus, 3)


UserId = typing.NewType("UserId", int)
T = typing.TypeVar("T")
P = typing.ParamSpec("P")
Ts = typing.TypeVarTuple("Ts")
half = functools.partial(operator.truediv, 1)
cached_three = functools.partial(cached, 3)
upper = operator.methodcaller("upper")


def annotated(x: UserId, *args: P.args, **kwargs: P.kwargs) -> T:
    return x


class Options(typing.TypedDict, total=False):
    a: int


class More(Options):
    b: str


class Color(enum.Enum):
    RED = 1


@enum.global_enum
class Flag(enum.IntFlag):
    UP = 1


class Constant:
    """Reduces to a name, as sentinels do."""

    def __init__(self, name, value):
        self.name, self.value = name, value

    def __reduce__(self):
        return self.name


MISSING = Constant("MISSING", 5)


class Holder:
    EMPTY = Constant("Holder.EMPTY", 6)


@ray.remote
class Keeper:
    @functools.cached_property
    def kept(self):
        return cached(4)

    def all(self):
        return self.kept, kind_of(1), fib(30), MISSING is Holder.EMPTY


print("cache", run(lambda: (cached(3), cached.cache_parameters(), cached.__name__)))
print("cache", run(cached, 3), run(lambda call: call(3), cached), run(lambda: cached)(3))
print("cache", run(fib, 50), run(lambda: fib(50)), run(lambda: (around(1), within(1))))
hits = ray.remote(lambda: (cached(1), cached.cache_info().hits)[1])
print("cache", [ray.get(hits.remote()) for _ in range(3)])
print("dispatch", run(lambda: (kind_of(1), kind_of([1, ""]), kind_of.__name__)), run(kind_of, [1]))
print("thing", run(lambda: (Thing(2).double, Thing(2).plus(1), Thing(2).of(1), Thing(2).of(""))))
print("thing", run(lambda thing: (thing.double, thing.plus_three()), Thing(3)))
print("types", run(lambda: (UserId(4), UserId.__supertype__.__name__, T, P, Ts)), run(annotated, 4))
print("types", run(lambda: (Options(a=1), sorted(More.__annotations__), More.__total__)))
print("calls", run(half, 2), run(lambda: (cached_three(), upper("x"))), run(cached_three))
print("enums", run(lambda c: c is Color.RED, Color.RED), run(lambda: Flag.UP | 2) == 3)
print("names", run(lambda x: (x is MISSING, x.value), MISSING), run(lambda: MISSING) is MISSING)
print("names", run(lambda: Holder.EMPTY) is Holder.EMPTY, ray.get(ray.put([MISSING]))[0] is MISSING)
print("actor", ray.get(Keeper.remote().all.remote()))


def inside():
    @functools.lru_cache
    def local(x):
        return x + 100

    @functools.singledispatch
    def here(x):
        return "thing"

    here.register(int)(lambda x: "int")
    own = typing.NewType("own", int)
    return run(lambda: (local(1), here(1), here(""), own(3)))


print("local", inside())
