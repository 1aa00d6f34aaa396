"""The watch over agreement: it is never wrong more often than it says, and finds a real drop, early or late."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.serving.drift import Drift, Martingale, lower_bound


def find_alarm(drift: Drift, stream: np.ndarray) -> int | None:
    """At which observation the alarm was raised."""
    raised = [place for place, agrees in enumerate(stream.tolist(), 1) if drift.add(agrees)]
    assert len(raised) <= 1, "an alarm is told once"
    return raised[0] if raised else None


@given(st.floats(0.02, 0.98), st.integers(0, 40), st.data())
def test_the_capital_does_not_grow_in_the_mean_where_the_rate_is_the_bound(
    bound: float, before: int, data: st.DataObject
) -> None:
    seen = data.draw(st.lists(st.booleans(), min_size=before, max_size=before))
    yes, no = Martingale(bound), Martingale(bound)
    for agrees in seen:
        yes.add(agrees)
        no.add(agrees)
    capital = yes.capital
    mean = bound * yes.add(True) + (1 - bound) * no.add(False)
    assert capital > 0 and mean <= capital * (1 + 1e-9)
    assert math.isclose(mean, capital, rel_tol=1e-9), "at the bound itself it is fair"


def test_the_capital_begins_with_one() -> None:
    assert Martingale(0.9).capital == 1.0


@pytest.mark.parametrize(("expected", "rate"), [(0.95, 0.90), (0.8, 0.75), (0.99, 0.97)])
def test_false_alarms_stay_below_alpha_at_any_time(expected: float, rate: float) -> None:
    draws = np.random.default_rng(7)
    alarms = [find_alarm(Drift(expected, 0.05, 0.1), draws.random(400) < rate) is not None for _ in range(200)]
    assert np.mean(alarms) <= 0.1


def test_false_alarms_stay_below_alpha_where_the_first_ones_say_what_to_expect() -> None:
    draws = np.random.default_rng(8)
    alarms = [find_alarm(Drift(None, 0.0, 0.1, 50), draws.random(300) < 0.9) is not None for _ in range(200)]
    assert np.mean(alarms) <= 0.1


def test_a_drop_is_found_early_and_late() -> None:
    draws = np.random.default_rng(9)
    for good in (0, 500):
        found = []
        for _ in range(30):
            stream = np.concatenate([draws.random(good) < 0.95, draws.random(400) < 0.7])
            found.append(find_alarm(Drift(0.95), stream))
        assert all(place is not None and place > good for place in found)
        assert np.median([place - good for place in found if place]) < 90


def test_where_agreement_is_not_known_the_first_ones_give_a_cautious_expectation() -> None:
    drift = Drift(None, 0.05, 0.1, 20)
    for _ in range(19):
        drift.add(True)
    assert drift.state.expected is None and drift.state.source == "first" and drift.state.capital == 1
    drift.add(True)
    assert drift.state.expected == pytest.approx(0.05 ** (1 / 20)) and drift.state.bound == pytest.approx(
        0.8109, abs=1e-3
    )
    assert [drift.add(False) for _ in range(10)].count(True) == 1
    assert drift.state.alarm is not None and drift.state.agreement == 20 / 30


def test_the_lower_bound_is_that_of_clopper_and_pearson() -> None:
    assert lower_bound(0, 10, 0.05) == 0
    low = lower_bound(8, 10, 0.05)
    tail = sum(math.comb(10, k) * low**k * (1 - low) ** (10 - k) for k in range(8, 11))
    assert tail == pytest.approx(0.05)


def test_nothing_is_a_drop_where_hardly_any_agreement_is_expected() -> None:
    drift = Drift(0.04)
    assert not any(drift.add(False) for _ in range(500))
    assert drift.state.bound is None


def test_full_agreement_that_is_expected_without_tolerance_breaks_with_the_first_difference() -> None:
    drift = Drift(1.0, 0.0)
    assert not any(drift.add(True) for _ in range(5)) and drift.add(False)
