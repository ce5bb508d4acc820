"""The dashboard in a browser: directly, behind a hub's proxy, light and dark, and large."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from browser.accessible import violations
from browser.hubproxy import PREFIX
from harness import ARTIFACTS
from playwright.sync_api import Browser, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

HERE = Path(__file__).parent
SECTIONS = ("overview", "nodes", "tasks", "actors", "objects", "logs", "timeline")
SHOWS = {
    "overview": "sizes = segment(photos)",
    "nodes": "Workers",
    "tasks": "segment",
    "actors": "Counter",
    "objects": "stored",
    "logs": "china.jpg",
    "timeline": "Counter.count",
}
PROGRAM = textwrap.dedent(
    """
    import sys, threading, time, nbray
    from nbray import session
    nbray.init(num_cpus=2)

    @nbray.remote
    def segment(number):
        time.sleep(0.03 + number % 7 * 0.01)
        if number % 10 == 0:
            print(f"china.jpg: tile {number} of 427 by 640")
        if number % 61 == 60:
            raise ValueError(f"tile {number} is empty")
        return bytes(150_000) if number % 5 == 0 else number

    @nbray.remote
    def measure(part):
        time.sleep(0.05)
        return len(part) if isinstance(part, bytes) else part

    @nbray.remote
    class Counter:
        def count(self, number):
            time.sleep(0.1)
            return number

    def cell(name, label):
        session.cell.set(name)
        session.cell_labels[name] = label

    cell("a", "[3] sizes = segment(photos)")
    counter = Counter.options(name="tiles").remote()
    held = [segment.remote(number) for number in range(400)]
    cell("b", "[4] measured = [measure.remote(size) for size in sizes]")
    held += [measure.remote(one) for one in held[::4]]
    held += [counter.count.remote(number) for number in range(50)]
    print(nbray.dashboard(), flush=True)
    for line in sys.stdin:
        exec(line)
    """
)


IN_IPYTHON = textwrap.dedent(
    """
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    shell.run_cell("%load_ext nbray").raise_error()
    shell.run_cell("%nbray start --cpus 2").raise_error()
    """
)


class Running:
    """A program that prints a link, or a number on a line."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.first = ""
        for line in self.process.stdout:
            found = re.search(r"http\S+|^\d+$", line)
            if found:
                self.first = found[0]
                break
        assert self.first

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture(scope="module")
def link(_nothing_left: None) -> Iterator[str]:
    """A cluster at work, and the link to its dashboard."""
    program = Running("-c", PROGRAM)
    yield program.first
    program.close()


@pytest.fixture(scope="module")
def proxied(link: str) -> Iterator[str]:
    """The same link through a hub's proxy."""
    proxy = Running(str(HERE / "hubproxy.py"))
    parts = urlsplit(link)
    yield f"http://localhost:{proxy.first}{PREFIX}/{parts.port}/?{parts.query}"
    proxy.close()


@pytest.fixture
def clean(page: Page) -> Iterator[Page]:
    """A page that must load nothing from elsewhere and log no error."""
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield page
    assert not wrong


def enter(page: Page, link: str) -> None:
    page.goto(link)
    expect(page.locator("#state")).to_have_text("live")
    expect(page).not_to_have_url(re.compile("key="))


def visit(page: Page, section: str) -> None:
    page.get_by_role("navigation", name="Sections").locator(f"a[href='#{section}']").click()
    expect(page.locator("#section")).to_contain_text(SHOWS[section])


def tour(page: Page) -> None:
    """Every section by its link, then by the back button, then by the address."""
    for section in SECTIONS:
        visit(page, section)
        expect(page).to_have_title(re.compile(f"^nbray: {section}$", re.IGNORECASE))
    page.go_back()
    expect(page.locator("#title")).to_have_text("Logs")
    page.reload()  # the key is gone from the address: the cookie opens
    expect(page.locator("#section")).to_contain_text(SHOWS["logs"])


def test_directly(clean: Page, link: str) -> None:
    seen: list[str] = []
    clean.on("request", lambda request: seen.append(request.url))
    enter(clean, link)
    tour(clean)
    base = link.partition("?")[0]
    assert all(url.startswith((base, "data:")) for url in seen), seen


def test_behind_a_hubs_proxy(clean: Page, proxied: str) -> None:
    seen: list[str] = []
    clean.on("request", lambda request: seen.append(request.url))
    clean.on("websocket", lambda socket: seen.append(socket.url.replace("ws://", "http://")))
    enter(clean, proxied)
    tour(clean)
    base = proxied.partition("?")[0]
    assert all(url.startswith((base, "data:")) for url in seen), seen
    assert any(url.endswith("/ws") for url in seen)
    (cookie,) = clean.context.cookies()
    assert cookie["path"] == urlsplit(base).path.rstrip("/")
    assert cookie["httpOnly"]


def test_another_port_of_the_same_host_gets_nothing(page: Page, link: str) -> None:
    """Browsers send cookies to every port of a host: somebody else's server there has them."""
    taken: list[str] = []

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            taken.append(self.headers.get("Cookie", ""))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    other = HTTPServer(("127.0.0.1", 0), Other)
    thread = threading.Thread(target=other.serve_forever)
    thread.start()
    try:
        enter(page, link)
        page.goto(f"http://127.0.0.1:{other.server_port}/")
        kept = page.evaluate("Object.values(localStorage)")
    finally:
        other.shutdown()
        other.server_close()
        thread.join()
    assert "nbray-" in taken[0]
    assert kept == []
    base = link.partition("?")[0]
    for path, status in (("", 200), ("trace.json", 401)):
        answer = page.request.get(base + path, headers={"Cookie": taken[0]})
        assert answer.status == status
        assert "nbray-pass" not in answer.text()
    page.goto(base)  # the page itself comes again without its key
    expect(page.locator("#state")).to_have_text("live")
    page.evaluate("localStorage.clear()")
    page.reload()
    expect(page.locator("#state")).to_contain_text("no entry without the link")


def test_it_moves_by_itself(clean: Page, link: str) -> None:
    enter(clean, link)
    bars = clean.locator(".nbray-cells [role=progressbar]")
    expect(bars.first).to_be_visible()
    before = bars.first.get_attribute("aria-valuenow")
    if before != bars.first.get_attribute("aria-valuemax"):
        expect(bars.first).not_to_have_attribute("aria-valuenow", str(before))
    clean.get_by_role("button", name="Pause").click()
    expect(clean.locator("#state")).to_have_text("paused")
    clean.get_by_role("button", name="Go on").click()
    expect(clean.locator("#state")).to_have_text("live")


def test_tasks_are_searched_and_filtered(clean: Page, link: str) -> None:
    enter(clean, link)
    visit(clean, "tasks")
    clean.keyboard.press("/")
    clean.keyboard.type("measure", delay=10)
    rows = clean.locator("#section tbody tr")
    expect(clean.locator("#section")).to_contain_text("of 150")
    expect(rows.first).to_contain_text("measure")
    expect(clean).to_have_url(re.compile("text=measure"))
    expect(clean.get_by_role("searchbox")).to_be_focused()
    expect(clean.locator("#section a").filter(has_text="“measure”")).to_be_visible()
    # Both before the page can be drawn again: the second link was made while the filter stood.
    clean.locator("#section").evaluate(
        """section => {
            const link = (text) => [...section.querySelectorAll("a")]
                .find((one) => one.textContent.trim().startsWith(text));
            link("“measure”").click();
            link("failed").click();
        }"""
    )
    expect(clean).to_have_url(re.compile("#tasks\\?state=failed$"))
    expect(clean.get_by_role("searchbox")).to_have_value("")
    expect(clean.locator("#section")).to_contain_text("ValueError: tile")
    expect(rows.first).to_contain_text("failed")
    clean.get_by_role("link", name="by function").click()
    expect(clean.get_by_role("table", name="Tasks by function")).to_be_visible()


def test_it_can_be_used_without_a_mouse_and_by_a_screen_reader(clean: Page, link: str) -> None:
    enter(clean, link)
    clean.keyboard.press("Tab")
    expect(clean.get_by_role("link", name="Skip to the content")).to_be_focused()
    clean.keyboard.press("Enter")
    expect(clean.locator("#content")).to_be_focused()
    expect(clean.get_by_role("heading", level=1)).to_have_text("Overview")
    here = clean.get_by_role("navigation", name="Sections").locator("[aria-current=page]")
    expect(here).to_have_text("Overview")
    visit(clean, "tasks")
    expect(clean.get_by_role("table", name=re.compile("^Tasks"))).to_be_visible()
    expect(clean.get_by_role("columnheader", name="function")).to_be_visible()
    expect(clean.get_by_role("status")).to_have_text("live")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_screens(browser: Browser, link: str, scheme: str) -> None:
    """Each section, as the system's scheme wants it; the button shows the other."""
    context = browser.new_context(
        viewport={"width": 1180, "height": 780}, color_scheme=scheme, device_scale_factor=1.5
    )  # type: ignore[arg-type]
    page = context.new_page()
    enter(page, link)
    folder = ARTIFACTS / "screens"
    folder.mkdir(parents=True, exist_ok=True)
    for section in SECTIONS:
        visit(page, section)
        page.wait_for_timeout(500)
        page.screenshot(path=folder / f"dashboard-{section}-{scheme}.png")
        assert violations(page) == [], section
    ink = "getComputedStyle(document.getElementById('app')).backgroundColor"
    before = page.evaluate(ink)
    page.get_by_role("button", name="Dark" if scheme == "light" else "Light").click()
    page.wait_for_function(f"before => {ink} !== before", arg=before)
    page.reload()
    expect(page.locator("#state")).to_have_text("live")
    assert page.evaluate(ink) != before, "the choice is kept"
    context.close()


def test_on_a_narrow_screen_nothing_is_wider_than_it(browser: Browser, link: str) -> None:
    page = browser.new_page(viewport={"width": 400, "height": 800})
    enter(page, link)
    for section in SECTIONS:
        visit(page, section)
        assert page.evaluate("document.documentElement.scrollWidth") <= 400, section
    page.screenshot(path=ARTIFACTS / "screens" / "dashboard-narrow.png")
    page.close()


def test_without_the_key_there_is_a_word_of_advice(page: Page, link: str) -> None:
    answer = page.goto(link.partition("?")[0])
    assert answer is not None
    assert answer.status == 401
    expect(page.locator("body")).to_contain_text("%nbray dashboard")


def test_10_000_tasks_on_200_nodes(clean: Page) -> None:
    big = Running(str(HERE / "simulated.py"))
    try:
        enter(clean, big.first)
        for section in ("nodes", "tasks", "timeline"):
            visit_big(clean, section)
            drawn = clean.evaluate(
                """() => new Promise(done => {
                    const seen = new MutationObserver(() => done(true));
                    seen.observe(document.getElementById('section'),
                        {subtree: true, childList: true, characterData: true, attributes: true});
                    setTimeout(() => done(false), 60_000);
                })"""
            )
            assert drawn, f"{section} does not move"
            assert clean.locator("#section *").count() < 12_000
            clean.screenshot(path=ARTIFACTS / "screens" / f"dashboard-large-{section}.png")
        visit_big(clean, "tasks")
        expect(clean.locator("#section tbody tr")).to_have_count(100)
        clean.get_by_role("link", name="100", exact=True).click()
        expect(clean.locator("#section")).to_contain_text("9,901 to 10,000")
    finally:
        big.close()


def visit_big(page: Page, section: str) -> None:
    page.evaluate("name => { location.hash = name; }", section)
    text = {"nodes": "host200", "tasks": "10,000", "timeline": "failed"}[section]
    expect(page.locator("#section")).to_contain_text(text)


def test_the_link_that_start_shows_and_the_clusters_end(browser: Browser) -> None:
    """In IPython: nothing serves the link until the page is opened."""
    program = Running("-c", PROGRAM.replace("nbray.init(num_cpus=2)", IN_IPYTHON))
    page = browser.new_page()
    try:
        enter(page, program.first)
        visit(page, "overview")
        program.close()
        expect(page.locator("#state")).to_have_text("the cluster has ended")
        expect(page.locator("#section")).to_contain_text("segment")
    finally:
        page.close()
