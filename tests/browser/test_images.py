"""The README's picture of bars and receipt, from the renderer that notebooks use."""

from __future__ import annotations

import msgspec
import pytest
from harness import ARTIFACTS
from playwright.sync_api import Browser, expect
from scenes import DONE, RUNNING

from nbray.events import NodeCounts
from nbray.view import progress_html
from nbray.view.receipt import receipt, receipt_html

pytestmark = pytest.mark.browser
WHY = (
    "12 waiting: need 1 GPU; lab-gpu has 0 of 2 GPUs free",
    "1.2 GB moving: from laptop to lab-gpu",
)
PAPER = {"light": "#fff", "dark": "#111418"}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_bars_and_receipt(browser: Browser, theme: str) -> None:
    nodes = (NodeCounts(1, "laptop", 411, work=16.0), NodeCounts(2, "lab-gpu", 589, work=24.0))
    ended = msgspec.structs.replace(
        DONE, nodes=nodes, measured=1_000, cpu=39.0, longest=0.09, longest_node="lab-gpu",
        longest_end=103.0, workers=8,
    )  # fmt: skip
    made = receipt(ended)
    assert made is not None
    moving = progress_html(msgspec.structs.replace(RUNNING, waiting=WHY), 105.0, 93.0)
    parts = (moving, "<hr>", progress_html(ended, 106.0, 185.0), receipt_html(made))
    page = browser.new_page(color_scheme=theme, device_scale_factor=2)  # type: ignore[arg-type]
    page.set_content(
        "<style>hr { border: 0; margin: 10px; }</style>"
        f"<body style='margin:0;background:{PAPER[theme]}'>"
        f"<div id='all' style='padding:16px 20px;width:760px'>{''.join(parts)}</div></body>"
    )
    for reason in ("12 waiting:", "1.2 GB moving:"):
        expect(page.locator(".nbray-why", has_text=reason)).to_be_visible()
    expect(page.locator(".nbray-final")).to_contain_text("1,000 of 1,000")
    page.locator(".nbray-receipt summary").click()
    path = ARTIFACTS / "screens" / f"bars-{theme}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    page.locator("#all").screenshot(path=path)
    page.close()
