from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from hypothesis import given

from engine.selection.arrays import SelectionInput
from engine.selection.cosines import Groups, KnownCosines, VectorCosines
from engine.selection.select import select
from engine.selection.settings import SelectionConfig, dcrs
from tests.unit.test_select import QUICK, configs, make_input, sample_rows


def test_a_zero_vector_is_similar_to_nothing() -> None:
    vectors_ND = np.array([[0, 0], [1, 0], [2, 0]], dtype=np.float32)
    groups = Groups(np.arange(3), np.array([0]))
    assert VectorCosines(vectors_ND).within(groups).tolist() == [0.0, 0.0, 1.0]


@QUICK
@given(sample_rows, configs)
def test_cosines_that_were_reckoned_before_make_the_same_choice(rows: list[Any], config: SelectionConfig) -> None:
    samples = make_input(rows)
    whole = samples.group(np.ones(len(rows), dtype=bool))
    known = KnownCosines(whole, samples.cosines.within(whole))
    base, other = select(samples, config), select(dataclasses.replace(samples, embeddings=known), config)
    assert other.reason.tolist() == base.reason.tolist()
    assert np.array_equal(other.similarity, base.similarity, equal_nan=True)


def test_many_queries_at_once_are_chosen_as_one_by_one() -> None:
    rng = np.random.default_rng(0)
    count, queries = 9_000, 2_500
    samples = SelectionInput(
        query=rng.integers(0, queries, count),
        teacher=rng.integers(0, 70, count),
        label=rng.integers(0, 2, count),
        order=rng.permutation(count),
        factors=np.ones((count, 1)),
        names=("answer",),
        embeddings=rng.standard_normal((count, 96), dtype=np.float32),
    )
    config = dcrs(disagreement="majority")
    whole = select(samples, config)
    for query in range(0, queries, 50):
        own = np.flatnonzero(samples.query == query)
        columns = ("query", "teacher", "label", "order", "factors", "embeddings")
        alone = select(dataclasses.replace(samples, **{name: getattr(samples, name)[own] for name in columns}), config)
        assert alone.reason.tolist() == whole.reason[own].tolist()
        assert np.array_equal(alone.similarity, whole.similarity[own], equal_nan=True)
