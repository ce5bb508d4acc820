"""Which names a cell reads from the notebook."""

import ast
import sys

import pytest

from nbray.jupyter.remote.names import names_of


def read(source: str, known: tuple[str, ...] = ()) -> tuple[set[str], set[str]]:
    found = names_of(ast.parse(source), known)
    return set(found.needed), set(found.maybe)


@pytest.mark.parametrize(
    ("source", "needed"),
    [
        ("x + y", {"x", "y"}),
        ("a = b\nc = a", {"b"}),
        ("f(x).y[z]", {"f", "x", "z"}),
        ("a.b = c", {"a", "c"}),
        ("a[i] = c", {"a", "i", "c"}),
        ("del a[0]", {"a"}),
        ("import os.path\nos.getcwd()", set()),
        ("from math import sqrt as root\nroot(x)", {"x"}),
        ("for i in xs:\n    print(i)", {"xs", "print"}),
        ("[i * k for i in xs if i > low]", {"xs", "k", "low"}),
        ("{k: v for k, v in pairs}", {"pairs"}),
        ("[[cell for cell in row] for row in rows]", {"rows"}),
        ("def f(a, b=default):\n    return a + b + c", {"default", "c"}),
        ("lambda a, *rest, k=d, **more: a + rest + k + more + e", {"d", "e"}),
        ("def f():\n    y = 1\n    def g():\n        return y + z\n    return g", {"z"}),
        ("def f():\n    global g\n    return g", {"g"}),
        (
            "class A(Base):\n    size = n\n    def m(self):\n        return size",
            {"Base", "n", "size"},
        ),
        ("def outer():\n    return helper()\n", {"helper"}),
        ("f'{a} {b:>{w}}'", {"a", "b", "w"}),
        ("with opened(p) as q:\n    q.read()", {"opened", "p"}),
        ("try:\n    a\nexcept E as e:\n    e", {"a", "E"}),
        ("match v:\n    case [a, *b]:\n        a, b\n    case {'k': c, **d}:\n        c, d", {"v"}),
        ("match v:\n    case Point(x=0):\n        pass", {"v", "Point"}),
        ("x: int = 3\nx", {"int"}),
        ("if (n := f()) > 1:\n    n", {"f"}),
        ("any((hit := i) for i in xs)\nhit", {"any", "xs"}),
        ("async def f():\n    async for i in s:\n        await i", {"s"}),
        ("def f(x: T) -> R: ...", {"T", "R"}),
        ("@deco\ndef f(): ...", {"deco"}),
    ],
)
def test_names_that_come_from_the_notebook(source, needed):
    assert read(source) == (needed, set())


@pytest.mark.parametrize(
    ("source", "maybe"),
    [
        ("x = x + 1", {"x"}),
        ("x += 1", {"x"}),
        ("if c:\n    x = 1\nx", {"x"}),
        ("for i in ():\n    x = 1\nx", {"x"}),
        ("while c:\n    x = 1\nx", {"x"}),
        ("try:\n    x = 1\nexcept E:\n    pass\nx", {"x"}),
        ("def f():\n    return helper\ndef helper(): ...\nf()", {"helper"}),
        ("x = 1\ndel x\nx", {"x"}),
        ("def f():\n    global x\n    x = 1\nf()\nx", {"x"}),
        ("c and (x := 1)\nx", {"x"}),
    ],
)
def test_names_that_may_come_from_the_notebook(source, maybe):
    assert read(source)[1] == maybe


def test_names_bound_on_every_path_do_not_travel():
    assert read("if c:\n    x = 1\nelse:\n    x = 2\nx") == ({"c"}, set())
    assert read("def helper(): ...\ndef f():\n    return helper()\nf()") == (set(), set())
    assert read("item + 1", known=("item",)) == (set(), set())


def test_bound_names_are_those_of_the_top_level():
    found = names_of(ast.parse("a = 1\ndef f():\n    b = 2\nif a:\n    c = [d for d in ()]"))
    assert set(found.bound) == {"a", "f", "c"}


@pytest.mark.skipif(sys.version_info < (3, 12), reason="syntax of Python 3.12")
def test_type_parameters_are_the_definitions_own():
    assert read("def f[T](x: T) -> T:\n    return x") == (set(), set())
    assert read("class A[T](Base[T]): ...") == ({"Base"}, set())
    assert read("type Pair = tuple[Item, Item]") == ({"tuple", "Item"}, set())
