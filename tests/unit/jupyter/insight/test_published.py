"""`%nbray published`."""

from __future__ import annotations


def test_what_is_published_is_shown_and_freed(say):
    assert say("%nbray published").startswith("nbray is not running")
    say("%nbray start\nnbray.publish('numbers', list(range(1000)))")
    shown = say("%nbray published")
    assert "numbers" in shown
    assert "list" in shown
    assert "usage: %nbray published" in say("%nbray published numbers")
    assert say("%nbray published free numbers") == "numbers is freed."
    assert "nothing is published as 'numbers'" in say("%nbray published free numbers")
    assert "nothing is published" in say("%nbray published")
