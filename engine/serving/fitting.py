"""Fitting a ladder: which bars lose little against the last rung and take little, from careful to bold.

The front is found on one half of the held-out queries alone. What a ladder risks there is its loss with an allowance
for chance, so that one which answers little, and little can be lost by, comes before one that answers much and was
lucky: hypotheses are to be tested in the order of their likely p-values (Laufer-Goldshtein et al. 2023, "Efficiently
Controlling Multiple Risks with Pareto Testing"). Where rules tell kinds of queries apart, each kind has a front of its
own; they are put together by one exchange rate between risk and effort (Everett 1963, "Generalized Lagrange Multiplier
Method"), swept from the most careful on.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.serving.deferral.base import NEVER, REST, DeferralRule, Floats
from engine.serving.outcomes import Climbed, Outcomes, climb_all, climb_with_bars

_MOST_COMBINATIONS = 4000
_MOST_CANDIDATES = 48
_RATES = np.geomspace(1e-4, 1e4, 160)
_ALLOWANCE = 1.2816
"""Standard errors that are added to a loss: those of one side at 90%."""


@dataclass(frozen=True)
class LadderCandidate:
    """A ladder's rules, one for each rung but the last, and what they came to on the fitting half."""

    rules: tuple[DeferralRule, ...]
    climbed: Climbed


@dataclass(frozen=True)
class _Option:
    """Bars for one group of queries, one for each rung but the last, with the sums over its queries.

    `spread` is the sum of squared deviations of the losses.
    """

    bars: tuple[float, ...]
    lost: float
    spread: float
    effort: float

    @property
    def risk(self) -> float:
        """What may be lost."""
        return _find_risk(self.lost, self.spread)


def _find_risk(lost: float, spread: float) -> float:
    return lost + _ALLOWANCE * math.sqrt(spread)


def find_front(
    outcomes: Outcomes, rule: type[DeferralRule], effort: str = "tokens", temperature: float | None = None
) -> list[LadderCandidate]:
    """Ladders from careful to bold: each risks more than the one before, and takes less.

    The first asks the last rung alone.

    Args:
        outcomes: of the fitting half, as the rule sees them (`Outcomes.see`).
        rule: the deferral rule of all rungs.
        effort: what is to be saved: a name of `engine.serving.outcomes.EFFORTS`.
        temperature: of the second draws, where the rule needs such.

    Raises:
        KeyError: if there is no such effort.
    """
    taken = {"tokens": outcomes.tokens, "dollars": outcomes.dollars, "seconds": outcomes.seconds}[effort]
    groups = _group(outcomes.kinds) if rule.by_kind else {REST: np.ones(outcomes.count, dtype=bool)}
    fronts = {kind: _front_of(outcomes.take(rows), taken[:, rows], rule) for kind, rows in groups.items()}
    merged = _merge(fronts)
    last = len(outcomes.systems) - 1
    candidates = []
    for bars in merged:
        rules = tuple(rule.fit({kind: own[rung] for kind, own in bars.items()}, temperature) for rung in range(last))
        candidates.append(LadderCandidate(rules, climb_all(outcomes, rules)))
    return candidates


def _group(kinds: Sequence[str | None]) -> dict[str, np.ndarray]:
    names = np.array([kind or REST for kind in kinds])
    return {str(name): names == name for name in dict.fromkeys(names.tolist())}


def _front_of(outcomes: Outcomes, taken: Floats, rule: type[DeferralRule]) -> list[_Option]:
    """The front of one group: of no two options one risks no less and takes no less than the other."""
    rungs = len(outcomes.systems) - 1
    levels = [_thin(rule.list_levels(outcomes.confidence[rung]), rungs) for rung in range(rungs)]
    options = []
    for bars in itertools.product(*levels):
        climbed = climb_with_bars(outcomes, np.repeat(np.array(bars)[:, None], outcomes.count, axis=1))
        spread = float(((climbed.lost - climbed.lost.mean()) ** 2).sum())
        options.append(_Option(bars, float(climbed.lost.sum()), spread, float(climbed.sum_effort(taken).sum())))
    careful = next(option for option in options if all(bar == NEVER for bar in option.bars))
    front: list[_Option] = []
    for option in sorted(options, key=lambda o: (o.effort, o.risk)):
        if not front or option.risk < front[-1].risk:
            front.append(option)
    front.reverse()  # from the least risk, which takes most
    return front if front[0].bars == careful.bars else [careful, *front]


def _thin(levels: list[float], rungs: int) -> list[float]:
    """So few levels that all combinations of all rungs stay in bounds; the first, `NEVER`, is always among them."""
    most = max(2, int(_MOST_COMBINATIONS ** (1 / max(1, rungs))))
    if len(levels) <= most:
        return levels
    places = np.unique(np.linspace(0, len(levels) - 1, most).round().astype(int))
    return [levels[place] for place in places]


def _merge(fronts: Mapping[str, list[_Option]]) -> list[dict[str, tuple[float, ...]]]:
    """One list of bars by group out of the groups' fronts, from careful to bold, thinned."""
    kinds = list(fronts)
    careful = {kind: front[0] for kind, front in fronts.items()}
    if len(kinds) == 1:
        picks = [{kinds[0]: option} for option in fronts[kinds[0]]]
    else:
        scale = sum(option.effort for option in careful.values()) or 1.0
        picks = [careful]
        for rate in _RATES:
            picks.append(
                {
                    kind: min(front, key=lambda o: (o.risk + rate * o.effort / scale, o.risk))
                    for kind, front in fronts.items()
                }
            )
    first, *rest = picks
    rest.sort(key=_measure)
    merged, least = [first], _measure(first)[1]
    for pick in rest:
        effort = _measure(pick)[1]
        if effort < least:
            merged.append(pick)
            least = effort
    if len(merged) > _MOST_CANDIDATES:
        places = np.unique(np.linspace(0, len(merged) - 1, _MOST_CANDIDATES).round().astype(int))
        merged = [merged[place] for place in places]
    return [{kind: option.bars for kind, option in pick.items()} for pick in merged]


def _measure(pick: Mapping[str, _Option]) -> tuple[float, float]:
    """Risk and effort of options for all groups together."""
    lost, spread, effort = (sum(getattr(o, name) for o in pick.values()) for name in ("lost", "spread", "effort"))
    return _find_risk(lost, spread), effort
