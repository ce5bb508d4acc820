"""Printed lines folded by node, none lost; the card of `init`."""

from __future__ import annotations

from scenes import HOSTILE, cluster, printed

from nbray.events import Snapshot
from nbray.view.output import blocks, context_html, context_text, output_html, output_text


def test_lines_are_folded_by_node_and_counted() -> None:
    html = output_html([printed("a\nb\n"), printed("c\n", "lab-gpu"), printed("d\n")])
    assert "<b>Output</b> · 2 nodes, 4 lines" in html
    assert "<b>laptop</b> · 3 lines" in html
    assert "<b>lab-gpu</b> · 1 line<" in html
    assert html.count("<details") == 3
    assert html.count("<details open") == 1


def test_pieces_of_a_line_are_joined() -> None:
    found = blocks(
        [printed("a"), printed("x\n", pid=8), printed("b"), printed("c\nd"), printed("e")]
    )
    assert [line.text for line in found[0].lines] == ["abc", "x", "de"]


def test_carriage_returns_show_the_last_state() -> None:
    found = blocks([printed("10 %\r50 %"), printed("\r100 %\n"), printed("next\r\n")])
    assert [line.text for line in found[0].lines] == ["100 %", "next"]


def test_blank_lines_count() -> None:
    assert [line.text for line in blocks([printed("\n\na\n")])[0].lines] == ["", "", "a"]


def test_colours_of_terminals_are_dropped_and_html_escaped() -> None:
    html = output_html([printed(f"\x1b[1;31mred\x1b[0m {HOSTILE}\n")])
    assert "\x1b" not in html
    assert "<script" not in html


def test_errors_are_red() -> None:
    assert '<span class="nbray-red">oh</span>' in output_html([printed("oh\n", stream="stderr")])


def test_nothing_printed_is_nothing_shown() -> None:
    assert output_html([]) == ""
    assert output_text([]) == ""


def test_text() -> None:
    assert output_text([printed("a\n"), printed("b\n", "lab-gpu")]) == "laptop   a\nlab-gpu  b"


def test_context() -> None:
    details = [("Python", "3.11"), ("host", HOSTILE)]
    html = context_html(cluster(), details)
    assert "nbray: 3 nodes" in html
    assert "<script" not in html
    text = context_text(cluster(), [("Python", "3.11")])
    assert text.startswith("nbray: 3 nodes · 18 of 24 CPUs busy")
    assert "  Python: 3.11" in text
    assert "No cluster is running" in context_text(Snapshot())
