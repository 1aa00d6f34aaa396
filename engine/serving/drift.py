"""Watches whether a ladder's students still agree with its reference, by a test that holds at any time.

The hypothesis is that they agree at least as often as expected, less a tolerance: E[x | past] >= m for x in {0, 1}. A
bet against it multiplies its capital by 1 + bet * (m - x), a test martingale (Waudby-Smith & Ramdas 2023, "Estimating
means of bounded random variables by betting", section 4), and by Ville's inequality it ever reaches 1 / alpha with
probability alpha at most. Since a drop may come late, the stake is spread over all moments at which betting can begin,
and over several bets: what began at j with the share w_j grows from there on, and the shares sum to 1, so the sum is a
test martingale too (the e-detectors of Shin, Ramdas & Rinaldo 2023, arXiv 2203.03532, with a finite stake).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from scipy.special import betaincinv

TOLERANCE = 0.05
"""By how much students may agree less often than expected before that is a drop."""
ALPHA = 0.05
"""How likely a false alarm is at most, over all time."""
FIRST = 100
"""So many shadowed queries say how much agreement to expect where the policy does not know."""
_SHARES = (0.04, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)
"""Of the largest bet."""
_MOST = 1e300
_NEAR_ONE = 1 - 1e-6


@dataclass
class Martingale:
    """The capital of the bet against "the mean is at least `bound`", for `bound` below 1; 1 before anything is seen."""

    bound: float
    n: int = 0
    grown: list[float] = field(default_factory=lambda: [0.0] * len(_SHARES))

    def add(self, agrees: bool) -> float:
        """Take one observation in; the capital after it."""
        self.n += 1
        begins = _left(self.n) - _left(self.n + 1)
        for place, share in enumerate(_SHARES):
            factor = 1 - share if agrees else 1 + share * self.bound / (1 - self.bound)
            self.grown[place] = min(_MOST, (self.grown[place] + begins) * factor)
        return self.capital

    @property
    def capital(self) -> float:
        """What grew, and what is not bet yet."""
        return math.fsum(self.grown) / len(_SHARES) + _left(self.n + 1)


def _left(moment: int) -> float:
    """The share of the stake that is not bet before a moment, counted from 1 on."""
    return 1 / math.sqrt(moment)


@dataclass(frozen=True)
class DriftState:
    """What is known of the agreement between a policy's students and its reference.

    Attributes:
        n: shadowed queries that both answered.
        agreed: of them, those with the same label.
        expected: share that is expected to agree; None: not known yet.
        source: where that is from: the policy, or the first shadowed queries, of which it is a lower bound.
        bound: agreement below which it is a drop.
        capital: of the bet that there is one; an alarm from 1 / alpha on.
        alarm: how many had been shadowed when the alarm was raised; None: it was not.
    """

    n: int
    agreed: int
    expected: float | None
    source: Literal["policy", "first"]
    bound: float | None
    capital: float
    alarm: int | None

    @property
    def agreement(self) -> float | None:
        """The share that agreed; None where nothing was shadowed yet."""
        return self.agreed / self.n if self.n else None


class Drift:
    """The test, fed one shadowed query after the other. Where it knows no expectation, the first `first` give one.

    Then half of `alpha` pays for the lower bound of what they show, and half for the test.
    """

    def __init__(
        self, expected: float | None, tolerance: float = TOLERANCE, alpha: float = ALPHA, first: int = FIRST
    ) -> None:
        self._tolerance, self._first = tolerance, first
        self._source: Literal["policy", "first"] = "first" if expected is None else "policy"
        self._level = alpha if expected is not None else alpha / 2
        self._n = self._agreed = 0
        self._alarm: int | None = None
        self._expected = expected
        self._bet = None if expected is None else self._open(expected)

    def _open(self, expected: float) -> Martingale | None:
        """The bet; None where no agreement would be a drop."""
        bound = min(expected - self._tolerance, _NEAR_ONE)
        return Martingale(bound) if bound > 0 else None

    def add(self, agrees: bool) -> bool:
        """Take one in; whether this one raises the alarm, which happens once."""
        self._n += 1
        self._agreed += agrees
        if self._expected is None:
            if self._n >= self._first:
                self._expected = lower_bound(self._agreed, self._n, self._level)
                self._bet = self._open(self._expected)
            return False
        if self._bet is None or self._bet.add(agrees) < 1 / self._level or self._alarm is not None:
            return False
        self._alarm = self._n
        return True

    @property
    def state(self) -> DriftState:
        """Where it stands."""
        bet = self._bet
        bound, capital = (bet.bound, bet.capital) if bet else (None, 1.0)
        return DriftState(self._n, self._agreed, self._expected, self._source, bound, capital, self._alarm)


def lower_bound(hits: int, n: int, alpha: float) -> float:
    """A lower bound of a rate that is too high with probability `alpha` at most (Clopper & Pearson 1934)."""
    return float(betaincinv(hits, n - hits + 1, alpha)) if hits else 0.0
