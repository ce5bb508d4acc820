"""What a shell's Shift-Tab looks at."""

from __future__ import annotations

from types import SimpleNamespace

from nbray.patches.ipython_inspector import Inspector


class Theirs:
    def info(self, value: str, detail: int = 0) -> str:
        return f"{value}, {detail}"


def test_another_value_is_inspected_until_it_is_taken_back() -> None:
    shell = SimpleNamespace(inspector=Theirs())
    patch = Inspector(shell, lambda value: "its original" if value == "ours" else value)
    for _ in range(2):
        patch.install()
        assert shell.inspector.info("ours", detail=1) == "its original, 1"
        assert shell.inspector.info("x") == "x, 0"
        patch.uninstall()
        assert vars(shell.inspector) == {}
        assert shell.inspector.info("ours") == "ours, 0"
