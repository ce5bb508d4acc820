"""Other functions in the place of IPython's `display`, now or when it is imported."""

from __future__ import annotations

import builtins
import subprocess
import sys

import pytest
from IPython.core import display_functions

from nbray.patches.ipython_display import Display


def show(*_: object) -> None:
    pass


def update(*_: object) -> None:
    pass


def test_a_loaded_module_is_as_it_was() -> None:
    before = display_functions.display, display_functions.update_display
    builtin = vars(builtins).get("display")
    patch = Display(show, update)
    for _ in range(2):
        patch.install()
        assert (display_functions.display, display_functions.update_display) == (show, update)
        assert vars(builtins)["display"] is show
        patch.uninstall()
        assert (display_functions.display, display_functions.update_display) == before
        assert vars(builtins).get("display") is builtin


@pytest.mark.parametrize("when", ["before", "after"])
def test_one_that_is_imported_later(when: str) -> None:
    take_back = "; patch.uninstall()"
    program = (
        "import sys; from nbray.patches.ipython_display import Display\n"
        "def show(*_): pass\n"
        f"patch = Display(show, show); patch.install(){take_back if when == 'before' else ''}\n"
        "assert 'IPython' not in sys.modules\n"
        "from IPython.core import display_functions as theirs\n"
        f"assert (theirs.display is show) is {when == 'after'}{take_back}\n"
        "assert theirs.display.__module__ == theirs.__name__\n"
        "assert not [one for one in sys.meta_path if 'nbray' in repr(one)]\n"
        "import builtins; assert not hasattr(builtins, 'display')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
