"""Lines of `%nbray` as they are read, and what the Tab key offers."""

from __future__ import annotations

import pytest
from IPython.core.error import UsageError

from nbray.jupyter.commands import COMMANDS, complete, read


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("", ("status", [], {})),
        ("start --num-cpus 2 --detach", ("start", [], {"--cpus": "2", "--detach": "yes"})),
        ("attach h:1 --redis-password='a b'", ("attach", ["h:1"], {"--secret": "a b"})),
        ("debug 2 -o x,y", ("debug", ["2"], {"-o": "x,y"})),
        ("stop -h", ("help", ["stop"], {})),
    ],
)
def test_what_a_line_asks_for(line: str, found: tuple[str, list[str], dict[str, str]]) -> None:
    assert read(line) == found


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("strat", "did you mean %nbray start?"),
        ("start 'x", "a quotation mark is not closed"),
        ("start --cpu 2", "unknown option --cpu; did you mean --cpus?"),
        ("start --cpus", "--cpus needs a value"),
        ("stop now", "unexpected 'now'; usage: %nbray stop"),
    ],
)
def test_a_line_without_sense_is_one_sentence(line: str, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        read(line)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("%nbray ", list(COMMANDS)),
        ("%nbray st", ["start", "status", "stop"]),
        ("%nbray j", ["join", "jobs"]),
        ("%nbray start --", ["--cpus", "--num-cpus", "--infeasible", "--engine", "--detach"]),
        ("%nbray start --d", ["--detach"]),
        ("%nbray stop ", ["--cluster"]),
        ("%nbray jobs ", ["stop", "forget"]),
        ("%nbray help de", ["debug"]),
        ("%nbray status ", []),
        ("%nbray strat ", []),
    ],
)
def test_what_the_tab_key_offers(line: str, offered: list[str]) -> None:
    assert complete(line) == offered
