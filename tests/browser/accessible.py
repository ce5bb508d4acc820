"""What axe-core finds on a page: contrast, names, roles, as WCAG 2.1 AA asks.

Owns the asking and the wording of what is found. What is fine on one theme may
not be on the other: callers look at both.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from playwright.sync_api import Page

LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
_RUN = """async ([parts, levels]) => (await axe.run(
    parts.length ? {include: parts.map(part => [part])} : document,
    {runOnly: {type: 'tag', values: levels}, resultTypes: ['violations']})).violations"""


def violations(page: Page, *parts: str) -> list[str]:
    """One line for each element within *parts* (selectors; none: the page) that breaks a rule."""
    if not page.evaluate("() => 'axe' in window"):
        script = resources.files("axe_playwright_python").joinpath("axe.min.js")
        page.evaluate(script.read_text("utf-8"))
    present = [part for part in parts if page.locator(part).count()]
    assert present or not parts, f"none of {parts} is on the page"
    found: list[dict[str, Any]] = page.evaluate(_RUN, [present, LEVELS])
    return [_line(rule["id"], node) for rule in found for node in rule["nodes"]]


def _line(rule: str, node: dict[str, Any]) -> str:
    checks = [*node["any"], *node["all"], *node["none"]]
    data = next((check["data"] for check in checks if check.get("data")), {})
    if isinstance(data, dict) and "contrastRatio" in data:
        said = f"{data['contrastRatio']}:1, {data['fgColor']} on {data['bgColor']}"
    else:
        said = "; ".join(check["message"] for check in checks[:2])
    return f"{rule}: {node['html'][:140]} ({said})"
