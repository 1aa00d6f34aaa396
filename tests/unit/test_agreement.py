from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.evaluation.report import auroc
from engine.selection.calibration import measure_calibration
from engine.selection.factors.agreement import plain_agreement
from engine.selection.factors.dawid_skene import dawid_skene
from engine.selection.factors.weighted_agreement import weighted_agreement

QUICK = settings(max_examples=100, deadline=None)
rows = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=25)


def columns(drawn: list[tuple[int, int, int]]) -> Any:
    return (np.array(column, dtype=np.int64) for column in zip(*drawn, strict=True))


def slow_agreement(drawn: list[tuple[int, int, int]]) -> list[float]:
    values = []
    for query, teacher, label in drawn:
        others = {t for q, t, _ in drawn if q == query and t != teacher}
        shares = []
        for other in others:
            draws = [one for q, t, one in drawn if q == query and t == other]
            shares.append(draws.count(label) / len(draws))
        values.append(sum(shares) / len(shares) if shares else math.nan)
    return values


@QUICK
@given(rows)
def test_agreement_is_the_share_of_other_teachers_with_the_label(drawn: list[tuple[int, int, int]]) -> None:
    assert plain_agreement(*columns(drawn)).tolist() == pytest.approx(slow_agreement(drawn), nan_ok=True, abs=1e-9)


@QUICK
@given(rows, st.randoms(use_true_random=False))
def test_no_measure_depends_on_the_order_of_rows(drawn: list[tuple[int, int, int]], rng: Any) -> None:
    places = list(range(len(drawn)))
    rng.shuffle(places)
    shuffled = [drawn[place] for place in places]
    assert plain_agreement(*columns(shuffled)) == pytest.approx(plain_agreement(*columns(drawn))[places], nan_ok=True)
    weighted = weighted_agreement(*columns(drawn), 4)[places]
    assert weighted_agreement(*columns(shuffled), 4) == pytest.approx(weighted, nan_ok=True, abs=1e-6)
    base, other = dawid_skene(*columns(drawn), 4), dawid_skene(*columns(shuffled), 4)
    assert other.posterior == pytest.approx(base.posterior[places], nan_ok=True, abs=1e-6)
    assert other.reliability == pytest.approx(base.reliability, nan_ok=True, abs=1e-6)


def test_agreement_of_three_teachers_is_nought_a_half_or_one() -> None:
    drawn = [(0, 0, 1), (0, 1, 1), (0, 2, 2), (1, 0, 7), (1, 1, 7), (1, 2, 7)]
    assert plain_agreement(*columns(drawn)).tolist() == [0.5, 0.5, 0.0, 1.0, 1.0, 1.0]


def test_no_samples_have_no_agreement() -> None:
    nothing = np.empty(0, dtype=np.int64)
    assert plain_agreement(nothing, nothing, nothing).tolist() == []
    assert weighted_agreement(nothing, nothing, nothing, 4).tolist() == []


def simulate(accuracies: list[float], queries: int, labels: int, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    drawn, right = [], []
    for query in range(queries):
        for teacher, accuracy in enumerate(accuracies):
            hit = rng.random() < accuracy
            drawn.append((query, teacher, 0 if hit else int(rng.integers(1, labels))))
            right.append(hit)
    return drawn, np.array(right)


@pytest.mark.parametrize("seed", range(3))
def test_dawid_skene_finds_who_is_reliable(seed: int) -> None:
    accuracies = [0.55, 0.9, 0.75]
    drawn, right = simulate(accuracies, 400, 4, seed)
    found = dawid_skene(*columns(drawn), 4)
    assert np.argsort(found.reliability).tolist() == np.argsort(accuracies).tolist()
    assert found.reliability == pytest.approx(accuracies, abs=0.12)
    assert found.posterior[right].mean() > found.posterior[~right].mean() + 0.3


def test_dawid_skene_trusts_a_reliable_teacher_over_a_poor_one() -> None:
    drawn, _ = simulate([0.95, 0.9, 0.4], 300, 4, 1)
    drawn += [(1000, 0, 0), (1000, 2, 1)]
    good, poor = dawid_skene(*columns(drawn), 4).posterior[-2:]
    assert good > 0.8
    assert 0 < poor < 0.2
    assert good + poor <= 1 + 1e-9


def test_dawid_skene_says_nothing_with_fewer_than_three_teachers() -> None:
    found = dawid_skene(*columns([(0, 0, 1), (0, 1, 1), (1, 0, 2)]), 4)
    assert np.isnan(found.posterior).all()
    assert np.isnan(found.reliability).all()


def test_dawid_skene_says_nothing_on_a_query_that_one_teacher_answered_alone() -> None:
    drawn, _ = simulate([0.9, 0.8, 0.7], 50, 4, 2)
    alone = dawid_skene(*columns([*drawn, (999, 0, 0)]), 4)
    base = dawid_skene(*columns(drawn), 4)
    assert np.isnan(alone.posterior[-1])
    assert not np.isnan(alone.posterior[:-1]).any()
    assert alone.reliability == pytest.approx(base.reliability)


def test_dawid_skene_survives_a_label_space_of_one() -> None:
    found = dawid_skene(*columns([(0, 0, 0), (0, 1, 0), (0, 2, 0)]), 1)
    assert found.posterior.tolist() == [1.0, 1.0, 1.0]


@QUICK
@given(rows)
def test_the_weighted_shares_of_a_query_leave_a_quarter_of_a_vote(drawn: list[tuple[int, int, int]]) -> None:
    values = weighted_agreement(*columns(drawn), 4)
    for query in {row[0] for row in drawn}:
        teachers = {t for q, t, _ in drawn if q == query}
        by_label = {row[2]: value for row, value in zip(drawn, values, strict=True) if row[0] == query}
        assert sum(by_label.values()) == pytest.approx(
            len(teachers) / (len(teachers) + 0.25) if len(teachers) > 1 else math.nan, nan_ok=True
        )


@QUICK
@given(rows, st.integers(0, 3), st.integers(2, 5))
def test_the_same_draws_again_are_no_evidence(drawn: list[tuple[int, int, int]], teacher: int, times: int) -> None:
    repeated = drawn + [row for row in drawn if row[1] == teacher] * (times - 1)
    for measure in (plain_agreement, lambda *c: weighted_agreement(*c, 4), lambda *c: dawid_skene(*c, 4).posterior):
        found, base = measure(*columns(repeated))[: len(drawn)], measure(*columns(drawn))
        assert found == pytest.approx(base, nan_ok=True, abs=1e-6)


def test_a_lone_teacher_has_no_agreement_however_often_it_answers() -> None:
    drawn = [(0, 0, 1)] * 4 + [(1, 0, 1), (1, 1, 1), (1, 2, 1)]
    for measure in (plain_agreement, lambda *c: weighted_agreement(*c, 4), lambda *c: dawid_skene(*c, 4).posterior):
        assert np.isnan(measure(*columns(drawn))).tolist() == [True] * 4 + [False] * 3


def test_two_teachers_agree_highly_or_differ_lowly() -> None:
    drawn = [(0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 1, 2)]
    assert weighted_agreement(*columns(drawn), 4) == pytest.approx([8 / 9, 8 / 9, 4 / 9, 4 / 9])


def test_the_weighted_share_trusts_a_reliable_teacher_over_a_poor_one() -> None:
    drawn, _ = simulate([0.95, 0.9, 0.4], 300, 4, 1)
    drawn += [(1000, 0, 0), (1000, 2, 1)]
    good, poor = weighted_agreement(*columns(drawn), 4)[-2:]
    assert good > 0.55 and poor < 0.3


def simulate_dependent(accuracies: list[float], queries: int, seed: int) -> Any:
    """Teachers that find the same queries hard and fall for the same wrong choice, as real ones do."""
    rng = np.random.default_rng(seed)
    drawn, right = [], []
    for query in range(queries):
        hard = rng.standard_normal() * 2.2
        for teacher, accuracy in enumerate(accuracies):
            hit = rng.random() < 1 / (1 + np.exp(-(1.6 * np.log(accuracy / (1 - accuracy)) + hard)))
            lured = rng.random() < 0.78
            drawn.append((query, teacher, 0 if hit else 1 if lured else int(rng.integers(1, 5))))
            right.append(hit)
    return drawn, np.array(right)


@pytest.mark.parametrize("teachers", [3, 5, 8])
def test_the_weighted_share_is_calibrated_where_teachers_err_together(teachers: int) -> None:
    drawn, right = simulate_dependent(np.linspace(0.6, 0.85, teachers).tolist(), 1000, teachers)
    share, posterior = weighted_agreement(*columns(drawn), 5), dawid_skene(*columns(drawn), 5).posterior
    ours, theirs = measure_calibration(share, right).error, measure_calibration(posterior, right).error
    assert ours is not None and theirs is not None
    assert ours < 0.08 < theirs - 0.04
    assert (auroc(share.tolist(), right.tolist()) or 0) > (auroc(posterior.tolist(), right.tolist()) or 1) - 0.02
