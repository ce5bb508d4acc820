"""Colours of terminals, as HTML and taken away.

Owns the reading of SGR escapes: bold, the sixteen colours, 256 and true ones.
Rule: everything else of the text is escaped; every span that opens closes.
"""

from __future__ import annotations

import re
from html import escape

_SGR = re.compile(r"\x1b\[([0-9;:]*)m")
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_]?)")
_STEPS = (0, 95, 135, 175, 215, 255)


def stripped(text: str) -> str:
    """*text* without any escapes."""
    return _ESCAPES.sub("", text) if "\x1b" in text else text


def to_html(text: str) -> str:
    """*text* as escaped HTML, its colours as spans of classes `nbray-c0` to `nbray-c15`."""
    if "\x1b" not in text:
        return escape(text, quote=False)
    parts: list[str] = []
    style: dict[str, str] = {}
    end = 0
    for match in _SGR.finditer(text):
        parts.append(_span(text[end : match.start()], style))
        _apply(match[1].replace(":", ";"), style)
        end = match.end()
    parts.append(_span(text[end:], style))
    return "".join(parts)


def _span(text: str, style: dict[str, str]) -> str:
    text = escape(stripped(text), quote=False)
    if not text or not style:
        return text
    names = [value for value in style.values() if value.startswith("nbray-")]
    inline = [value for value in style.values() if not value.startswith("nbray-")]
    attributes = f' class="{" ".join(names)}"' if names else ""
    attributes += f' style="{";".join(inline)}"' if inline else ""
    return f"<span{attributes}>{text}</span>"


def _apply(codes: str, style: dict[str, str]) -> None:
    numbers = [int(code) if code else 0 for code in codes.split(";")] if codes else [0]
    while numbers:
        code = numbers.pop(0)
        if code == 0:
            style.clear()
        elif code == 1:
            style["bold"] = "nbray-bold"
        elif code == 22:
            style.pop("bold", None)
        elif 30 <= code <= 37:
            style["ink"] = f"nbray-c{code - 30}"
        elif 90 <= code <= 97:
            style["ink"] = f"nbray-c{code - 82}"
        elif code == 38:
            colour = _colour(numbers)
            if colour:
                style["ink"] = colour
        elif code == 39:
            style.pop("ink", None)
        elif code == 48:
            _colour(numbers)  # backgrounds would not read on both themes


def _colour(numbers: list[int]) -> str:
    """The colour that follows a 38: '5;N' or '2;R;G;B'."""
    kind = numbers.pop(0) if numbers else 0
    if kind == 5 and numbers:
        index = numbers.pop(0)
        if index < 16:
            return f"nbray-c{index}"
        if index < 232:
            index -= 16
            red, green, blue = (_STEPS[index // step % 6] for step in (36, 6, 1))
        else:
            red = green = blue = min(255, 8 + 10 * (index - 232))
        return _readable(red, green, blue)
    if kind == 2 and len(numbers) >= 3:
        red, green, blue = (min(255, numbers.pop(0)) for _ in range(3))
        return _readable(red, green, blue)
    return ""


def _readable(red: int, green: int, blue: int) -> str:
    """The colour, as light or dark as the theme lets text be; as it is where browsers are old."""
    exact = f"rgb({red},{green},{blue})"
    bounded = "clamp(var(--nbray-floor),l,var(--nbray-ceiling))"
    return f"color:{exact};color:oklch(from {exact} {bounded} c h)"
