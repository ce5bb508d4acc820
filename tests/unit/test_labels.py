"""Labels: their grammar, and whether they are as work wants them."""

from __future__ import annotations

import pytest

from nbray.labels import check, parse, parse_file, said, satisfied, selector

HAS = {"zone": "a", "ray.io/x": "1"}


@pytest.mark.parametrize(
    ("text", "held"),
    [("a", True), ("b", False), ("!a", False), ("!b", True), ("in(a, b)", True),
     ("in(b,c)", False), ("!in(b)", True), ("!in(a)", False)],
)  # fmt: skip
def test_selectors(text: str, held: bool) -> None:
    assert satisfied(HAS, selector("it", {"zone": text})) is held
    assert satisfied({}, selector("it", {"zone": text})) is text.startswith("!")


def test_whether_a_label_is_there() -> None:
    assert satisfied(HAS, [("zone", "exists", ())])
    assert not satisfied(HAS, [("zone", "lacks", ())])
    assert satisfied(HAS, [("disk", "lacks", ())])


@pytest.mark.parametrize("bad", [{"-a": "x"}, {"a": "-x"}, {"a": "in()"}, {"a/b/": "x"}])
def test_what_is_no_selector(bad: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"[lL]abel|strings"):
        selector("label_selector", bad)


def test_labels_on_the_command_line_and_in_files() -> None:
    assert parse('"a=1,b.c/d=x-y"') == {"a": "1", "b.c/d": "x-y"}
    assert parse("") == {}
    assert parse_file("# ours\na: 1 # one\n'b': \"x\"\n") == {"a": "1", "b": "x"}
    assert parse_file('{"a": "1"}') == {"a": "1"}
    for bad in ("a", "a=b=c", "a=-"):
        with pytest.raises(ValueError, match=r"KEY=VALUE|Invalid"):
            parse(bad)
    with pytest.raises(ValueError, match="lines"):
        parse_file("just words")
    with pytest.raises(TypeError, match="dictionary"):
        check(["a"])


def test_as_people_read_them() -> None:
    asked = [("a", "in", ("1",)), ("b", "not in", ("1", "2")), ("c", "exists", ())]
    assert said(asked) == "a=1, b not in (1, 2), label c"
