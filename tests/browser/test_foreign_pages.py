"""What a notebook shows keeps its look in pages whose own styles would take it away."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from nbray.view.failure import traceback_html

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# As nbclassic (Bootstrap 3 with normalize.css), a Sphinx theme, and a plain page have them.
STYLES = {
    "nbclassic": "article, aside, details, main, summary { display: block; }",
    "sphinx": ".rendered_html summary { display: block; }",
    "plain": "",
}


@pytest.mark.parametrize("name", sorted(STYLES))
def test_what_can_be_unfolded_shows_that_it_can(page: Page, name: str) -> None:
    html = traceback_html("Traceback\nValueError", 3, 2)
    page.set_content(f"<style>{STYLES[name]}</style><div class='rendered_html'>{html}</div>")
    look = "all => all.map(one => getComputedStyle(one).display)"
    assert set(page.locator("summary").evaluate_all(look)) == {"list-item"}
