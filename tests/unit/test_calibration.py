"""Calibration error and temperature against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.selection.calibration import COLDEST, HOTTEST, fit_temperature, measure_calibration, temper

QUICK = settings(max_examples=100, deadline=None)
scored = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 0.61, 0.9, 1.0, float("nan")]), st.booleans()), min_size=1
)


def columns(drawn: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    return np.array([value for value, _ in drawn]), np.array([right for _, right in drawn])


@QUICK
@given(scored, st.integers(1, 12))
def test_the_calibration_error_is_what_a_plain_loop_finds(drawn: list[tuple[float, bool]], bins: int) -> None:
    found = measure_calibration(*columns(drawn), bins)
    known = [(value, right) for value, right in drawn if value == value]
    total = 0.0
    for place in range(bins):
        own = [(v, r) for v, r in known if min(int(v * bins + 1e-9), bins - 1) == place]
        assert found.size[place] == len(own)
        total += abs(sum(v for v, _ in own) - sum(r for _, r in own))
    assert found.n == len(known)
    assert found.error == (pytest.approx(total / len(known), abs=1e-9) if known else None)


def test_half_right_at_nine_tenths_is_off_by_four_tenths() -> None:
    found = measure_calibration(np.array([0.9, 0.9]), np.array([True, False]))
    assert found.error == pytest.approx(0.4) and found.right[9] == 0.5 and np.isnan(found.right[0])


@QUICK
@given(st.lists(st.floats(0, 1), min_size=1), st.floats(COLDEST, HOTTEST))
def test_a_temperature_changes_no_rank_and_keeps_the_range(values: list[float], temperature: float) -> None:
    value = np.sort(np.array(values))
    found = temper(value, temperature)
    assert ((found >= 0) & (found <= 1)).all() and (np.diff(found) >= -1e-12).all()
    assert np.array_equal(temper(value, 1.0), value)


def test_a_temperature_leaves_certain_and_unknown_confidences() -> None:
    found = temper(np.array([0.0, 0.5, 1.0, np.nan, 0.8]), 2.0)
    assert found[:3].tolist() == [0.0, 0.5, 1.0] and np.isnan(found[3]) and 0.5 < found[4] < 0.8


@pytest.mark.parametrize("true", [0.5, 1.0, 2.0, 3.0])
def test_the_fitted_temperature_is_the_one_that_confidences_were_spoiled_by(true: float) -> None:
    rng = np.random.default_rng(0)
    chance = rng.uniform(0.1, 0.9, 20_000)
    right = rng.random(20_000) < chance
    spoiled = temper(chance, 1 / true)
    assert fit_temperature(spoiled, right) == pytest.approx(true, rel=0.06)
    before, after = measure_calibration(spoiled, right).error, measure_calibration(temper(spoiled, true), right).error
    assert before is not None and after is not None and after <= before + 1e-9 and after < 0.02


def test_one_certain_miss_does_not_decide_the_temperature() -> None:
    value, right = np.append(np.full(200, 0.8), 1.0), np.append(np.arange(200) % 5 > 0, False)
    assert fit_temperature(value, right) < 1.5
    assert fit_temperature(np.array([np.nan]), np.array([True])) == 1.0
