"""`%nbray debug`: a look at where a task failed, after it has, in the notebook.

Owns the choice of the error and of the frame, and the giving out of values.
Does not own the look (`nbray.view.failure`) nor what was captured
(`nbray.postmortem`). Rule: nothing of the notebook changes unless names are
asked for with `-o`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from nbray.exceptions import RayError, RayTaskError
from nbray.jupyter.failures.errors import NotebookError, last
from nbray.jupyter.printed.file_names import cell_name
from nbray.postmortem import Frame, counted, unpack_frames
from nbray.view.failure import failure_html, failure_text

TRACEBACK = "Traceback (most recent call last):"
ENOUGH = (
    "Its frames were not kept: the same failure had been captured several times already in that "
    "process. Run one failing task again to look at it."
)
NONE = "No line of yours raised it, so it has no frames."
HOW = (
    "%nbray debug N looks at frame N, %nbray debug N -o NAME brings a value into the notebook; "
    "of what it returns, p['NAME'] is a value and p.eval('...') an expression in the frame."
)


class PostMortem(Mapping[str, Any]):
    """A failed task's stack. As a mapping: the values of the selected frame, by name.

    Attributes:
        error: the error.
        frames: the stack, outermost first.
        selected: number of the frame that is looked at.
    """

    def __init__(self, error: RayError, selected: int | None = None) -> None:
        self.error = error
        self.frames: list[Frame] = [
            msgspec.structs.replace(frame, file=cell_name(frame.file))
            for frame in unpack_frames(getattr(error, "frames", b""))
        ]
        own = [number for number, frame in enumerate(self.frames) if not frame.library]
        innermost = own[-1] if own else len(self.frames) - 1
        self.selected = innermost
        if selected is not None:
            self.select(selected)

    @property
    def frame(self) -> Frame:
        """The selected frame.

        Raises:
            NotebookError: the error carries no frames.
        """
        if not self.frames:
            raise NotebookError(f"this error carries no frames: {self._note()}")
        return self.frames[self.selected]

    def select(self, number: int) -> PostMortem:
        """Look at frame *number* (negative: from the innermost)."""
        if not -len(self.frames) <= number < len(self.frames):
            raise NotebookError(
                f"there is no frame {number}: they are numbered 0 to {len(self.frames) - 1}"
                if self.frames
                else f"this error carries no frames: {self._note()}"
            )
        self.selected = number % len(self.frames)
        return self

    def up(self) -> PostMortem:
        """Look at the caller's frame."""
        return self.select(max(0, self.selected - 1))

    def down(self) -> PostMortem:
        """Look at the called frame."""
        return self.select(min(len(self.frames) - 1, self.selected + 1))

    def __getitem__(self, name: str) -> Any:
        for one in self.frame.locals:
            if one.name == name:
                return one.value()
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (one.name for one in (self.frame.locals if self.frames else ()))

    def __len__(self) -> int:
        return len(self.frame.locals) if self.frames else 0

    def eval(self, expression: str) -> Any:
        """*expression* with the selected frame's values, here in the notebook."""
        scope = {one.name: one.value() for one in self.frame.locals if one.data}
        return eval(expression, {}, scope)  # noqa: S307 - the user's own expression

    # -- showing --------------------------------------------------------------------------

    def _parts(self) -> tuple[str, str, list[Frame], int, str, str]:
        error = self.error
        if isinstance(error, RayTaskError):
            text = " ".join(str(error.cause).split())
            title = f"{type(error.cause).__name__}: {text}" if text else type(error.cause).__name__
            facts = f"in {error.function_name}"
            facts += f" on {error.node}, pid {error.pid}" if error.node else ""
            if error.alike > 1:
                facts += f"; {counted(error.alike, error.among, error.frames)}"
            full = error.traceback_str
            found = full.find(TRACEBACK)
            full = full[max(0, found) :]
        else:
            title, facts, full = type(error).__name__, "", str(error)
        return title, facts, self.frames, self.selected, full, self._note()

    def _note(self) -> str:
        if self.frames:
            return HOW
        if isinstance(self.error, RayTaskError):
            return ENOUGH if TRACEBACK in self.error.traceback_str else NONE
        return "The process is gone, and its frames with it."

    def __repr__(self) -> str:
        return failure_text(*self._parts())

    def _repr_html_(self) -> str:
        return failure_html(*self._parts())


def last_error() -> RayError:
    """The last error of nbray's that a cell has shown.

    Raises:
        NotebookError: there is none.
    """
    error = last()
    if error is None:
        raise NotebookError("%nbray debug: no task of this notebook has failed yet")
    return error


def debug(words: list[str], names: str, user_ns: dict[str, Any]) -> PostMortem | None:
    """`%nbray debug [FRAME] [-o NAMES]`: the post-mortem; or the values, put into *user_ns*."""
    if len(words) > 1 or (words and not words[0].lstrip("-").isdigit()):
        raise NotebookError("%nbray debug takes the number of a frame")
    found = PostMortem(last_error(), int(words[0]) if words else None)
    if not names:
        return found
    values: dict[str, Any] = {}
    for name in filter(None, (part.strip() for part in names.split(","))):
        try:
            values[name] = found[name]
        except KeyError:
            there = ", ".join(found) or "none"
            raise NotebookError(
                f"%nbray debug: frame {found.selected} has no {name!r}; it has {there}"
            ) from None
        except ValueError as error:
            raise NotebookError(f"%nbray debug: {error}") from None
    user_ns.update(values)
    print(f"{', '.join(values)} from frame {found.selected}")
    return None
