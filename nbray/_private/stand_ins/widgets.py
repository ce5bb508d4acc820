"""`ray.widgets`: tables for notebooks.

Owns the table of an object's attributes. Ray's templates are files of Ray's, and not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

__all__ = ["make_table_html_repr"]


def make_table_html_repr(obj: Any, title: str | None = None, max_height: str = "none") -> str:
    """HTML: the attributes of *obj* that are texts, numbers, dictionaries or objects, as a table.

    Args:
        title: a heading, if any.
        max_height: CSS; beyond it the table scrolls.
    """
    rows = {}
    for name, value in vars(obj).items():
        if isinstance(value, (str, bool, int, float)):
            rows[name] = escape(str(value))
        elif isinstance(value, Mapping) or hasattr(value, "__dict__"):
            inner = value if isinstance(value, Mapping) else vars(value)
            rows[name] = _table({key: escape(str(one)) for key, one in inner.items()}, "none")
    heading = f"<h3>{escape(title)}</h3>" if title else ""
    return heading + _table(rows, max_height)


def _table(rows: Mapping[Any, str], height: str) -> str:
    lines = "".join(f"<tr><td>{escape(str(name))}</td><td>{text}</td></tr>"
                    for name, text in rows.items())  # fmt: skip
    return (
        f'<div style="max-height: {escape(height)}; overflow: auto"><table><thead><tr>'
        f"<th>Setting</th><th>Value</th></tr></thead><tbody>{lines}</tbody></table></div>"
    )
