"""Shift-Tab on what is remote."""

from __future__ import annotations

from nbray.jupyter import magics
from nbray.jupyter.insight.signatures import original

CLASS = """@remote
class Model:
    def fit(self, data, epochs: int = 1):
        'Fit it.'
model = Model.remote()"""


def test_a_method_of_an_actor_shows_what_the_user_wrote(say, ip):
    say(CLASS)
    for name in ("model.fit", "model.fit.remote"):
        found = ip.object_inspect(name)
        assert "data, epochs: int = 1" in found["definition"]
        assert found["docstring"] == "fit(data, epochs: int = 1)\n\nFit it." or (
            "Fit it." in found["docstring"]
        )


def test_other_things_are_inspected_as_ever(say, ip):
    say("def plain(a):\n    'Plain.'")
    assert ip.object_inspect("plain")["docstring"] == "Plain."
    assert original("x") == "x"


def test_unloading_takes_it_back(ip):
    assert "info" in vars(ip.inspector)
    magics.unload(ip)
    assert "info" not in vars(ip.inspector)
