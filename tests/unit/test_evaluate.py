from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import StateError
from engine.evaluation.measures import MEASURES
from engine.evaluation.measures.score import wilson
from engine.evaluation.report import auroc, compare, recommend, score_item, summarise
from engine.tasks import get_task
from engine.values import Choice, EvalItem, make_query
from engine.values.report import WHOLE, ReportRow, Value

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
        ("late", WHOLE, 3),
        ("late", "a", 2),
        ("late", "b", 1),
        ("early", WHOLE, 1),
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


def answers(system: str, right: Iterable[int], n: int, tokens: int) -> list[EvalItem]:
    rights = set(right)
    return [item(system, f"q{number}", number in rights, tokens) for number in range(n)]


def test_a_shorter_one_that_is_significantly_lower_is_not_shipped() -> None:
    best, short = answers("stage1", range(48), 60, 90), answers("stage3", range(42), 60, 4)
    bare = answers("vanilla", range(10), 60, 50)
    found = recommend([*best, *short, *bare], ["stage1", "stage3"], ["vanilla"])
    paired = compare([*best, *short], "stage3", "stage1")
    assert paired is not None and paired.ci_high < 0
    assert found is not None and (found.ship, found.best, found.n) == ("stage1", "stage1", 60)


def test_one_that_can_not_be_told_from_the_best_is_not_no_worse() -> None:
    items = [*answers("stage1", range(24), 30, 90), *answers("stage3", range(22), 30, 4)]
    items += answers("vanilla", range(2), 30, 50)
    found = recommend(items, ["stage1", "stage3"], ["vanilla"])
    assert found is not None and found.ship == "stage1"


def test_the_fewest_tokens_win_among_those_within_the_margin() -> None:
    items = [*answers("stage1", range(800), 1000, 90), *answers("stage2", range(795), 1000, 30)]
    items += [*answers("stage3", range(750), 1000, 4), *answers("vanilla", range(300), 1000, 50)]
    stages = ["stage1", "stage2", "stage3"]
    found = recommend(items, stages, ["vanilla"])
    assert found is not None and found.behind is not None and found.gained is not None
    assert (found.ship, found.best, found.baseline) == ("stage2", "stage1", "vanilla")
    assert found.behind.difference == pytest.approx(-0.005) and found.behind.ci_low >= -0.02
    assert found.gained.name == "stage2" and found.gained.difference == pytest.approx(0.495)
    wide, narrow = (recommend(items, stages, ["vanilla"], margin) for margin in (0.1, 0.0))
    assert wide is not None and wide.ship == "stage3"
    assert narrow is not None and narrow.ship == "stage1"


def test_of_equal_scores_the_one_with_fewer_tokens_is_the_best() -> None:
    items = [*answers("stage1", range(20), 30, 90), *answers("stage3", range(5, 25), 30, 4)]
    found = recommend([*items, *answers("vanilla", [], 30, 9)], ["stage1", "stage3"], ["vanilla"])
    assert found is not None and (found.ship, found.behind) == ("stage3", None)


def test_nothing_is_shipped_that_does_not_beat_the_better_of_the_untrained() -> None:
    items = [*answers("stage1", range(5), 30, 90), *answers("stage3", range(2), 30, 4)]
    few, zero = answers("few", range(10, 15), 30, 50), answers("zero", [20], 30, 60)
    found = recommend([*items, *few, *zero], ["stage1", "stage3"], ["zero", "few"])
    assert found is not None and found.gained is not None
    assert (found.ship, found.best, found.baseline, found.n) == (None, "stage1", "few", 30)
    assert found.gained.ci_low <= 0 and found.gained.baseline == "few"
    alone = recommend(answers("stage1", range(30), 30, 90), ["stage1"], ["few"])
    assert alone is not None and (alone.ship, alone.baseline, alone.gained) == (None, None, None)


def test_baselines_are_candidates_and_teachers_are_not() -> None:
    items = [*answers("stage3", range(60), 200, 4), *answers("standard-kd", range(150), 200, 4)]
    items += [*answers("vanilla", range(20), 200, 50), *answers("teacher", range(200), 200, 1)]
    found = recommend(items, ["stage3", "standard-kd"], ["vanilla"])
    assert found is not None and found.ship == "standard-kd"
    assert recommend(items, ["stage9"], ["vanilla"]) is None


@QUICK
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=80), st.floats(0, 0.3))
def test_what_is_shipped_is_always_within_the_margin_and_above_the_untrained(
    rights: list[tuple[bool, bool, bool]], margin: float
) -> None:
    names = ("stage1", "stage3", "vanilla")
    items = [
        item(name, f"q{place}", right, tokens)
        for place, row in enumerate(rights)
        for name, right, tokens in zip(names, row, (9, 2, 5), strict=True)
    ]
    found = recommend(items, ["stage1", "stage3"], ["vanilla"], margin)
    assert found is not None
    scores = {name: sum(bool(i.correct) for i in items if i.system == name) for name in names}
    assert scores[found.best] == max(scores["stage1"], scores["stage3"])
    shipped = [found.ship] if found.ship else []
    gains = [compare(items, name, "vanilla") for name in shipped]
    behind = [compare(items, name, found.best) for name in shipped if name != found.best]
    assert all(gain is not None and gain.ci_low > 0 for gain in gains)
    assert all(other is not None and other.ci_low >= -margin for other in behind)


def test_a_kind_that_is_called_all_is_a_kind_like_any_other() -> None:
    items = [item("s", "q1", True, 2, "all"), item("s", "q2", False, 4, "other"), item("s", "q3", True, 6, "")]
    rows = {row.kind: (row.n, row.accuracy) for row in summarise(items)}
    assert rows == {WHOLE: (3, pytest.approx(2 / 3)), "all": (1, 1.0), "other": (1, 0.0)}


def test_what_a_thousand_answers_cost_is_known_where_each_is() -> None:
    items = [EvalItem("ann", f"q{n}", None, "Answer: 1", "1", 4, 0.1, True, cost=0.002 * n) for n in range(3)]
    (row,) = summarise(items)
    assert row.values["cost"] == Value(2.0, 3) and MEASURES.get("cost").show(row.values["cost"]) == "$2.0000"
    (unknown,) = summarise([*items, replace(items[0], query_id="q9", cost=None)])
    assert "cost" not in unknown.values and ReportRow.from_dict(row.to_dict()) == row
