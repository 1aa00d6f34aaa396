"""The paper's alternatives to its selection, and their comparison at matched numbers of kept samples."""

from __future__ import annotations

import dataclasses
import math
import time
from itertools import pairwise, permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from engine.selection import SelectionInput, select
from engine.selection.arrays import REASONS
from engine.selection.comparison import RIGHT, UNSCORED, WRONG, find_wilson, trace
from engine.selection.factors import FACTORS, Scored
from engine.selection.factors.log_prob import rank_within
from engine.selection.rules.hard_rejection import HardRejection
from engine.selection.rules.top_share import TopShare
from engine.selection.select import order_samples
from engine.selection.settings import PRESETS, SelectionConfig, read_selection
from engine.values import GRADE, LOG_PROB, Reason

VALUES = st.one_of(st.just(math.nan), st.sampled_from([-3.0, -2.0, -1.5, -0.25, 0.0]))
ROWS = st.lists(st.tuples(st.integers(0, 3), VALUES), min_size=1, max_size=25)


def make_input(count: int, **changes: Any) -> SelectionInput:
    """One query a sample, of one teacher, with the factor `f` as given or unknown."""
    given_ = SelectionInput(
        query=np.arange(count),
        teacher=np.zeros(count, dtype=np.int64),
        label=np.zeros(count, dtype=np.int64),
        order=np.arange(count),
        factors=np.full((count, 1), np.nan),
        names=("f",),
        embeddings=np.zeros((count, 1), dtype=np.float32),
    )
    return dataclasses.replace(given_, **changes)


def reasons_of(samples: SelectionInput, config: SelectionConfig) -> list[Reason]:
    return [REASONS[code] for code in select(samples, config).reason]


@given(ROWS)
def test_the_rank_within_a_teacher_is_what_a_plain_loop_says(rows: list[tuple[int, float]]) -> None:
    teacher, value = np.array([t for t, _ in rows]), np.array([v for _, v in rows])
    found = rank_within(teacher, value)
    for own, mine, rank in zip(teacher, value, found, strict=True):
        others = [v for t, v in rows if t == own and not math.isnan(v)]
        below, equal = sum(v < mine for v in others), sum(v == mine for v in others)
        expected = math.nan if math.isnan(mine) else (below + (equal - 1) / 2 + 0.5) / len(others)
        assert rank == pytest.approx(expected, nan_ok=True)
    assert np.all((found > 0) & (found < 1) | np.isnan(found))


def test_teachers_scales_do_not_mix_and_draws_of_one_are_ranked_together() -> None:
    teacher, value = np.array([0, 0, 0, 1, 1, 1]), np.array([-9.0, -8.0, -7.0, -0.3, -0.2, -0.1])
    given_ = Scored(np.zeros(6, int), teacher, np.zeros(6, int), lambda: 2, list, lambda: {LOG_PROB: value})
    assert FACTORS["log-prob"].score(given_).tolist() == pytest.approx([1 / 6, 1 / 2, 5 / 6] * 2)
    without = dataclasses.replace(given_, evidence=dict)
    assert np.isnan(FACTORS["log-prob"].score(without)).all() and np.isnan(FACTORS["grade"].score(without)).all()


@given(ROWS, st.sampled_from([0.0, 0.1, 1 / 3, 0.5, 0.9, 1.0]), st.booleans())
def test_the_top_share_is_that_many_of_the_most_confident(
    rows: list[tuple[int, float]], share: float, each: bool
) -> None:
    teacher = np.array([t for t, _ in rows])
    confidence = np.array([v for _, v in rows]) / 3 + 1
    samples = make_input(len(rows), teacher=teacher, factors=confidence[:, None])
    rule = TopShare(share=share, within="teacher" if each else "all")
    kept = select(samples, SelectionConfig(rules=(rule,))).kept
    for own in set(teacher.tolist()) if each else {None}:
        mine = np.flatnonzero(((teacher == own) | (not each)) & ~np.isnan(confidence))
        assert kept[mine].sum() == math.ceil(share * len(mine) - 1e-9)
        ranked = sorted(mine, key=lambda n: (-confidence[n], n))
        assert kept[ranked].tolist() == sorted(kept[ranked].tolist(), reverse=True)
    assert not kept[np.isnan(confidence)].any()


def test_the_share_is_of_what_earlier_rules_leave_and_each_sample_says_why() -> None:
    samples = make_input(6, factors=np.array([[0.9], [0.8], [0.7], [0.6], [0.2], [np.nan]]))
    config = read_selection(SelectionConfig(), {}, ["f=1"], ["threshold:threshold=0.5", "top-share:share=0.5"])
    low, no, out = Reason.BELOW_THRESHOLD, Reason.NO_CONFIDENCE, Reason.NOT_IN_TOP_SHARE
    assert reasons_of(samples, config) == [Reason.KEPT, Reason.KEPT, out, out, low, no]


def test_hard_rejection_keeps_good_and_says_of_the_others_why() -> None:
    samples = make_input(4, evidence={GRADE: np.array([1.0, 0.5, 0.0, np.nan])})
    config = SelectionConfig(rules=(HardRejection(),))
    lower = Reason.GRADED_LOWER
    assert reasons_of(samples, config) == [Reason.KEPT, lower, lower, Reason.NOT_GRADED]
    assert reasons_of(make_input(2), config) == [Reason.NOT_GRADED] * 2


def test_the_alternatives_are_presets_and_say_what_they_read() -> None:
    assert {"paper", "log-prob", "hard-rejection", "majority", "none"} <= set(PRESETS.names())
    reads = {name for name in PRESETS if PRESETS[name].config.needs_evidence}
    assert reads == {"log-prob", "hard-rejection"}
    assert not any(PRESETS[name].config.needs_vectors for name in ("log-prob", "hard-rejection", "majority", "none"))


def order_of(samples: SelectionInput, *rules: str) -> list[float]:
    return order_samples(samples, read_selection(SelectionConfig(), {}, ["f=1"], rules)).tolist()


def test_each_rule_orders_by_what_it_goes_by() -> None:
    votes = {"query": np.zeros(4, int), "teacher": np.arange(4), "label": np.array([0, 0, 0, 1])}
    scores = np.array([[0.2], [0.9], [0.9], [np.nan]])
    samples = make_input(4, **votes, factors=scores, evidence={GRADE: np.array([0.5, np.nan, 1.0, 0.0])})
    assert order_of(samples, "threshold") == pytest.approx([1, 2, 2, math.nan], nan_ok=True)
    assert order_of(samples, "top-share") == pytest.approx([1, 2, 2, math.nan], nan_ok=True)
    assert order_of(samples, "hard-rejection") == pytest.approx([2, math.nan, 3, 1], nan_ok=True)
    assert order_of(samples, "labels:disagreement=majority") == [1, 1, 1, 0]
    assert order_of(samples, "labels:disagreement=drop") == [0, 0, 0, 0]
    assert order_samples(samples, SelectionConfig(rules=())).tolist() == [0, 0, 0, 0]
    both = order_of(samples, "labels:disagreement=majority", "threshold")
    assert both[1] == both[2] > both[0] > both[3], "within what the first rule does not tell apart, by the second"


ORDERED = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0, 2.0, math.nan]), st.sampled_from([RIGHT, WRONG, UNSCORED])),
    min_size=1,
    max_size=6,
)


@given(ORDERED)
def test_a_line_is_the_mean_over_all_ways_to_break_ties(rows: list[tuple[float, int]]) -> None:
    order, verdict = np.array([o for o, _ in rows]), np.array([v for _, v in rows], dtype=np.int8)
    counts = np.arange(1, len(rows) + 1)
    found = trace(order, verdict, counts)
    known = [n for n in range(len(rows)) if not math.isnan(order[n])]
    sorted_ways = [p for p in permutations(known) if all(order[a] >= order[b] for a, b in pairwise(p))]
    for count, right, scored in zip(counts, found.right, found.scored, strict=True):
        if count > len(known):
            expected, hits = math.nan, math.nan
        else:
            expected = float(np.mean([sum(verdict[n] != UNSCORED for n in p[:count]) for p in sorted_ways]))
            hits = float(np.mean([sum(verdict[n] == RIGHT for n in p[:count]) for p in sorted_ways]))
        share = hits / expected if expected else math.nan
        assert scored == pytest.approx(expected, nan_ok=True) and right == pytest.approx(share, nan_ok=True)


@given(st.integers(1, 500), st.data())
def test_the_interval_is_wilson_s(n: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, n))
    low, high = find_wilson(np.array([float(hits)]), np.array([float(n)]))
    expected = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert low[0] == pytest.approx(expected.low, abs=1e-9) and high[0] == pytest.approx(expected.high, abs=1e-9)
    assert all(np.isnan(bound[0]) for bound in find_wilson(np.zeros(1), np.zeros(1)))


def test_three_hundred_thousand_samples_are_compared_at_once() -> None:
    rng, count = np.random.default_rng(0), 300_000
    scores = rng.random((count, 1))
    verdict = np.where(rng.random(count) < 0.01, (rng.random(count) < scores[:, 0]).astype(int), UNSCORED)
    samples = make_input(count, query=np.arange(count) // 3, teacher=np.arange(count) % 3, factors=scores)
    started = time.perf_counter()
    order = order_samples(samples, read_selection(SelectionConfig(), {}, ["f=1"], ["top-share"]))
    line = trace(order, verdict.astype(np.int8), np.linspace(1, count, 100).round().astype(np.int64))
    assert time.perf_counter() - started < 3
    assert line.right[10] > line.right[50] > line.right[-1] and line.scored[-1] == (verdict != UNSCORED).sum()
