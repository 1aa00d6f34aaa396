"""The arithmetic of the overviews against plain loops."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.selection.overviews import compare_teachers, flatten, sweep_threshold


@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(1, 4))
def test_likeness_is_the_mean_over_shared_queries(seed: int, queries: int, teachers: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [(q, t) for q in range(queries) for t in range(teachers) if rng.random() < 0.8] or [(0, 0)]
    rng.shuffle(rows)
    query, teacher = (np.array(column) for column in zip(*rows, strict=True))
    vectors = rng.standard_normal((len(rows), 5)).astype(np.float32)
    found = compare_teachers(query, teacher, vectors)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for a in range(int(teacher.max()) + 1):
        for b in range(int(teacher.max()) + 1):
            own = [
                float(unit[i] @ unit[j])
                for i in range(len(rows))
                for j in range(len(rows))
                if query[i] == query[j] and teacher[i] == a and teacher[j] == b and i != j
            ]
            if a != b:
                assert found.shared[a, b] == len(own)
                assert np.isclose(found.mean[a, b], np.mean(own), atol=1e-5) if own else np.isnan(found.mean[a, b])
            else:
                assert found.mean[a, b] == 1


@given(st.integers(0, 10_000), st.integers(1, 30))
def test_a_sweep_counts_as_a_plain_loop_does(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    query, label = rng.integers(0, 6, count), rng.integers(0, 2, count)
    confidence = np.where(rng.random(count) < 0.2, np.nan, rng.random(count))
    found = sweep_threshold(confidence, query, label, np.linspace(0.0, 1.0, 5))
    for place, threshold in enumerate(found.threshold):
        held = [n for n in range(count) if confidence[n] >= threshold]
        groups = [[label[n] for n in held if query[n] == q] for q in set(query)]
        assert np.isclose(found.coverage[place], sum(map(bool, groups)) / len(groups))
        several = [len(set(group)) == 1 for group in groups if len(group) > 1]
        assert np.isclose(found.agreement[place], np.mean(several)) if several else np.isnan(found.agreement[place])


def test_a_map_needs_no_more_than_two_points() -> None:
    same = flatten(np.ones((2, 3), dtype=np.float32))
    assert same.points.shape == (2, 2) and np.allclose(same.points, 0) and same.shown == 0
    line = flatten(np.array([[0, 0], [1, 1], [2, 2]], dtype=np.float32))
    assert np.isclose(line.shown, 1)
