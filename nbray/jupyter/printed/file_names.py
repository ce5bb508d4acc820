"""The files under which IPython compiles cells, called as people call them: `Cell In[3]`.

Owns the replacing in text that comes from workers, which know only the files.
"""

from __future__ import annotations

import re

from nbray.jupyter.notebook import current

_FILES = re.compile(
    # Only from a word's beginning: of a long word the search would else begin at each character.
    r"(?<![^\s\"'(<])[^\s\"'(<]*[/\\]ipykernel_\d+[/\\]\d+\.py|<ipython-input-\d+-[0-9a-f]+>"
)
_MARKS = ("ipykernel_", "<ipython-input-")


def cell_name(file: str) -> str:
    """'Cell In[3]' for the file name under which IPython compiled that cell; else *file*."""
    compiler = getattr(current().cells.shell, "compile", None)
    name = getattr(compiler, "format_code_name", lambda _file: None)(file)
    return " ".join(map(str, name)) if isinstance(name, tuple) and name[0] == "Cell" else file


def named(text: str) -> str:
    """*text* with every such file called as its cell."""
    if not any(mark in text for mark in _MARKS):
        return text
    return _FILES.sub(lambda match: cell_name(match[0]), text)
