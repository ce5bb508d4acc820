"""All that nbray shows in a notebook, light and dark, as axe-core judges it (WCAG 2.1 AA)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from browser.accessible import violations
from details import NOW, many
from harness import ARTIFACTS
from playwright.sync_api import Page
from scenes import DONE, RUNNING, SOME_FAILED, cluster

from nbray.details import JobRecord, JobState
from nbray.postmortem import Frame, Local
from nbray.view.failure import failure_html, traceback_html
from nbray.view.jobs import jobs_html
from nbray.view.output import context_html
from nbray.view.panel import panel_html
from nbray.view.panel_details import KINDS, details_html
from nbray.view.printed import Printed, Worker, log_html, printed_html
from nbray.view.progress import progress_html
from nbray.view.screen import Line

pytestmark = pytest.mark.browser
THEMES = Path(sys.prefix) / "share/jupyter/lab/themes/@jupyterlab"
FRAMES = [
    Frame("Cell In[3]", 9, "<module>", ((8, "x = 0"), (9, "f(x)")), (Local("x", "int", "0"),)),
    Frame("/lib/python3.11/json.py", 4, "loads", library=True),
    Frame("Cell In[2]", 2, "f", ((2, "1 / x"),), (Local("x", "int", "0"),
          Local("big", "ndarray", "ndarray 9 of int", b"", "it is too large")), left_out=3),
]  # fmt: skip
COLOURS = "".join(f"\x1b[{code}mink {code}\x1b[0m " for code in (*range(30, 38), *range(90, 98)))
TRUE = "\x1b[38;5;226myellow\x1b[0m \x1b[38;2;20;20;60mnavy\x1b[0m \x1b[38;5;244mgrey\x1b[0m"


def printed(*texts: str) -> Printed:
    lines = tuple(Line(n, text, n == 1) for n, text in enumerate(texts))
    workers = [Worker("laptop", 7, len(lines), lines), Worker("lab-gpu", 9, 900, lines)]
    return Printed(tuple(workers), tuple((worker, line) for worker in workers for line in lines),
                   "In[3]")  # fmt: skip


def shown() -> dict[str, str]:
    """What there is to look at, by its name."""
    nodes, details = cluster(), many(60, 3)
    view = (SOME_FAILED, 106.0)
    job = JobRecord("nightly", JobState.FAILED, "train(model)", NOW - 60, 30.0, "laptop", *view)
    return {
        "panel": panel_html(nodes),
        "stopped": panel_html(nodes, stopped=True),
        "bars": progress_html(RUNNING, 105, 30),
        "failed bars": progress_html(SOME_FAILED, 105, 30),
        "done bars": progress_html(DONE, 105, 30),
        "card": context_html(nodes, (("dashboard", "off"),)),
        "output": printed_html(printed("a line", "a warning", COLOURS, TRUE)),
        "log": log_html([("laptop 7", Line(0, COLOURS, False)), ("", Line(1, "x", True))], "9"),
        "failure": failure_html("ValueError: v", "in f on lab", FRAMES, 2, "Traceback\n  x", "a"),
        "library frame": failure_html("ValueError: v", "in f", FRAMES, 1, "", ""),
        "traceback": traceback_html("Traceback\n  ...", 9, 3),
        "named jobs": jobs_html([job], NOW),
        **{kind: details_html(kind, nodes, details) for kind in KINDS},
    }


def place(page: Page, theme: str, where: str) -> None:
    """All of it on one page: as in JupyterLab with its theme, or as a web page of its own."""
    body = "".join(
        f'<section aria-label="{name}"><p>{name}</p>{html}</section>'
        for name, html in shown().items()
    )
    style, mark = "", ""
    if where == "lab":
        style = (THEMES / f"theme-{theme}-extension" / "index.css").read_text("utf-8")
        mark = f'data-jp-theme-light="{"true" if theme == "light" else "false"}"'
    page_ground = "#111418" if theme == "dark" else "#fff"
    ground = "var(--jp-layout-color0)" if where == "lab" else page_ground
    ink = "#fff" if theme == "dark" else "#000"
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.set_content(
        f"<!doctype html><html lang='en'><head><title>nbray</title><style>{style}</style></head>"
        f"<body {mark} style='background:{ground};color:{ink}'><main>{body}</main></body></html>"
    )
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")


@pytest.mark.parametrize("where", ["lab", "page"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_notebooks_show_can_be_read(page: Page, theme: str, where: str) -> None:
    place(page, theme, where)
    path = ARTIFACTS / "screens" / f"shown-{where}-{theme}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path, full_page=True)
    assert violations(page, ".nbray") == []
