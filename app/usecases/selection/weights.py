"""Weights that sum to exactly 1 while a person moves one of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

PARTS = 1_000
"""Weights are whole numbers of these parts of 1, so that their sum is exact."""


def share_out(weights: Sequence[float], moved: int, locked: Collection[int] = ()) -> list[float]:
    """The weights after one was moved: the others share what it leaves of 1, in proportion, but for the locked ones.

    What rounding leaves goes to the last one that shares. Where no other weight can give or take, the moved one takes
    what the locked ones leave. `moved` and `locked` are places; a weight that is moved counts as not locked.
    """
    parts = [min(PARTS, max(0, round(PARTS * weight))) for weight in weights]
    fixed = [place for place in locked if place != moved]
    left = max(0, PARTS - sum(parts[place] for place in fixed))
    others = [place for place in range(len(parts)) if place != moved and place not in fixed and parts[place]]
    parts[moved] = min(parts[moved], left) if others else left
    whole, left = sum(parts[place] for place in others), left - parts[moved]
    for place in others:
        parts[place] = parts[place] * left // whole
    if others:
        parts[others[-1]] += left - sum(parts[place] for place in others)
    return [part / PARTS for part in parts]
