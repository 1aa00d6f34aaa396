from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import StateError
from engine.evaluate import auroc, compare, recommend, score_item, summarise, wilson
from engine.tasks import get_task
from engine.types import Choice, EvalItem, ReportRow, make_query

QUICK = settings(max_examples=100, deadline=None)
TASK = get_task("choice")
QUERY = make_query("Which?", (Choice("A", "x"), Choice("B", "y")), kind="sums")


def item(system: str, query: str, correct: bool | None, tokens: int = 4, kind: str | None = None) -> EvalItem:
    return EvalItem(system, query, kind, "text", "B" if correct else None, tokens, None, correct)


def test_wilson_gives_published_values() -> None:
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


@QUICK
@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_interval_holds_its_share_and_mirrors(drawn: tuple[int, int]) -> None:
    hits, n = drawn
    low, high = wilson(hits, n)
    assert 0 <= low <= hits / n <= high <= 1
    assert wilson(n - hits, n) == pytest.approx((1 - high, 1 - low))


def test_an_answer_is_read_and_verified() -> None:
    said = EvalItem("s", QUERY.id, None, "Because.\nAnswer: (B)", None, 7, 0.5, None)
    scored = score_item(TASK, QUERY, "B", said)
    assert (scored.label, scored.correct, scored.kind, scored.tokens, scored.latency_s) == ("B", True, "sums", 7, 0.5)
    assert score_item(TASK, QUERY, "A", said).correct is False
    silent = score_item(TASK, QUERY, "B", replace(said, text="It is hard to say."))
    assert (silent.label, silent.correct) == (None, False)


def test_a_given_label_is_taken_where_the_text_is_not_to_be_read() -> None:
    said = EvalItem("s", QUERY.id, None, "Answer: A", "B", 7, None, None)
    assert score_item(TASK, QUERY, "B", said, read=False).correct is True
    assert score_item(TASK, QUERY, "B", replace(said, label=None), read=False).correct is False


def test_a_summary_has_a_row_for_all_and_one_a_kind() -> None:
    items = [
        item("late", "q1", True, 2, "a"),
        item("late", "q2", False, 4, "b"),
        item("late", "q3", True, 6, "a"),
        item("early", "q1", True, 8),
    ]
    rows = summarise(items)
    assert [(r.name, r.kind, r.n) for r in rows] == [
        ("late", "all", 3),
        ("late", "a", 2),
        ("late", "b", 1),
        ("early", "all", 1),
    ]
    whole = rows[0]
    assert whole.accuracy == whole.parse_rate == pytest.approx(2 / 3)
    assert (whole.ci_low, whole.ci_high) == wilson(2, 3)
    assert (whole.mean_output_tokens, whole.p95_output_tokens) == (4.0, pytest.approx(5.8))
    assert whole.mean_latency_s is None


def test_items_without_gold_are_not_summed_up() -> None:
    with pytest.raises(StateError, match="no gold"):
        summarise([item("s", "q1", True), item("s", "q2", None)])


def test_a_comparison_uses_only_queries_both_answered() -> None:
    items = [item("new", f"q{n}", n < 6) for n in range(8)] + [item("old", f"q{n}", n < 3) for n in range(2, 12)]
    found = compare(items, "new", "old")
    assert found is not None
    assert (found.name, found.baseline, found.n, found.difference) == ("new", "old", 6, 3 / 6)
    assert compare(items, "new", "nobody") is None


def test_the_interval_of_a_difference_is_that_of_agresti_and_min() -> None:
    items = [item("new", f"q{n}", n < 15) for n in range(30)] + [item("old", f"q{n}", 10 <= n < 20) for n in range(30)]
    found = compare(items, "new", "old")
    assert found is not None
    up, down, total = 10.5, 5.5, 32
    half = 1.959964 * math.sqrt((up + down) - (up - down) ** 2 / total) / total
    assert (found.ci_low, found.ci_high) == pytest.approx(((up - down) / total - half, (up - down) / total + half))


@QUICK
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_swapping_the_systems_mirrors_the_difference(pairs: list[tuple[bool, bool]]) -> None:
    items = [item(name, f"q{n}", right) for n, pair in enumerate(pairs) for name, right in zip("ab", pair, strict=True)]
    one, other = compare(items, "a", "b"), compare(items, "b", "a")
    assert one is not None
    assert other is not None
    assert one.difference == -other.difference
    assert (one.ci_low, one.ci_high) == pytest.approx((-other.ci_high, -other.ci_low))
    assert -1 <= one.ci_low <= one.ci_high <= 1


@QUICK
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 0.9, 1.0]), st.booleans()), max_size=25))
def test_auroc_is_the_chance_to_rank_a_right_answer_higher(drawn: list[tuple[float, bool]]) -> None:
    good = [score for score, right in drawn if right]
    bad = [score for score, right in drawn if not right]
    found = auroc([score for score, _ in drawn], [right for _, right in drawn])
    if not good or not bad:
        assert found is None
    else:
        wins = sum((g > b) + 0.5 * (g == b) for g in good for b in bad)
        assert found == pytest.approx(wins / (len(good) * len(bad)))


def row(name: str, accuracy: float, high: float, tokens: float, kind: str = "all") -> ReportRow:
    return ReportRow(name, kind, 100, accuracy, 2 * accuracy - high, high, 1.0, tokens, tokens)


def test_the_shortest_stage_within_reach_of_the_best_is_recommended() -> None:
    rows = [row("stage1", 0.80, 0.87, 90), row("stage2", 0.76, 0.83, 30), row("stage3", 0.6, 0.7, 4)]
    assert recommend(rows, ["stage1", "stage2", "stage3"]) == "stage2"
    assert recommend([*rows[:2], row("stage3", 0.75, 0.82, 4)], ["stage1", "stage2", "stage3"]) == "stage3"
    assert recommend(rows, ["stage1", "stage3"]) == "stage1"


def test_only_named_stages_over_all_kinds_are_recommended() -> None:
    rows = [row("stage1", 0.5, 0.6, 90), row("vanilla", 0.9, 0.95, 1), row("stage3", 0.5, 0.6, 4, kind="sums")]
    assert recommend(rows, ["stage1", "stage3"]) == "stage1"
    assert recommend(rows, ["stage9"]) is None
