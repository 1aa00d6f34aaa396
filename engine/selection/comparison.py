"""Ways to select compared at matched numbers of kept samples, over the whole range of coverage, by gold labels.

For reports: no selection reads what is right. Shapes: N samples, K counts.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.selection.arrays import Floats, Ints

RIGHT, WRONG, UNSCORED = 1, 0, -1
"""Verdicts on a label."""
_Z = NormalDist().inv_cdf(0.975)


class KeepCurve(NamedTuple):
    """What keeping the first so many samples of an order comes to, each of shape (K,).

    `right` is the share of right labels among the `scored` ones of them, `low` and `high` Wilson's 95% interval of it;
    all NaN where the order does not reach so far, or nothing of what it keeps is scored.
    """

    kept: Ints
    scored: Floats
    right: Floats
    low: Floats
    high: Floats


def trace(order: Floats, verdict: NDArray[np.int8], count: Ints) -> KeepCurve:
    """The accuracy of the kept labels at given counts.

    Of samples that an order does not tell apart some are kept by chance: what stands here is what is expected then.

    Args:
        order: what is kept first, greater first, NaN for what is not ordered, shape (N,).
        verdict: `RIGHT`, `WRONG` or `UNSCORED`, shape (N,).
        count: how many samples are kept, shape (K,).
    """
    rows = np.flatnonzero(~np.isnan(order))
    rows = rows[np.argsort(-order[rows], kind="stable")]
    ends = np.append(np.flatnonzero(np.diff(order[rows])), len(rows) - 1) + 1 if len(rows) else np.empty(0, int)
    scored_N, hits_N = np.cumsum(verdict[rows] != UNSCORED), np.cumsum(verdict[rows] == RIGHT)
    known, reached = np.concatenate([[0], ends]), count <= len(rows)
    scored = np.interp(count, known, np.concatenate([[0], scored_N[ends - 1]]))
    hits = np.interp(count, known, np.concatenate([[0], hits_N[ends - 1]]))
    scored = np.where(reached, scored, 0.0)
    low, high = find_wilson(hits, scored)
    with np.errstate(invalid="ignore", divide="ignore"):
        right = np.where(scored > 0, hits / scored, np.nan)
    return KeepCurve(count, np.where(reached, scored, np.nan), right, low, high)


def find_wilson(hits: Floats, n: Floats) -> tuple[Floats, Floats]:
    """Wilson's 95% interval of proportions (Wilson 1927), (K,) each; NaN where nothing was counted.

    Counts may be expected ones, which are no whole numbers.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        share = hits / n
        centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        half = _Z * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    counted = n > 0
    low = np.where(counted, np.clip(centre - half, 0, 1), np.nan)
    return low, np.where(counted, np.clip(centre + half, 0, 1), np.nan)
