import numpy as np
import pytest

from wm.report.statistics import summary, summary_of_episodes


def test_summary_of_known_returns():
    result = summary(np.array([4.0, 1.0, 2.0, 9.0]))
    assert result["mean"] == 4
    assert result["median"] == 3
    assert (result["min"], result["max"]) == (1, 9)
    assert result["std"] == pytest.approx(np.sqrt((0 + 9 + 4 + 25) / 3))  # ddof = 1
    assert result["min"] <= result["ci95_low"] < 4 < result["ci95_high"] <= result["max"]


def test_laps_and_episodes_are_counted():
    rows = [{"return": value, "lap_finished": value > 2} for value in (4.0, 1.0, 2.0, 9.0)]
    result = summary_of_episodes(rows)
    assert (result["laps_finished"], result["episodes"]) == (2, 4)
    assert result["mean"] == 4


def test_same_bits_twice_and_no_global_generator():
    returns = np.random.default_rng(1).normal(800, 120, 100)
    np.random.seed(0)
    first = summary(returns)
    np.random.seed(1)
    assert summary(returns) == first


def test_interval_is_close_to_the_normal_one():
    returns = np.random.default_rng(2).normal(0, 1, 400)
    half = 1.96 * returns.std(ddof=1) / np.sqrt(len(returns))
    result = summary(returns)
    assert result["ci95_low"] == pytest.approx(returns.mean() - half, abs=0.01)
    assert result["ci95_high"] == pytest.approx(returns.mean() + half, abs=0.01)


def test_interval_covers_the_mean_about_95_times_in_100():
    rng = np.random.default_rng(3)
    results = [summary(rng.normal(5, 2, 50)) for _ in range(100)]
    covered = sum(r["ci95_low"] <= 5 <= r["ci95_high"] for r in results)
    assert 88 <= covered <= 99


def test_constant_returns_have_an_interval_of_width_zero():
    result = summary(np.full(10, 0.1))
    assert result["ci95_low"] == result["ci95_high"] == pytest.approx(0.1)
    assert result["std"] == pytest.approx(0)


@pytest.mark.parametrize("returns", [[], [1.0], [[1.0, 2.0]]])
def test_too_few_returns_are_refused(returns):
    with pytest.raises(ValueError, match="two returns"):
        summary(np.array(returns))
