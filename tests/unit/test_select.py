from __future__ import annotations

import dataclasses
from collections import defaultdict
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ConfigError
from engine.selection.arrays import REASONS, SelectionInput
from engine.selection.select import select, weigh
from engine.selection.settings import NONE, SelectionConfig, dcrs
from engine.values import Reason

QUICK = settings(max_examples=100, deadline=None)
NAMES = ("reasoning", "answer", "clarity")
UNRETAINED = (Reason.BELOW_THRESHOLD, Reason.NO_CONFIDENCE, Reason.TEACHERS_DIFFER)


def make_input(rows: list[tuple[Any, ...]], order: list[int] | None = None) -> SelectionInput:
    """Rows of (query, teacher, label, factors, vector)."""
    return SelectionInput(
        query=np.array([row[0] for row in rows], dtype=np.int64),
        teacher=np.array([row[1] for row in rows], dtype=np.int64),
        label=np.array([row[2] for row in rows], dtype=np.int64),
        order=np.array(order if order is not None else range(len(rows)), dtype=np.int64),
        factors=np.array([row[3] for row in rows], dtype=np.float64).reshape(len(rows), len(NAMES)),
        names=NAMES,
        embeddings=np.array([row[4] for row in rows], dtype=np.float32),
    )


def reasons_of(rows: list[tuple[Any, ...]], config: SelectionConfig) -> list[Reason]:
    return [REASONS[code] for code in select(make_input(rows), config).reason]


def row(query: int, teacher: int, vector: tuple[float, ...], label: int = 0, score: float = 1.0) -> tuple[Any, ...]:
    return (query, teacher, label, (score, score, score), vector)


scores = st.sampled_from([0.0, 0.5, 0.9, 0.95, 1.0, float("nan")])
vectors = st.tuples(*[st.integers(-3, 3)] * 3)
sample_rows = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 2), st.tuples(scores, scores, scores), vectors),
    min_size=1,
    max_size=24,
)
configs = st.just(NONE.config) | st.builds(
    dcrs,
    threshold=st.sampled_from([0.0, 0.5, 0.8, 0.95, 1.0]),
    weights=st.sampled_from([{}, {"answer": 1.0}, {"reasoning": 0.2, "clarity": 0.7}]),
    few=st.sampled_from(["keep", "require_three"]),
    disagreement=st.sampled_from(["keep", "majority", "drop"]),
)


@QUICK
@given(sample_rows, configs, st.randoms(use_true_random=False))
def test_row_order_and_teacher_naming_do_not_matter(rows: list[Any], config: SelectionConfig, rng: Any) -> None:
    base = select(make_input(rows), config)
    places = list(range(len(rows)))
    rng.shuffle(places)
    names = list(range(9))
    rng.shuffle(names)
    renamed = [(rows[p][0], names[rows[p][1]], *rows[p][2:]) for p in places]
    other = select(make_input(renamed, order=places), config)
    assert other.reason.tolist() == base.reason[places].tolist()
    assert np.array_equal(other.similarity, base.similarity[places], equal_nan=True)
    assert np.array_equal(other.confidence, base.confidence[places], equal_nan=True)
    assert other.disagreements == base.disagreements


@QUICK
@given(sample_rows, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_retains_a_subset(rows: list[Any], one: float, two: float) -> None:
    low, high = sorted((one, two))
    loose, tight = (reasons_of(rows, dcrs(threshold=t)) for t in (low, high))
    assert all(a not in UNRETAINED for a, b in zip(loose, tight, strict=True) if b not in UNRETAINED)


@QUICK
@given(sample_rows, configs)
def test_every_sample_has_a_reason_and_a_query_keeps_at_most_two(rows: list[Any], config: SelectionConfig) -> None:
    chosen = select(make_input(rows), config)
    reasons = [REASONS[code] for code in chosen.reason]
    assert len(reasons) == len(rows)
    assert chosen.kept.tolist() == [reason.kept for reason in reasons]
    if config.rules:
        kept = chosen.kept
        assert np.bincount(chosen_queries(rows)[kept], minlength=1).max() <= 2
        assert all((r is Reason.NO_CONFIDENCE) == np.isnan(c) for r, c in zip(reasons, chosen.confidence, strict=True))


def chosen_queries(rows: list[Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array([row[0] for row in rows], dtype=np.int64)


def exact_cosine(a: tuple[int, ...], b: tuple[int, ...]) -> float:
    norm = float(np.sqrt(sum(x * x for x in a) * sum(x * x for x in b)))
    return sum(x * y for x, y in zip(a, b, strict=True)) / norm if norm else 0.0


def oracle_pair(rows: list[Any], members: list[int]) -> tuple[int, int, float]:
    """The least similar pair of different teachers; of equal ones the first in the order of ids."""
    pairs = [
        (a, b, exact_cosine(rows[a][4], rows[b][4])) for a, b in combinations(members, 2) if rows[a][1] != rows[b][1]
    ]
    least = min(cosine for _, _, cosine in pairs)
    return next((a, b, cosine) for a, b, cosine in pairs if cosine <= least + 1e-9)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), vectors), min_size=1, max_size=20))
def test_the_kept_pair_is_the_least_similar_of_different_teachers(drawn: list[Any]) -> None:
    rows = [row(query, teacher, vector) for query, teacher, vector in drawn]
    chosen = select(make_input(rows), SelectionConfig())
    by_query: dict[int, list[int]] = defaultdict(list)
    for place, sample in enumerate(rows):
        by_query[sample[0]].append(place)
    for members in by_query.values():
        if len(members) < 3 or len({rows[m][1] for m in members}) < 2:
            continue
        left, right, cosine = oracle_pair(rows, members)
        pair = [m for m in members if REASONS[chosen.reason[m]] is Reason.KEPT_PAIR]
        assert pair == [left, right]
        assert chosen.similarity[left] == pytest.approx(cosine, abs=1e-5)
        assert all(REASONS[chosen.reason[m]] is Reason.NOT_IN_PAIR for m in members if m not in pair)


def test_scaling_a_vector_does_not_change_the_pair() -> None:
    rows = [row(0, 0, (1, 0, 0)), row(0, 1, (0.6, 0.8, 0)), row(0, 2, (30, 40, 50))]
    scaled = [(*r[:4], tuple(100 * x for x in r[4])) for r in rows]
    assert reasons_of(rows, SelectionConfig()) == reasons_of(scaled, SelectionConfig())


def test_raising_the_threshold_can_change_a_pair() -> None:
    rows = [
        row(0, 0, (1, 0), score=0.99),
        row(0, 1, (-1, 0), score=0.9),
        row(0, 2, (0, 1), score=0.99),
        row(0, 3, (1, 1), score=0.99),
    ]
    loose = select(make_input(rows), dcrs(threshold=0.5))
    tight = select(make_input(rows), dcrs(threshold=0.95))
    assert loose.kept.tolist() == [True, True, False, False]
    assert tight.kept.tolist() == [True, False, True, False]


@QUICK
@given(st.lists(st.floats(1e-3, 1e3), min_size=3, max_size=3))
def test_the_threshold_itself_is_kept_under_every_weighting(weights: list[float]) -> None:
    rows = [row(0, 0, (1, 0), score=0.95), row(0, 1, (0, 1), score=0.9499)]
    config = dcrs(threshold=0.95, weights=dict(zip(NAMES, weights, strict=True)))
    assert reasons_of(rows, config) == [Reason.KEPT_FEW, Reason.BELOW_THRESHOLD]


def test_weights_are_normalised() -> None:
    factors = np.array([[1.0, 0.5, 0.0]])
    one, _ = weigh(factors, NAMES, {"reasoning": 1, "answer": 1})
    many, _ = weigh(factors, NAMES, {"reasoning": 10, "answer": 10, "clarity": 0})
    assert one[0] == many[0] == pytest.approx(0.75)


def test_a_missing_factor_renormalises_the_others_and_is_flagged() -> None:
    factors = np.array([[0.9, np.nan, 0.6], [0.9, 0.3, 0.6], [np.nan] * 3, [0.9, 0.3, np.nan]])
    weights = {"reasoning": 2.0, "answer": 1.0}
    confidence, renormalised = weigh(factors, NAMES, weights)
    assert confidence[:2] == pytest.approx([0.9, 0.7])
    assert np.isnan(confidence[2])
    assert renormalised.tolist() == [True, False, True, False]


UNKNOWN = float("nan")


@pytest.mark.parametrize(
    ("weights", "known"),
    [
        ({"reasoning": 1.0, "answer": 1.0}, True),
        ({"reasoning": 0.8, "answer": 0.2}, True),
        ({"reasoning": 0.1, "answer": 0.1, "clarity": 0.2}, False),
        ({"reasoning": 0.2, "answer": 0.8}, False),
        ({}, False),
    ],
)
def test_less_than_half_of_the_weight_is_no_confidence(weights: dict[str, float], known: bool) -> None:
    rows = [(0, 0, 0, (1.0, UNKNOWN, UNKNOWN), (1, 0))]
    chosen = select(make_input(rows), dcrs(threshold=0, weights=weights))
    assert [REASONS[code] for code in chosen.reason] == [Reason.KEPT_FEW if known else Reason.NO_CONFIDENCE]
    assert bool(np.isnan(chosen.confidence[0])) is not known


@QUICK
@given(sample_rows, st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 1.0]), min_size=3, max_size=3))
def test_a_sample_has_a_confidence_exactly_where_half_of_the_weight_is_known(
    rows: list[Any], weights: list[float]
) -> None:
    if sum(weights) == 0:
        weights[0] = 1.0
    chosen = select(make_input(rows), dcrs(threshold=0, weights=dict(zip(NAMES, weights, strict=True))))
    for (*_, factors, _), confidence in zip(rows, chosen.confidence, strict=True):
        known = sum(w for w, m in zip(weights, factors, strict=True) if m == m)
        assert bool(np.isnan(confidence)) is (known < sum(weights) / 2 - 1e-9)


def by_agreement(rows: list[tuple[Any, ...]], threshold: float = 0.6, disagreement: str = "keep") -> list[Reason]:
    """Reasons where the only factor is an agreement, the first score of each row."""
    samples = make_input(rows)
    samples = dataclasses.replace(samples, factors=samples.factors[:, :1], names=("agreement",))
    config = SelectionConfig.model_validate(
        {"threshold": threshold, "weights": {"agreement": 1}, "disagreement": disagreement}
    )
    return [REASONS[code] for code in select(samples, config).reason]


def test_two_teachers_that_differ_are_told_so() -> None:
    rows = [
        *(row(0, 0, (1, 0), label=1, score=0.4), row(0, 1, (0, 1), label=2, score=0.4)),
        *(row(1, 0, (1, 0), label=1, score=0.9), row(1, 1, (0, 1), label=1, score=0.9)),
        *(row(2, teacher, (1, 0), label=teacher, score=0.3) for teacher in range(3)),
        *(row(3, 0, (1, 0), label=label, score=0.4) for label in (1, 2)),
    ]
    reasons = by_agreement(rows)
    assert reasons[:2] == [Reason.TEACHERS_DIFFER] * 2
    assert reasons[2:4] == [Reason.KEPT_FEW] * 2
    assert reasons[4:] == [Reason.BELOW_THRESHOLD] * 5


def test_two_teachers_that_differ_below_their_own_scores_are_below_the_threshold() -> None:
    rows = [row(0, 0, (1, 0), label=1, score=0.4), row(0, 1, (0, 1), label=2, score=0.4)]
    assert reasons_of(rows, SelectionConfig()) == [Reason.BELOW_THRESHOLD] * 2


def test_without_any_score_a_sample_is_not_kept_even_at_threshold_zero() -> None:
    nothing = (float("nan"),) * 3
    rows = [(0, 0, 0, nothing, (1, 0)), row(0, 1, (0, 1), score=0.0)]
    assert reasons_of(rows, dcrs(threshold=0)) == [Reason.NO_CONFIDENCE, Reason.KEPT_FEW]


def test_a_weight_on_an_unknown_factor_is_refused() -> None:
    with pytest.raises(ConfigError, match="helpfulness"):
        select(make_input([row(0, 0, (1, 0))]), dcrs(weights={"helpfulness": 1}))


def test_one_or_two_retained_samples_are_all_kept() -> None:
    rows = [row(0, 0, (1, 0)), row(1, 0, (1, 0)), row(1, 1, (0, 1)), row(1, 2, (0, 1), score=0.1)]
    expected = [Reason.KEPT_FEW, Reason.KEPT_FEW, Reason.KEPT_FEW, Reason.BELOW_THRESHOLD]
    assert reasons_of(rows, SelectionConfig()) == expected


def test_require_three_counts_teachers_not_draws() -> None:
    rows = [
        *(row(0, teacher, (teacher, 1)) for teacher in (0, 0, 1, 1)),
        *(row(1, teacher, (teacher, 1)) for teacher in (0, 1, 2)),
        row(2, 0, (1, 0)),
    ]
    config = dcrs(few="require_three")
    reasons = reasons_of(rows, config)
    assert reasons[:4] == [Reason.TOO_FEW_TEACHERS] * 4
    assert sorted(reasons[4:7]) == [Reason.KEPT_PAIR, Reason.KEPT_PAIR, Reason.NOT_IN_PAIR]
    assert reasons[7] is Reason.TOO_FEW_TEACHERS


def test_many_draws_of_one_teacher_leave_its_two_most_confident() -> None:
    rows = [row(0, 0, (1, 0), score=score) for score in (0.96, 0.99, 0.97, 0.99)]
    assert select(make_input(rows), SelectionConfig()).kept.tolist() == [False, True, False, True]


def disagreeing() -> list[tuple[Any, ...]]:
    """Query 0: the least similar pair differs, 2 to 1. Query 1: two differ. Query 2: the odd one out is in no pair."""
    return [
        *(row(0, 0, (1, 0), label=1), row(0, 1, (-1, 0), label=2), row(0, 2, (0.9, 0.1), label=1)),
        *(row(1, 0, (1, 0), label=3), row(1, 1, (0, 1), label=4)),
        *(row(2, 0, (1, 0), label=5), row(2, 1, (0, 1), label=5), row(2, 2, (0.9, 0.1), label=6)),
    ]


def test_keep_leaves_disagreeing_pairs_and_counts_queries_whose_retained_samples_disagree() -> None:
    chosen = select(make_input(disagreeing()), dcrs(disagreement="keep"))
    assert chosen.kept.tolist() == [True, True, False, True, True, True, True, False]
    assert chosen.disagreements == 3


def test_majority_settles_the_label_before_the_pair_is_chosen() -> None:
    chosen = select(make_input(disagreeing()), dcrs(disagreement="majority"))
    reasons = [REASONS[code] for code in chosen.reason]
    assert reasons[:3] == [Reason.KEPT_PAIR, Reason.LABEL_MINORITY, Reason.KEPT_PAIR]
    assert chosen.similarity[0] == chosen.similarity[2] == pytest.approx(0.9 / np.sqrt(0.82))
    assert reasons[3:5] == [Reason.LABELS_DISAGREE] * 2, "neither of two that differ is a minority"
    assert reasons[5:] == [Reason.KEPT_PAIR, Reason.KEPT_PAIR, Reason.LABEL_MINORITY]
    assert chosen.disagreements == 3


def test_a_rejected_sample_has_no_vote_in_the_majority() -> None:
    rows = [*disagreeing()[:2], row(0, 2, (0.9, 0.1), label=1, score=0.2)]
    assert reasons_of(rows, dcrs(disagreement="majority"))[:2] == [Reason.LABELS_DISAGREE] * 2


def test_drop_leaves_out_queries_whose_retained_samples_disagree() -> None:
    agreeing = [row(3, teacher, (teacher, 1), label=7) for teacher in range(3)]
    reasons = reasons_of([*disagreeing(), *agreeing], dcrs(disagreement="drop"))
    assert reasons[:8] == [Reason.LABELS_DISAGREE] * 8
    assert sorted(reasons[8:]) == [Reason.KEPT_PAIR, Reason.KEPT_PAIR, Reason.NOT_IN_PAIR]


def test_four_draws_of_one_teacher_do_not_outvote_two_others() -> None:
    rows = [
        *(row(0, 0, (n, 1), label=1) for n in range(4)),
        row(0, 1, (-1, 0), label=2),
        row(0, 2, (-1, -1), label=2),
    ]
    reasons = reasons_of(rows, dcrs(disagreement="majority"))
    assert reasons == [Reason.LABEL_MINORITY] * 4 + [Reason.KEPT_PAIR] * 2


def test_a_teacher_whose_draws_differ_shares_its_vote_among_them() -> None:
    rows = [
        *(row(0, 0, (n, 1), label=label) for n, label in enumerate((1, 2))),
        row(0, 1, (-1, 0), label=2),
        row(0, 2, (-1, -1), label=3),
        *(row(1, 0, (n, 1), label=label) for n, label in enumerate((1, 2, 2))),
        row(1, 1, (-1, 0), label=2),
        row(1, 2, (-1, -1), label=3),
    ]
    reasons = reasons_of(rows, dcrs(disagreement="majority"))
    assert reasons[:4] == [Reason.LABELS_DISAGREE] * 4, "1.5 of 3 is no majority"
    assert [reason.kept for reason in reasons[4:]].count(True) == 2
    assert reasons[4] is reasons[8] is Reason.LABEL_MINORITY


def test_thirds_of_a_vote_that_make_up_half_are_no_majority() -> None:
    rows = [
        *(row(0, 0, (n, 1), label=label) for n, label in enumerate((1, 2, 3))),
        *(row(0, 1, (n, 2), label=label) for n, label in enumerate((1, 1, 2))),
    ]
    assert set(reasons_of(rows, dcrs(disagreement="majority"))) == {Reason.LABELS_DISAGREE}


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 2), vectors), min_size=1, max_size=24))
def test_a_minority_never_costs_a_pair(drawn: list[Any]) -> None:
    rows = [row(query, teacher, vector, label) for query, teacher, label, vector in drawn]
    kept = select(make_input(rows), dcrs(disagreement="majority")).kept
    for query in {sample[0] for sample in rows}:
        own = [place for place, sample in enumerate(rows) if sample[0] == query]
        draws = defaultdict(list)
        for place in own:
            draws[rows[place][1]].append(rows[place][2])
        share = {label: sum(d.count(label) / len(d) for d in draws.values()) for label in (0, 1, 2)}
        settled = [label for label, votes in share.items() if votes > len(draws) / 2 + 1e-9]
        left = [place for place in own if kept[place]]
        assert {rows[place][2] for place in left} == set(settled)
        voters = {rows[place][1] for place in own if rows[place][2] in settled}
        assert len(voters) < 2 or (len(left) == 2 and len({rows[place][1] for place in left}) == 2)


def test_method_none_keeps_all_whatever_the_scores() -> None:
    rows = [*disagreeing(), (3, 0, 0, (float("nan"),) * 3, (0, 0)), row(3, 1, (0, 0), score=0.0)]
    assert set(reasons_of(rows, NONE.config)) == {Reason.KEPT_UNSELECTED}


def test_no_samples_give_an_empty_selection() -> None:
    empty = make_input([row(0, 0, (1, 0))])
    empty = dataclasses.replace(
        empty,
        **{
            f.name: getattr(empty, f.name)[:0] for f in dataclasses.fields(empty) if f.name not in ("names", "evidence")
        },
    )
    assert select(empty, SelectionConfig()).kept.tolist() == []


def test_selection_has_no_place_for_a_gold_label() -> None:
    fields = {field.name for field in dataclasses.fields(SelectionInput)}
    assert fields == {"query", "teacher", "label", "order", "factors", "names", "embeddings", "sources", "evidence"}
