"""What a fetch returns."""

import pytest

from nbray.jobs.results import fetched_of, outputs_of, shown_of


@pytest.mark.parametrize(
    ("results", "names", "several", "value"),
    [
        ([(3, {})], (), False, 3),
        ([(None, {})], (), False, None),
        ([(3, {"x": 1})], ("x",), False, 3),
        ([(None, {"x": 1})], ("x",), False, 1),
        ([(None, {"x": 1, "y": 2})], ("x", "y"), False, {"x": 1, "y": 2}),
        ([(1, {}), (2, {})], (), True, [1, 2]),
        ([(None, {"x": 1}), (None, {"x": 2})], ("x",), True, [1, 2]),
        ([], (), True, None),
    ],
)
def test_the_shown_value_or_the_variables(results, names, several, value):
    assert fetched_of(results, names, several) == value


def test_outputs_and_shown():
    results = [(None, {"x": 1}), (5, {"x": 2})]
    assert outputs_of(results, ["x"], True) == {"x": [1, 2]}
    assert shown_of(results, True) == [None, 5]
