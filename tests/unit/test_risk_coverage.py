"""What a student's confidence is worth: the curve of risk and coverage, its area, and the ranks behind it."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from app.usecases.evaluation.risk_charts import risk_plot_html, risk_rows, risk_svg
from app.usecases.playground.panes import Pane
from app.web.parts.panes import panes_html
from app.web.parts.risk import risk_html
from engine.evaluation.measures import calibration
from engine.evaluation.measures.coverage import COVERAGE, find_risk
from engine.evaluation.risk_coverage import (
    MOST_POINTS,
    Levels,
    RiskCoverage,
    find_area,
    find_auroc,
    measure_risk_coverage,
    trace_risk,
)
from engine.values import EvalItem

QUICK = settings(max_examples=40, deadline=None)
PAIRS = st.lists(st.tuples(st.integers(0, 6).map(lambda n: n / 6), st.booleans()), min_size=1, max_size=40)


def columns(pairs: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    confidence, right = (np.array(column, dtype=np.float64) for column in zip(*pairs, strict=True))
    return confidence, right


def answers(pairs: list[tuple[float | None, bool]], system: str = "stage3") -> list[EvalItem]:
    return [
        EvalItem(system, f"q{n}", None, "", None, 4, 0.1, right, log_prob=None if sure is None else math.log(sure))
        for n, (sure, right) in enumerate(pairs)
    ]


def measured(pairs: list[tuple[float | None, bool]], system: str = "stage3") -> RiskCoverage:
    found = measure_risk_coverage(system, answers(pairs, system))
    assert found is not None
    return found


def test_the_curve_by_hand_with_equals_in_it() -> None:
    confidence, right = columns([(0.9, True), (0.5, False), (0.5, True), (0.1, False)])
    assert trace_risk(confidence, right).tolist() == pytest.approx([0, 0.25, 1 / 3, 0.5])
    found = measured([(0.9, True), (0.5, False), (0.5, True), (0.1, False)])
    assert found.aurc.value == pytest.approx((0 + 0.25 + 1 / 3 + 0.5) / 4)
    assert found.auroc is not None and found.auroc.value == pytest.approx(0.875)


@QUICK
@given(PAIRS)
def test_the_order_of_answers_is_no_matter(pairs: list[tuple[float, bool]]) -> None:
    confidence, right = columns(pairs)
    risk = trace_risk(confidence, right)
    assert trace_risk(confidence[::-1], right[::-1]).tolist() == pytest.approx(risk.tolist())
    assert risk[-1] == pytest.approx(1 - right.mean()), "who answers all is wrong as often as all are"
    kept = max(1, round(COVERAGE * len(pairs)))
    assert risk[kept - 1] == pytest.approx(float(find_risk(confidence, right))), "the measure is a point of the curve"


@QUICK
@given(PAIRS, st.integers(0, 9))
def test_many_draws_at_once_are_each_what_the_textbook_says(pairs: list[tuple[float, bool]], seed: int) -> None:
    confidence, right = columns(pairs)
    levels, size = Levels.sort(confidence, right), len(pairs)
    drawn = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), 2)
    areas, aurocs = (of(levels, drawn) for of in (find_area, find_auroc))
    for place, times in enumerate(drawn):
        sure, truth = np.repeat(levels.confidence, times), np.repeat(levels.right, times)
        mixed = len(set(truth.tolist())) == 2
        expected = roc_auc_score(truth, sure) if mixed else math.nan
        assert areas[place] == pytest.approx(trace_risk(sure, truth).mean())
        assert aurocs[place] == pytest.approx(expected, nan_ok=True)


def test_a_student_that_knows_when_it_is_wrong() -> None:
    knows = measured([(0.9 - n / 1000, n < 80) for n in range(100)])
    assert knows.auroc is not None and knows.auroc.value == 1.0
    assert knows.risk[0] == 0 and knows.risk[-1] == pytest.approx(0.2) and knows.coverage[-1] == 1
    guesses = measured([(0.5 + n % 7 / 100, n % 5 > 0) for n in range(100)])
    assert guesses.auroc is not None and guesses.auroc.low is not None and guesses.auroc.high is not None
    assert guesses.auroc.low < 0.5 < guesses.auroc.high and knows.aurc.value < guesses.aurc.value
    assert guesses == measured([(0.5 + n % 7 / 100, n % 5 > 0) for n in range(100)]), "the same each time"


def test_answers_without_a_log_prob_are_left_out_and_none_has_no_curve() -> None:
    assert measure_risk_coverage("s", answers([(None, True), (None, False)])) is None
    found = measured([(0.9, True), (None, False), (0.3, False)])
    assert (found.answers, found.aurc.n) == (3, 2) and found.risk[-1] == 0.5
    right = measured([(0.9, True), (0.8, True)])
    assert right.auroc is None and risk_rows([right])[0]["AUROC"] == "-"
    assert len(measured([(0.2 + n / 2000, n % 2 > 0) for n in range(900)]).risk) <= MOST_POINTS
    assert risk_rows([found])[0]["Answers"] == "2 of 3"


def test_names_stand_at_the_ends_of_their_lines_and_cover_none() -> None:
    curves = [measured([(0.5 + n / 200, n % 4 > 0) for n in range(60)], name) for name in ("vanilla", "stage1", "<b>")]
    colours = dict.fromkeys(("vanilla", "stage1", "<b>"), "#0f825e")
    svg = risk_svg(curves, colours)
    names = re.findall(r"<text x='([\d.]+)' y='([\d.]+)'>([^<]+)</text>", svg)
    assert sorted(name for *_, name in names) == ["&lt;b&gt;", "Stage 1", "Untrained, zero-shot"]
    heights = sorted(float(y) for _, y, _ in names)
    assert all(later - earlier >= 14.9 for earlier, later in pairwise(heights))
    assert "<b>" not in svg and "100%" in svg and "wrong among them" in svg
    assert risk_plot_html(curves, colours).count("<svg") == 2 and risk_plot_html([], {}) == ""


def test_a_student_s_answer_shows_its_confidence_once_it_is_whole_and_says_what_it_is() -> None:
    said = Pane("stage3", "Answer: 12", 5, 0.2, over=True, whole=True, log_prob=math.log(0.8), label_tokens=2)
    assert said.confidence == pytest.approx(0.8) and said.label_log_prob == pytest.approx(2 * math.log(0.8))
    shown = panes_html([said])
    assert ">confidence 0.80</span> · 5 tokens" in shown and "(here 2 tokens)" in shown
    assert "The label as a whole has probability 0.64" in shown and "It is no chance to be right" in shown
    for other in (replace(said, over=False), replace(said, log_prob=None), Pane("ann", "Answer: 12", 5, over=True)):
        assert "confidence" not in panes_html([other])


def test_a_run_without_log_probs_says_so_in_a_line() -> None:
    told = risk_html([], {})
    assert "No log-probs are stored" in told and "<svg" not in told
    assert "Calibration error" in risk_html([measured([(0.9, True), (0.2, False)])], {"stage3": "#0f825e"})


def test_the_calibration_error_is_the_report_s_with_its_interval() -> None:
    pairs: list[tuple[float | None, bool]] = [(0.3 + n % 7 / 10, n % 3 > 0) for n in range(60)]
    assert measured(pairs).calibration == calibration.of(answers(pairs))
    assert measured([(0.7, True)]).calibration == calibration.of(answers([(0.7, True)])), "one answer has no interval"
