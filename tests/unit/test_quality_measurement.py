"""What stands next to the product in the measurement of ranking quality: plain rankings, calibration, the table."""

import pytest

from benchmarks.ranking.ranked import calibration


def test_calibration_error_sums_the_gaps_of_ten_equal_bins() -> None:
    lists = {"ann": ["a", "b"], "bob": ["a"]}
    chances = {"ann": [0.95, 0.12], "bob": [0.18]}
    found = calibration(lists, chances, {"ann": frozenset("a"), "bob": frozenset("a")}, k=2)
    # The last bin is off by .05, the second by |.12 + .18 - 1|.
    assert found["ece"] == pytest.approx((0.05 + 0.70) / 3, abs=1e-4)
    assert (found["bought"], found["predicted"]) == (0.6667, 0.4167)
    assert calibration({}, {}, {"ann": frozenset("a")}, k=2)["ece"] == 0
