"""What a ladder may lose against its last rung, certified on queries that took no part in fitting it.

Candidates are tested one after the other, from careful to bold, until one can't be certified: Learn then Test with
fixed sequence testing (Angelopoulos et al. 2021, arXiv 2110.01052, section 3.2), over candidates that lie on the front
of the fitting half (Laufer-Goldshtein et al. 2023, "Efficiently Controlling Multiple Risks with Pareto Testing"). The
p-value is 1 over the capital of a bet against "it loses at least so much" (Waudby-Smith & Ramdas 2023, "Estimating
means of bounded random variables by betting", section 4), so it holds for any number of queries. Half of the stake is
bet as the fitting half would have liked it, half is spread evenly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SURE = 0.9
"""With how much confidence a loss is certified, where nobody says otherwise."""
_BETS = np.linspace(0.0, 0.99, 100)
_MOST_NEEDED = 10_000_000


class Losses(NamedTuple):
    """On how many queries a ladder is wrong where its reference is right, right where that is wrong, and the same."""

    lost: int
    won: int
    same: int

    @property
    def n(self) -> int:
        """Queries."""
        return self.lost + self.won + self.same

    @property
    def mean(self) -> float:
        """What the ladder loses, as a share of queries."""
        return (self.lost - self.won) / self.n if self.n else 0.0


def count_losses(lost: NDArray[np.int64]) -> Losses:
    """Of 1, -1 and 0 a query, (N,)."""
    return Losses(int((lost == 1).sum()), int((lost == -1).sum()), int((lost == 0).sum()))


def find_p_value(losses: Losses, allowed: float, fitted: Losses) -> float:
    """How likely at most such an outcome is where a ladder loses `allowed` or more; in (0, 1].

    Args:
        losses: on the certifying half.
        allowed: share of queries in [0, 1) that may be lost, net of those won.
        fitted: of the same ladder on the fitting half; it only decides how half of the stake is bet.
    """
    spread = _grow(losses, allowed)
    own = _grow(fitted, allowed)
    with np.errstate(over="ignore"):
        capital = 0.5 * np.exp(spread[int(np.argmax(own))]) + 0.5 * np.exp(spread).mean()
    return float(min(1.0, 1.0 / capital))


def _grow(losses: Losses, allowed: float) -> Floats:
    """The logarithm of the capital after all queries, for each of the bets, from shares of the largest one.

    With x = (1 + loss) / 2 in [0, 1] and its mean m under the hypothesis, a query multiplies the capital by
    1 + bet * (m - x), where bet < 1 / (1 - m).
    """
    mean = (1 + allowed) / 2
    bets = _BETS / (1 - mean)
    factors = [np.log1p(bets * (mean - x)) for x in (1.0, 0.0, 0.5)]
    return np.asarray(sum(n * factor for n, factor in zip(losses, factors, strict=True)))


def certify_in_turn(losses: Sequence[Losses], fitted: Sequence[Losses], allowed: float, sure: float = SURE) -> int:
    """Test ladders in their order, from careful to bold, and stop at the first that can't be certified.

    With probability `sure` every one that passes loses less than `allowed`, on queries like these. The first asks the
    reference alone and needs no test: it loses nothing.

    Returns:
        How many pass, the first ones; 1 at the least.
    """
    for place in range(1, len(losses)):
        if find_p_value(losses[place], allowed, fitted[place]) > 1 - sure:
            return place
    return len(losses)


def count_needed(rates: Losses, allowed: float, sure: float = SURE) -> int | None:
    """How many certifying queries it would take to certify a loss, were they answered as these; None: no number would.

    Args:
        rates: how a ladder did on the queries there are; at least what is without any loss must be seen.
    """
    growth = _grow(rates, allowed) / max(1, rates.n)
    best = float(growth.max())
    if best <= 0:
        return None
    # The capital is at least half of the best bet's where the fitting half finds that bet.
    needed = math.ceil(math.log(2 / (1 - sure)) / best)
    return needed if needed <= _MOST_NEEDED else None
