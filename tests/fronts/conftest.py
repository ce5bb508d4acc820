"""Fixtures of the other front ends: Chromium, and nothing left behind."""

from __future__ import annotations

from browser.conftest import browser, page

__all__ = ["browser", "page"]
