"""Pass@k: the chance that at least one of k draws is right, where a system answered each query several times.

Estimated without bias from n draws of which c are right, as 1 - C(n - c, k) / C(n, k) (Chen et al. 2021, arXiv
2107.03374, equation 1). Pass@1 is the share of right draws, which is the score where each query is answered once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from engine.errors import InputError
from engine.evaluation.measures.base import MEASURES, Measure
from engine.values import EvalItem
from engine.values.report import Value

_Z95 = 1.959963984540054


def pass_at_k(draws: int, right: int, k: int) -> float:
    """The estimate for one query of `draws` draws, `right` of which are right.

    Raises:
        InputError: if there are fewer than k draws, or k is none.
    """
    if not 1 <= k <= draws or not 0 <= right <= draws:
        raise InputError(f"Pass@{k} needs at least {max(k, 1)} draws of each query; there are {draws}")
    return 1.0 - math.comb(draws - right, k) / math.comb(draws, k)


def mean_pass_at_k(counts: Mapping[str, tuple[int, int]], k: int) -> Value:
    """The mean over queries, of (draws, right ones) by query, with the normal 95% interval of a mean.

    Raises as `pass_at_k`.
    """
    each = np.array([pass_at_k(draws, right, k) for draws, right in counts.values()])
    value, n = float(each.mean()), len(each)
    half = _Z95 * float(each.std(ddof=1)) / math.sqrt(n) if n > 1 else 1.0
    return Value(value, n, max(0.0, value - half), min(1.0, value + half))


def count_draws(items: Sequence[EvalItem]) -> dict[str, tuple[int, int]]:
    """Draws and right ones by query."""
    counts: dict[str, tuple[int, int]] = {}
    for item in items:
        draws, right = counts.get(item.query_id, (0, 0))
        counts[item.query_id] = draws + 1, right + bool(item.correct)
    return counts


def of(items: Sequence[EvalItem]) -> Value | None:
    """Of as many draws as every query has; None where some query was answered once."""
    counts = count_draws(items)
    k = min(draws for draws, _ in counts.values())
    return mean_pass_at_k(counts, k) if k > 1 else None


def show(value: Value) -> str:
    """The share and its interval."""
    return f"{value.value:.2f} [{value.low or 0.0:.2f}, {1.0 if value.high is None else value.high:.2f}]"


MEASURES.add("pass-at-k", Measure("Pass@k", "Chance that one of k draws is right, where there are several.", of, show))
