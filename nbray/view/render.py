"""The template environment: autoescaped, made at the first use.

Owns the loading of templates and of the one style sheet. Rule: Jinja2 is
imported here only, and only when something is rendered, so that
`import nbray` stays light.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def style() -> str:
    """The style sheet on one line, for the `<style>` that goes with each piece of HTML."""
    text = resources.files("nbray.view").joinpath("templates/style.css").read_text("utf-8")
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    text = re.sub(r"\s+", " ", text)
    return re.sub(r" ?([{};:,>]) ?", r"\1", text.strip()).replace(";}", "}")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("nbray.view", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Our own file, never user text, and what `render` itself made: nothing else goes in unescaped.
    environment.globals["style"] = Markup(style())  # noqa: S704
    environment.filters["ours"] = Markup
    return environment


def render(template: str, /, **values: Any) -> str:
    """The HTML of *template* (a file name without `.html.j2`) with *values*, escaped."""
    html = render_exact(template, **values)
    return "\n".join(line.strip() for line in html.splitlines() if line.strip())


def render_exact(template: str, /, **values: Any) -> str:
    """The same with every blank kept, for what people have printed."""
    return _environment().get_template(f"{template}.html.j2").render(**values).strip()
