"""functools' and typing's things of `__main__`, and objects that reduce to names, in workers."""

from __future__ import annotations

from e2e import cli
from e2e.front import running

EXPECTED = """\
cache (6, {'maxsize': 7, 'typed': True}, 'cached')
cache 6 6 6
cache 12586269025 12586269025 (2, 2)
cache [0, 1, 2]
dispatch ('int', ['int', 'thing'], 'kind_of') ['int']
thing (4, 3, 'int', 'thing')
thing (6, 6)
types (4, 'int', ~T, ~P, Ts) 4
types ({'a': 1}, ['a', 'b'], True)
calls 0.5 (6, 'X') 6
enums True True
names (True, 5) True
names True True
actor (8, 'int', 832040, False)
local (101, 'int', 'thing', 3)
"""


def test_a_scripts_own_definitions_are_what_they_are_in_workers() -> None:
    done = cli.python(cli.PROGRAMS / "own_names.py")
    assert done.stdout == EXPECTED, done.stderr


def test_a_notebooks_own_definitions_are_what_they_are_in_workers() -> None:
    text = (cli.PROGRAMS / "own_names.py").read_text(encoding="utf-8")
    with running("%load_ext nbray") as (front, _):
        answer = front.run(text)
        assert answer.streams == EXPECTED, answer.traceback or answer.streams
        again = front.run("print(run(fib, 20), run(lambda: kind_of([1, ''])))")
        assert again.streams == "6765 ['int', 'thing']\n"
        remote = front.run("%%remote -o got\ngot = fib(20), cached(2), kind_of(1), Thing(1).double")
        assert not remote.error, remote.traceback
        assert front.run("print(got)").streams == "(6765, 4, 'int', 2)\n"
