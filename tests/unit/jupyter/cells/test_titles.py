"""What cells are called in lists."""

from __future__ import annotations

import pytest

from nbray.jupyter.cells.titles import LONGEST, title


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", ""),
        ("   \n", ""),
        ("sizes = segment(photos)\nprint(sizes)", "sizes = segment(photos)"),
        ("@remote\ndef price(path):\n    return 1", "def price"),
        ("@remote(num_cpus=2)\nclass Keeper:\n    def news(self): ...", "class Keeper"),
        ("def a(): ...\n\nclass B: ...\n\nasync def c(): ...", "def a, class B, def c"),
        ("from sklearn.svm import SVC\nimport numpy as np\n\nmodel = SVC()", "model = SVC()"),
        ("import time\nt = time.time()\nrefs = [f.remote(i) for i in x]",
         "refs = [f.remote(i) for i in x]"),
        ("@remote\ndef f(x):\n    return x\n\nnbray.get(f.remote(3))", "nbray.get(f.remote(3))"),
        ("@remote\ndef f(x):\n    return x\n\nN = 3", "def f"),
        ("from sklearn.svm import SVC", "from sklearn.svm import SVC"),
        ("# a comment\n\nx = 1", "x = 1"),
        ("# only a comment", "# only a comment"),
        ("%%remote --each photos\nsizes = segment(photo)", "%%remote --each photos"),
        ("%load_ext nbray\n%nbray start", "%load_ext nbray"),
        ("%matplotlib inline\nplt.plot(x)", "plt.plot(x)"),
        ('"""About\nimport this\n"""\nx = compute()', "x = compute()"),
        ("for x in y:\n    f(x)", "for x in y:"),
        ("f(\n    1,\n)", "f("),
        ("this is (not python", "this is (not python"),
        ("\n  sizes = f()\nmore()", "sizes = f()"),
        ("größe = messen()", "größe = messen()"),
    ],
)
def test_a_cell_is_called_by_what_it_ran_or_defines(source: str, expected: str) -> None:
    assert title(source) == expected


def test_a_title_is_one_short_line() -> None:
    long = title("x = [" + "1, " * 1_000 + "]")
    assert len(long) == LONGEST
    assert "\n" not in long
