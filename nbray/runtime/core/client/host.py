"""What a client's brain asks of the process around it.

Owns the questions. Does not own the answers (the shell's, given by `ClientBrain.attach`).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from nbray.wire import messages as m


class Host(msgspec.Struct, frozen=True):
    """What a client's brain asks of the process around it. All of it may be asked in any thread."""

    held_views: Callable[[], set[m.Slot]] = set
    """Slots over which views live."""
    use_pins: Callable[[int], str] = lambda _pins: "it has only just begun"
    """Pin from now on what is used; why it cannot be ('': it is)."""
    cell_label: Callable[[str], str] = lambda _cell: ""
    """What people call a cell."""
    defined: Callable[[bytes], bool] = lambda _hash: False
    """Whether the function of this hash is still defined."""
    crowded: Callable[[], None] = lambda: None
    """Under the baton: much has been printed that is not shown yet."""
    site: Callable[[int], tuple[str, str]] = lambda _seq: ("", "")
    """The (cell, line) in which an object of ours was made, where that is known."""
