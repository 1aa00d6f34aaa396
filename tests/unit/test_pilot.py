"""What a pilot's figures come to, and which verdict follows from them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ErrorKind
from engine.evaluation.go_ahead import Bound, PilotVerdict, judge_pilot, list_bounds
from engine.evaluation.measures.score import wilson
from engine.evaluation.pilot import (
    FAILED,
    PILOT,
    READ,
    UNREAD,
    PilotFigures,
    PilotInput,
    estimate_ratio,
    find_outcome,
    measure_pilot,
    spread,
)
from engine.selection.comparison import RIGHT, UNSCORED, WRONG
from engine.values.report import Value

QUICK = settings(max_examples=30, deadline=None)
RANK = [PilotVerdict.NO, PilotVerdict.NOT_YET, PilotVerdict.GO]


def make(labels: list[list[int | None]], gold: list[int | None] | None = None, **changes: Any) -> PilotInput:
    """A pilot of one draw: a row a query, a label a teacher (None: no reply); `gold` by query."""
    asked = [(q, t, label) for q, row in enumerate(labels) for t, label in enumerate(row)]
    came = [(q, t, label) for q, t, label in asked if label is not None]
    query, teacher, label = (np.array(column, dtype=np.int64) for column in zip(*came, strict=True))
    golds = gold or [None] * len(labels)
    verdicts = [UNSCORED if golds[q] is None else RIGHT if golds[q] == said else WRONG for q, _, said in came]
    made = PilotInput(
        teachers=tuple(f"t{n}" for n in range(len(labels[0]))),
        asked_query=np.array([q for q, _, _ in asked]),
        asked_teacher=np.array([t for _, t, _ in asked]),
        outcome=np.array([FAILED if label is None else READ for _, _, label in asked]),
        query=query,
        teacher=teacher,
        label=label,
        kept=np.ones(len(came), dtype=bool),
        verdict=np.array(verdicts),
        cost=np.full(len(labels), 0.01),
        label_space=4,
        whole=1000,
    )
    return replace(made, **changes)


@QUICK
@given(st.integers(0, 400), st.integers(1, 60))
def test_a_pilot_is_spread_over_all_queries(total: int, most: int) -> None:
    taken = spread(list(range(total)), most)
    assert len(taken) == min(total, most) and taken == sorted(set(taken))
    gaps = np.diff([-1, *taken, total - 1 if total and taken[-1] == total - 1 else total])
    assert total <= most or gaps.max() <= total / most + 1
    assert spread(taken, most) == taken, "those that were asked are those that are judged"


def test_a_reply_without_a_label_is_a_reply_and_a_refused_key_is_none() -> None:
    assert find_outcome(True, ErrorKind.UNPARSABLE) == READ, "a later attempt gave it"
    assert find_outcome(False, "unparsable") == UNREAD and find_outcome(False, "refused") == UNREAD
    assert find_outcome(False, "auth") == FAILED and find_outcome(False, "of a later version") == FAILED


@pytest.mark.parametrize(
    "changes",
    [
        {"teachers": ("x", "y")},
        {"asked_query": np.array([1, 0])},
        {"asked_teacher": np.array([1, 0])},
        {"outcome": np.array([READ, FAILED])},
        {"query": np.array([1, 0])},
        {"teacher": np.array([1, 1])},
        {"label": np.array([1, 0])},
        {"kept": None},
        {"kept": np.array([True, False])},
        {"verdict": np.array([1, 1])},
        {"cost": np.array([0.5])},
        {"label_space": 3},
        {"whole": 99},
    ],
)
def test_what_pilots_hold_tells_them_apart(changes: dict[str, Any]) -> None:
    one, same = make([[0, 0]]), make([[0, 0]])

    assert one.fingerprint == same.fingerprint != replace(one, **changes).fingerprint


def test_figures_of_teachers_that_always_agree() -> None:
    found = measure_pilot(make([[n % 4] * 3 for n in range(30)], gold=[n % 4 for n in range(30)]))
    whole = Value(1.0, 30, *wilson(30, 30))
    assert found.agreed == found.right == found.kept_queries == found.replied == whole
    assert [teacher.agreement for teacher in found.teachers] == [whole] * 3
    assert [teacher.right for teacher in found.teachers] == [whole] * 3
    assert found.cost == Value(pytest.approx(10.0), 30, pytest.approx(10.0), pytest.approx(10.0))
    assert found.cost_each is not None and found.cost_each.value == pytest.approx(0.01 / 3)
    assert found.kept_in_all is not None and found.kept_in_all.value == 3000
    assert judge_pilot(found).verdict is PilotVerdict.GO


def test_agreement_is_that_of_pairs_and_the_majority_that_of_the_query() -> None:
    rows: list[list[int | None]] = [[0, 0, 1], [0, 1, 2], [3, 3, None], [1, None, None]]
    kept = np.array([True] * 4 + [False] * 5)
    found = measure_pilot(make(rows, gold=[0, 0, 2, 1], kept=kept))
    assert found.kept_right is not None and (found.kept_right.value, found.kept_right.n) == (0.75, 2)
    assert found.agreed is not None and found.right is not None
    assert (found.agreed.value, found.agreed.n) == (pytest.approx((1 / 3 + 0 + 1) / 3), 3)
    assert (found.right.value, found.right.n) == (0.5, 2), "0 for the first, and 3 where 2 is right"
    first, second, third = found.teachers
    assert first.agreement is not None and first.agreement.value == pytest.approx((0.5 + 0 + 1) / 3)
    assert third.replied == 2 and third.asked == 4
    assert second.right is not None and (second.right.value, second.right.n) == (pytest.approx(1 / 3), 3)


def test_reliability_finds_the_teacher_that_errs_and_needs_three() -> None:
    random = np.random.default_rng(5)
    rows: list[list[int | None]] = [
        [0, 0, 0 if random.random() < 0.4 else int(random.integers(1, 4))] for _ in range(40)
    ]
    good, other, bad = measure_pilot(make(rows)).teachers
    assert good.reliability is not None and bad.reliability is not None and other.reliability is not None
    assert bad.reliability.value < 0.6 < 0.9 < good.reliability.value
    assert bad.reliability.low is not None and bad.reliability.high is not None
    assert 0.2 < bad.reliability.low < bad.reliability.value < bad.reliability.high < 0.7
    assert measure_pilot(make([[0, 0] for _ in range(30)])).teachers[0].reliability is None


def test_what_costs_money_and_keeps_nothing_has_no_price_a_sample() -> None:
    rows: list[list[int | None]] = [[n % 4, (n + 1) % 4] for n in range(30)]
    none = measure_pilot(make(rows, kept=np.zeros(60, dtype=bool)))
    assert none.cost_each is None and none.kept is not None and none.kept.value == 0
    few = np.zeros(60, dtype=bool)
    few[0] = True
    rare = measure_pilot(make(rows, kept=few)).cost_each
    assert rare is not None and rare.value == pytest.approx(0.3) and rare.high is None, "a draw may keep nothing"
    unknown = measure_pilot(make(rows, cost=np.array([np.nan] + [0.1] * 29)))
    assert unknown.cost is None and unknown.cost_each is None and unknown.kept is not None
    assert measure_pilot(make(rows, kept=None)).kept_queries is None


def test_a_pilot_without_a_single_sample_has_figures_all_the_same() -> None:
    made = make([[0, 0]] * 9)
    nothing = np.zeros(0, dtype=np.int64)
    empty = {"query": nothing, "teacher": nothing, "label": nothing, "verdict": nothing, "kept": nothing > 0}
    found = measure_pilot(replace(made, outcome=np.full(18, FAILED), **empty))
    assert (found.answered, found.agreed, found.read, found.right, found.kept) == (0, None, None, None, None)
    judged = judge_pilot(found)
    assert judged.verdict is PilotVerdict.NOT_YET
    assert judged.decides is not None and judged.decides.bound.name == "replied"


@QUICK
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_an_interval_holds_its_ratio_and_is_the_same_each_time(pairs: list[tuple[int, int]]) -> None:
    over, under = (np.array(column) for column in zip(*[(min(a, b), max(a, b)) for a, b in pairs], strict=True))
    found = estimate_ratio(over, under, share=True)
    assert found == estimate_ratio(over, under, share=True)
    assert (found is None) == (under.sum() == 0)
    value = found or Value(0.5, 0, 0.0, 1.0)
    assert 0 <= (value.low or 0) <= value.value <= (value.high or 0) <= 1
    assert value.low != value.high or 0 < value.value < 1, "none or all of a few is not certain"


def figures(**changes: Value | None) -> PilotFigures:
    """Figures that all speak for going on."""
    sure = Value(0.9, 50, 0.85, 0.95)
    known = dict.fromkeys(("replied", "read", "agreed", "kept_queries", "kept", "right", "kept_right"), sure)
    values: dict[str, Any] = {**known, "cost": sure, "cost_each": sure, "kept_in_all": sure}
    return PilotFigures(
        **{"queries": 50, "answered": 50, "asked": 150, "whole": 900, "label_space": 4}
        | {"teachers": (), **values, **changes}
    )


def decided(**changes: Any) -> tuple[PilotVerdict, str]:
    found = judge_pilot(replace(figures(), **changes))
    return found.verdict, found.decides.bound.name if found.decides else ""


def test_the_rule_by_its_bounds() -> None:
    assert decided() == (PilotVerdict.GO, "")
    assert decided(kept_queries=Value(0.2, 50, 0.11, 0.33)) == (PilotVerdict.NOT_YET, "kept_queries")
    assert decided(kept_queries=Value(0.0, 50, 0.0, 0.04)) == (PilotVerdict.NO, "kept_queries")
    assert decided(read=Value(0.3, 50, 0.2, 0.4)) == (PilotVerdict.NO, "read")
    assert decided(right=Value(0.75, 50, 0.6, 0.86)) == (PilotVerdict.GO, "")
    assert decided(right=Value(0.4, 50, 0.28, 0.54)) == (PilotVerdict.NOT_YET, "right")
    unlike = Value(0.41, 50, 0.29, 0.54)
    assert decided(kept_right=Value(0.4, 50, 0.3, 0.48)) == (PilotVerdict.NO, "kept_right")
    assert decided(agreed=unlike, right=None) == (PilotVerdict.NOT_YET, "agreed")
    assert decided(agreed=unlike) == (PilotVerdict.GO, ""), "gold labels say more"
    assert decided(agreed=unlike, right=Value(1.0, 5, 0.57, 1.0)) == (PilotVerdict.NOT_YET, "agreed"), (
        "five of them don't"
    )
    assert decided(right=Value(0.0, 6, 0.0, 0.39)) == (PilotVerdict.NO, "right"), "but six wrong ones of six do"
    assert decided(agreed=None, right=None) == (PilotVerdict.NOT_YET, "")
    assert decided(kept_queries=None, right=None) == (PilotVerdict.GO, "")


def test_what_failed_says_nothing_against_teachers() -> None:
    lost = Value(0.4, 50, 0.3, 0.5)
    worse = Value(0.1, 9, 0.0, 0.2)
    assert decided(replied=lost, right=worse, read=worse) == (PilotVerdict.NOT_YET, "replied")
    assert decided(answered=12, right=worse) == (PilotVerdict.NOT_YET, "answered")


def test_teachers_must_agree_oftener_than_chance() -> None:
    two, open_ = (next(b for b in list_bounds(n) if b.name == "agreed") for n in (2, 100))
    assert (two.least, two.enough) == (pytest.approx(0.6), pytest.approx(0.75))
    assert (open_.least, open_.enough) == (pytest.approx(0.208), pytest.approx(0.505))


shares = st.floats(0, 1).map(lambda x: round(x, 3))
values = st.tuples(shares, shares, shares, st.integers(1, 50)).map(
    lambda given: Value(sorted(given[:3])[1], given[3], min(given[:3]), max(given[:3]))
)


@QUICK
@given(values, values, st.sampled_from(list_bounds(3)))
def test_a_higher_figure_is_never_worse(one: Value, other: Value, bound: Bound) -> None:
    low, high = min(one.low or 0, other.low or 0), min(one.high or 0, other.high or 0)
    worse = Value(min(one.value, other.value), 9, low, high)
    assert RANK.index(bound.judge(worse)) <= RANK.index(bound.judge(one))


@QUICK
@given(st.dictionaries(st.sampled_from(["replied", "read", "agreed", "kept_queries", "right"]), values | st.none()))
def test_it_is_go_only_where_all_that_is_known_is(changes: dict[str, Value | None]) -> None:
    found = judge_pilot(replace(figures(), **changes))  # type: ignore[arg-type]
    told = [mark.verdict for mark in found.marks if mark.verdict is not None]
    assert (found.verdict is PilotVerdict.GO) <= (set(told) == {PilotVerdict.GO})
    assert (found.verdict is PilotVerdict.NO) <= (PilotVerdict.NO in told)
    assert found.decides is None or found.decides.verdict is found.verdict


def test_a_pilot_is_fifty_queries() -> None:
    assert PILOT == 50 and len(spread(range(300), PILOT)) == 50
