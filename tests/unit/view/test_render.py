"""The style sheet travels whole, and importing the view does not import Jinja2."""

from __future__ import annotations

import subprocess
import sys

from nbray.view.render import style


def test_style_is_one_line_without_comments_or_outside_resources() -> None:
    text = style()
    assert "\n" not in text
    assert "/*" not in text
    assert "url(" not in text
    assert "</" not in text
    assert text.count("{") == text.count("}")
    assert ".nbray.nbray .nbray-row" in text
    assert "@media (prefers-color-scheme:dark)" in text


def test_importing_the_view_is_light() -> None:
    code = "import sys, nbray.view; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
