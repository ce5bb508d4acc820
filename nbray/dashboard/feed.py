"""What each open page gets, and when: changed HTML of the section it shows.

Owns the pages' queries and the pace: at most four looks a second, nothing for
a hidden page, nothing while a page has not drawn what it got, nothing that has
not changed. Does not own sockets (`server`) or looks (`nbray.view`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from nbray.dashboard.source import Source
from nbray.view.sections import SECTIONS, head_html, section_html
from nbray.view.tables import Query

TICK = 0.25
"""Seconds between two looks."""
SLOW = 4
"""Looks between two drawings of sections with many rows."""
EAGER = 4
"""Looks after a new question in which whatever has arrived is drawn."""
ENDED = "ended"
"""The state after which nothing more comes, and a page hangs up."""
MOST_TEXT = 200
"""Characters of any part of a query."""


class Ask(msgspec.Struct, frozen=True):
    """What a page sends: what it shows, and that it has drawn what it got."""

    section: str = "overview"
    query: dict[str, str] = {}
    hidden: bool = False
    drawn: int = -1
    """Number of the last piece that it has drawn; -1: a new question."""


class Page:
    """One open page."""

    def __init__(self, send: Callable[[str], Any]) -> None:
        self._send = send
        self.section = "overview"
        self.query = Query()
        self.words: dict[str, str] = {}
        """The query as the page put it."""
        self.hidden = False
        self.eager = EAGER
        """Looks in which it is answered at once: its question is new."""
        self._sent = 0
        self._drawn = 0
        self._head = ""
        self._html = ""
        self._state = ""

    def heard(self, text: str | bytes) -> bool:
        """Take a message from the page; whether it asks something new."""
        try:
            ask = msgspec.json.decode(text, type=Ask)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        if ask.drawn >= 0:
            self._drawn = max(self._drawn, min(ask.drawn, self._sent))
            return False
        self.hidden = ask.hidden
        self.section = ask.section if ask.section in SECTIONS else "overview"
        self.query = query_of(ask.query)
        self.words = ask.query
        self.eager = EAGER
        self._html = ""
        return True

    @property
    def waits(self) -> bool:
        """Whether it has drawn all it got, and is looked at."""
        return not self.hidden and self._drawn >= self._sent

    def show(self, head: str, html: str, state: str, why: str = "") -> None:
        """Send what has changed; *why* is said with the last word."""
        piece: dict[str, Any] = {}
        if head != self._head:
            piece["head"] = self._head = head
        if html != self._html:
            self._html = html
            piece["html"] = html
            piece["section"] = self.section
            piece["query"] = self.words
        self.eager = max(0, self.eager - 1)
        if piece or state != self._state:
            self._state = state
            self._sent += 1
            piece["number"] = self._sent
            piece["state"] = state
            if why:
                piece["why"] = why
            self._send(msgspec.json.encode(piece).decode())


def query_of(given: dict[str, str]) -> Query:
    """The query in a page's words, with whatever makes no sense left out."""
    values: dict[str, Any] = {
        name: str(value)[:MOST_TEXT]
        for name, value in given.items()
        if name in Query.__struct_fields__
    }
    page = values.pop("page", "1")
    number = int(page) if page.isascii() and page.isdigit() and len(page) < 7 else 1
    return Query(**values, page=max(1, number))


class Feed:
    """All open pages of one dashboard."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.pages: set[Page] = set()
        self.visits = 0
        """Requests that have been answered."""
        self._looks = 0
        self._ended = False
        self._why = ""

    def tick(self) -> None:
        """One look; called every `TICK` seconds while a page is open."""
        if self._ended:
            self._show(list(self.pages), ENDED)  # whoever has come since
            return
        looking = [page for page in self.pages if not page.hidden]
        if not looking:
            self.source.rest()
            return
        self._looks += 1
        slow = self._looks % SLOW == 0
        ready = [page for page in looking if page.waits and (page.eager or slow or _quick(page))]
        if not ready:
            return
        wanted = 0
        for page in looking:
            wanted |= SECTIONS[page.section].wanted
        self.source.look(wanted if slow or any(page.eager for page in ready) else 0)
        self._show(ready)

    def _show(self, pages: list[Page], state: str = "") -> None:
        source = self.source
        state = state or ("live" if source.attached else source.why)
        head = head_html(source.snapshot, ended=not source.attached)
        drawn: dict[tuple[str, Query], str] = {}
        for page in pages:
            key = (page.section, page.query)
            html = drawn.get(key)
            if html is None:
                html = drawn[key] = section_html(
                    page.section, source.snapshot, source.details, page.query
                )
            page.show(head, html, state, self._why if state == ENDED else "")

    def end(self, why: str = "") -> None:
        """The last word to every page, seen or not: the cluster has ended, or *why*."""
        self._ended = True
        self._why = why
        self.source.detach()
        self._show(list(self.pages), ENDED)


def _quick(page: Page) -> bool:
    return page.section == "overview"
