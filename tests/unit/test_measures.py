"""What a student's own log-probs are worth, whether its answers end, and how far it follows each teacher."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.usecases.evaluation.report_lines import more_lines
from engine.evaluation.measures import MEASURES
from engine.evaluation.measures.calibration import find_error
from engine.evaluation.measures.confidence import read_confidences
from engine.evaluation.measures.coverage import find_risk
from engine.evaluation.measures.score import wilson
from engine.evaluation.report import find_agreement, summarise
from engine.selection.calibration import measure_calibration
from engine.tasks import get_task
from engine.values import EvalItem, make_query
from engine.values.report import Value

QUICK = settings(max_examples=60, deadline=None)
PAIRS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


def answer(
    number: int, confidence: float | None, correct: bool, finished: bool | None = True, **agrees: bool
) -> EvalItem:
    log_prob = None if confidence is None else math.log(confidence)
    item = EvalItem("s", f"q{number}", None, "Answer: 1", "1", 4, 0.1, correct)
    return EvalItem(**{**vars(item), "finished": finished, "log_prob": log_prob, "agrees": agrees})


def value_of(name: str, items: list[EvalItem]) -> Value:
    found = MEASURES.get(name).of(items)
    assert isinstance(found, Value)
    return found


def test_a_confidence_is_the_geometric_mean_probability_of_the_label_s_tokens() -> None:
    items = [answer(0, 0.25, True), answer(1, None, True), answer(2, 1.0, False)]
    confidence, right = read_confidences(items)
    assert confidence.tolist() == pytest.approx([0.25, 1.0]) and right.tolist() == [1.0, 0.0]


@QUICK
@given(PAIRS)
def test_the_calibration_error_is_the_one_that_selection_has_and_many_at_a_time_are_each_its_own(
    pairs: list[tuple[float, bool]],
) -> None:
    confidence, right = (np.array(column, dtype=np.float64) for column in zip(*pairs, strict=True))
    expected = measure_calibration(confidence, right.astype(np.bool_)).error
    assert float(find_error(confidence, right)) == pytest.approx(expected)
    both = find_error(np.stack([confidence, confidence[::-1]]), np.stack([right, right[::-1]]))
    assert both.tolist() == pytest.approx([expected, expected])


def test_a_student_that_is_as_right_as_it_is_sure_has_no_calibration_error() -> None:
    fair = [answer(n, 0.75, n % 4 > 0) for n in range(200)]
    proud = [answer(n, 0.95, n % 4 > 0) for n in range(200)]
    assert value_of("calibration", fair).value == pytest.approx(0, abs=1e-9)
    found = value_of("calibration", proud)
    assert found.value == pytest.approx(0.2) and found.n == 200
    assert 0.13 < found.low < 0.2 < found.high < 0.28  # type: ignore[operator]  # 0.2 +- 1.96 * .0306


def test_the_risk_is_of_the_surest_answers() -> None:
    items = [answer(n, 0.9 if n < 8 else 0.1, n >= 2 and n < 8) for n in range(10)]
    assert value_of("risk", items).value == pytest.approx(2 / 8)
    ties = [answer(n, 0.5, n < 6) for n in range(10)]
    assert value_of("risk", ties).value == pytest.approx(0.4), "which of equals are kept is nobody's choice"


@QUICK
@given(PAIRS)
def test_the_risk_is_that_of_the_sorted_answers_whatever_their_order(pairs: list[tuple[float, bool]]) -> None:
    confidence, right = (np.array(column, dtype=np.float64) for column in zip(*pairs, strict=True))
    kept = max(1, round(0.8 * len(pairs)))
    bar = sorted(confidence, reverse=True)[kept - 1]
    sure = [not ok for value, ok in pairs if value > bar]
    level = [not ok for value, ok in pairs if value == bar]
    expected = (sum(sure) + (kept - len(sure)) * sum(level) / len(level)) / kept
    assert float(find_risk(confidence, right)) == pytest.approx(expected)
    assert float(find_risk(confidence[::-1], right[::-1])) == pytest.approx(expected)


def test_intervals_are_the_same_each_time_and_one_answer_has_none() -> None:
    items = [answer(n, 0.5 + n / 100, n % 3 > 0) for n in range(40)]
    for name in ("calibration", "risk"):
        first = value_of(name, items)
        assert first == value_of(name, items)
        assert first.low is not None and first.high is not None and first.low <= first.value <= first.high
        assert value_of(name, items[:1]) == Value(value_of(name, items[:1]).value, 1)
        assert MEASURES.get(name).of([answer(0, None, True)]) is None


def test_answers_that_ended_are_counted_among_those_of_which_it_is_known() -> None:
    items = [answer(0, None, True), answer(1, None, True, finished=False), answer(2, None, True, finished=None)]
    assert value_of("ended", items) == Value(0.5, 2, *wilson(1, 2))
    assert MEASURES.get("ended").of(items[2:]) is None


def test_agreement_is_told_for_each_teacher_over_the_queries_it_answered() -> None:
    items = [answer(0, None, True, ann=True, bob=True), answer(1, None, False, ann=False)]
    found = MEASURES.get("fidelity").of(items)
    assert isinstance(found, Mapping)
    assert dict(found) == {"ann": Value(0.5, 2, *wilson(1, 2)), "bob": Value(1.0, 1, *wilson(1, 1))}


def test_equal_labels_agree_however_they_are_written_and_none_agrees_with_nothing() -> None:
    task, query = get_task("math"), make_query("What is 3 / 4 + 1 / 4?")
    key = task.normalise(query, "1.0")
    assert key is not None
    assert find_agreement(task, query, "1", {"ann": key, "bob": "2"}) == {"ann": True, "bob": False}
    assert find_agreement(task, query, None, {"ann": key}) == {"ann": False}


def test_a_report_has_the_measures_that_are_known_and_shows_no_empty_column() -> None:
    new = [answer(n, 0.9, n % 2 > 0, ann=True, bob=n > 0) for n in range(4)]
    old = [EvalItem("old", item.query_id, None, "1", "1", 4, 0.1, True) for item in new]
    rows = summarise([*new, *old])
    assert set(rows[0].values) >= {"calibration", "risk", "ended", "fidelity:ann", "fidelity:bob"}
    assert not set(rows[1].values) & {"calibration", "risk", "ended", "fidelity:ann"}
    first, second = more_lines(rows)
    assert first["agrees with ann"].startswith("1.00 [") and first["agrees with bob"].startswith("0.75 [")
    others = {"calibration error", "ended by itself", "wrong of its surest 80%"}
    assert set(first) == {"system", "agrees with ann", "agrees with bob", *others}
    assert set(second.values()) == {"old", "-"}
    assert more_lines(rows[1:]) == [], "a report of before is shown as it was"
