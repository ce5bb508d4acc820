"""Colours of terminals as HTML."""

from __future__ import annotations

from nbray.view.ansi import stripped, to_html


def test_plain_text_is_escaped() -> None:
    assert to_html("a < b & c") == "a &lt; b &amp; c"


def test_the_sixteen_colours_are_classes() -> None:
    assert to_html("\x1b[1;31mred\x1b[0m x") == '<span class="nbray-bold nbray-c1">red</span> x'
    assert to_html("\x1b[92mok\x1b[39m.") == '<span class="nbray-c10">ok</span>.'


def test_more_colours_are_styles() -> None:
    assert to_html("\x1b[38;5;196mx").startswith('<span style="color:rgb(255,0,0);')
    assert to_html("\x1b[38;2;1;2;3mx").startswith('<span style="color:rgb(1,2,3);')
    assert "clamp(var(--nbray-floor),l,var(--nbray-ceiling))" in to_html("\x1b[38;2;1;2;3mx")
    assert to_html("\x1b[38;5;3mx\x1b[48;5;4m") == '<span class="nbray-c3">x</span>'


def test_nothing_hostile_gets_through() -> None:
    html = to_html("\x1b[31m<script>\x1b[38;2;9;9;9999m\"'\x1b[2J\x1b[38m")
    assert "<script" not in html
    assert "\x1b" not in html
    assert html.count("<span") == html.count("</span>")


def test_stripped() -> None:
    assert stripped("\x1b[1;31mred\x1b[0m \x1b]0;t\x07x") == "red x"
