"""Memory by what holds it."""

from __future__ import annotations

import msgspec
from scenes import HOSTILE

from nbray.details import ObjectRecord
from nbray.view.holdings import (
    SHOWN,
    Held,
    holdings_html,
    holdings_text,
    one_line,
    reference_html,
    rows,
)  # fmt: skip

MB = 1 << 20


def held(seq: int, size: int, *holders: str, history: bool = False, state: int = 2,
         made: str = "") -> Held:  # fmt: skip
    where = ("lab",) if state == 2 else ()
    return Held(ObjectRecord(1, seq, state, size, [1], 1, 0), holders, history, where, made)


def test_objects_of_one_holder_are_one_row_and_the_largest_comes_first() -> None:
    found = [held(1, MB, "refs"), held(2, 2 * MB, "refs"), held(3, 10 * MB, "big", "task fit")]
    assert [(row.holders, row.objects, row.size) for row in rows(found)] == [
        ("big, task fit", "1", "10 MB"), ("refs", "2", "3 MB"),
    ]


def test_entries_of_history_are_one_row_with_advice() -> None:
    found = [held(n, 10 * MB, f"Out[{n}]", history=True, made="f in In[3]") for n in range(100)]
    (row,) = rows(found)
    assert row.holders == "Out[0], Out[1] and 98 more"
    assert (row.objects, row.only_history, row.made) == ("100", True, "f in In[3]")
    text = holdings_text(found, "store 1 of 4 GB")
    assert text.splitlines()[0] == "100 objects, 1.0 GB · store 1 of 4 GB"
    assert "is held by history only: %nbray free lets go of it." in text
    assert "%nbray free" in holdings_html(found)


def test_what_was_freed_stands_under_the_table() -> None:
    said = "10 MB freed: 1 object that only history held."
    found = [held(1, MB, "refs")]
    assert holdings_text(found, "", said).splitlines()[-1] == said
    assert f"<b>{said}</b>" in holdings_html(found, "", said)


def test_a_displayed_reference_says_its_state() -> None:
    made = held(1, 10 * MB, made="f in In[3]")
    assert one_line(made) == "stored, 10 MB, on lab, made by f in In[3]"
    assert one_line(held(1, 0, state=0)) == "pending"
    assert one_line(held(1, 50, state=1)) == "ready, 50 bytes"
    assert "nbray-dot-bad" in reference_html(held(1, 0, state=3))


def test_where_the_maker_is_not_known_nothing_wrong_is_said() -> None:
    made = [row.made for state in range(4) for row in rows([held(1, 50, "ref", state=state)])]
    assert made == ["a task", "", "put", ""]


def test_many_rows_are_counted() -> None:
    found = [held(n, n, f"v{n}") for n in range(SHOWN + 5)]
    assert "5 more rows" in holdings_html(found)
    assert "... 5 more rows" in holdings_text(found)


def test_nothing_and_hostile_names() -> None:
    assert holdings_text([]) == "0 objects, 0 bytes"
    assert "<table" not in holdings_html([])
    assert "<script" not in holdings_html([held(1, 1, HOSTILE, made=HOSTILE)])
    assert "<script" not in reference_html(held(1, 1, made=HOSTILE))
    assert rows([held(1, 1)])[0].holders == "no variable"


def test_what_is_on_disk_or_in_use_is_a_row_of_its_own() -> None:
    disk = msgspec.structs.replace(held(1, MB, "refs").object, disk=[1])
    found = [
        held(1, 3 * MB, "refs"),
        msgspec.structs.replace(held(2, 2 * MB, "refs"), in_use=True),
        msgspec.structs.replace(held(3, MB, "refs"), object=disk, made="put in In[2], line 1"),
    ]
    assert [row.state for row in rows(found)] == ["stored", "stored, in use", "on disk"]
    assert one_line(found[2]) == "on disk, 1 MB, on lab, put in In[2], line 1"
