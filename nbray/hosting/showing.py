"""`display(...)` in a worker: values in rich form, for the cell that launched the task.

Owns the choice of forms (the `_repr_*_` methods that notebooks know). Does not own the
standing in for IPython's `display` (`nbray.patches.ipython_display`), which without a shell
would print a text, the sending (`output`) nor figures' life (`figures`).
Rule: a form that fails is left out; text is always there. IPython is never
imported here: who needs no rich output pays nothing.
"""

from __future__ import annotations

import binascii
import os
import uuid
from collections.abc import Sequence
from typing import Any

from nbray import session
from nbray.patches import tqdm_notebook
from nbray.patches.ipython_display import Display

FORMS = {
    "text/html": "_repr_html_",
    "text/markdown": "_repr_markdown_",
    "image/svg+xml": "_repr_svg_",
    "image/png": "_repr_png_",
    "image/jpeg": "_repr_jpeg_",
    "text/latex": "_repr_latex_",
    "application/json": "_repr_json_",
    "application/javascript": "_repr_javascript_",
}
BACKEND = "module://nbray.hosting.figures"
WIDGET = "application/vnd.jupyter.widget-view+json"
_STILL = "(a widget that a task shows is text: widgets live in the notebook's own process)"
_INLINE = ("", "inline", "module://matplotlib_inline", "module://ipykernel")


def forms(value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """(MIME bundle, metadata) of *value*; always with text/plain."""
    data: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    if not isinstance(value, type):
        whole = _call(value, "_repr_mimebundle_")
        if isinstance(whole, tuple):
            whole, metadata = whole
        if isinstance(whole, dict):
            data.update(whole)
        for mime, method in FORMS.items():
            if mime in data:
                continue
            found = _call(value, method)
            if isinstance(found, tuple):
                found, metadata[mime] = found
            if found is not None:
                data[mime] = found
        if "image/png" not in data and type(value).__module__.startswith("matplotlib.figure"):
            from nbray.hosting.figures import png

            data["image/png"] = png(value)
    if data.pop(WIDGET, None) is not None:  # its model is here, where no front end finds it
        data["text/plain"] = f"{data.get('text/plain') or _text(value)}\n{_STILL}"
    data.setdefault("text/plain", _text(value))
    return {mime: _sendable(form) for mime, form in data.items()}, dict(metadata)


def _call(value: Any, name: str) -> Any:
    method = getattr(value, name, None)
    if not callable(method):
        return None
    try:
        return method()
    except Exception:  # noqa: BLE001 - a form that fails is left out, as in IPython
        return None


def _text(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - users' __repr__ methods raise what they like
        return f"<{type(value).__name__}; its repr failed: {error}>"


def _sendable(form: Any) -> Any:
    if isinstance(form, (bytes, bytearray, memoryview)):
        return binascii.b2a_base64(form, newline=False).decode()
    return form


class Handle:
    """What `display(..., display_id=True)` returns; `update` replaces what it shows."""

    def __init__(self, display_id: str) -> None:
        self.display_id = display_id

    def display(self, value: Any, **options: Any) -> None:
        """Show *value* in a further place."""
        display(value, display_id=self.display_id, **options)

    def update(self, value: Any, **options: Any) -> None:
        """Show *value* instead."""
        update_display(value, display_id=self.display_id, **options)


def display(
    *values: Any, include: Sequence[str] | None = None, exclude: Sequence[str] | None = None,
    metadata: dict[str, Any] | None = None, transient: dict[str, Any] | None = None,
    display_id: str | bool | None = None, raw: bool = False, **_: Any,
) -> Handle | None:  # fmt: skip
    """Show *values* under the cell that launched this task; arguments as IPython's."""
    name = (transient or {}).get("display_id", display_id)
    name = uuid.uuid4().hex if name is True else str(name or "")
    for value in values:
        _publish(value, include, exclude, metadata, name, raw, update=False)
    return Handle(name) if name else None


def update_display(value: Any, *, display_id: str, **options: Any) -> None:
    """Show *value* where *display_id* was shown."""
    _publish(
        value, options.get("include"), options.get("exclude"), options.get("metadata"),
        display_id, bool(options.get("raw")), update=True,
    )  # fmt: skip


def _publish(
    value: Any, include: Sequence[str] | None, exclude: Sequence[str] | None,
    metadata: dict[str, Any] | None, display_id: str, raw: bool, update: bool,
) -> None:  # fmt: skip
    publisher = session.publisher()
    if publisher is None:
        return
    if type(value).__module__ == tqdm_notebook.MODULE and tqdm_notebook.as_text(value):
        return
    own = None if raw or isinstance(value, type) else getattr(value, "_ipython_display_", None)
    if callable(own):
        own()
        return
    if raw:
        data = {mime: _sendable(form) for mime, form in dict(value).items()}
        more: dict[str, Any] = {}
    else:
        data, more = forms(value)
    if include:
        data = {mime: form for mime, form in data.items() if mime in {*include, "text/plain"}}
    for mime in exclude or ():
        data.pop(mime, None)
    data.setdefault("text/plain", "")
    publisher.publish(data, {**more, **(metadata or {})}, display_id, update)


def install() -> Display:
    """Make `display` a builtin, as notebooks do, and stand in for IPython's; how to undo that."""
    if os.environ.get("MPLBACKEND", "").startswith(_INLINE[1:]) or not os.environ.get("MPLBACKEND"):
        os.environ["MPLBACKEND"] = BACKEND
    patch = Display(display, update_display)
    patch.install()
    return patch
