"""What a ladder saves against its last rung: steps from careful to bold, and the boldest that a wish lets through."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from engine.errors import InputError
from engine.serving.certificate import SURE, Losses, certify_in_turn, count_losses, count_needed
from engine.serving.deferral.base import DeferralRule, Floats
from engine.serving.fitting import find_front
from engine.serving.outcomes import EFFORTS, Outcomes, climb_all

MOST_STUDENTS = 3
_LEAST_HALF = 10
_Z95 = 1.959963984540054


class Effort(NamedTuple):
    """What a query takes on average; dollars and seconds are None where they are not known of every rung asked."""

    tokens: float
    dollars: float | None
    seconds: float | None


class Share(NamedTuple):
    """A ratio to the reference's effort, with its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class LadderStep:
    """A ladder on the path from careful to bold. All but `fitted` is measured on the certifying half.

    Attributes:
        rules: one for each rung but the last.
        fitted: losses on the fitting half.
        losses: losses on the certifying half.
        score: share of right answers.
        shares: of the queries that each rung answered, in the order of the rungs.
        effort: of a query.
    """

    rules: tuple[DeferralRule, ...]
    fitted: Losses
    losses: Losses
    score: float
    shares: tuple[float, ...]
    effort: Effort


@dataclass(frozen=True)
class Single:
    """One system alone, on the certifying half."""

    system: str
    score: float
    effort: Effort


@dataclass(frozen=True)
class Ladder:
    """All steps of a ladder of systems; the first asks the reference alone.

    `n_fit` and `n` are the queries of the fitting and of the certifying half; `certifying` is the latter as the rule
    sees it.
    """

    systems: tuple[str, ...]
    steps: tuple[LadderStep, ...]
    singles: tuple[Single, ...]
    n_fit: int
    n: int
    certifying: Outcomes

    @property
    def reference(self) -> Single:
        """The last rung alone."""
        return self.singles[-1]


@dataclass(frozen=True)
class StepChoice:
    """The step for a wish.

    Attributes:
        step: the boldest that is certified; where none but the first is, the boldest that fits the wish uncertified.
        place: its place on the path.
        certified: whether it is.
        needed: about how many more labelled held-out queries would certify this step, or the next bolder one where the
            step is certified; None: no number would, or there is no bolder one.
        saved: by effort ("tokens", "dollars", "seconds"), the share of the reference's that it takes.
    """

    step: LadderStep
    place: int
    certified: bool
    needed: int | None
    saved: dict[str, Share]


def fit_ladder(
    outcomes: Outcomes, fitting: Collection[str], rule: type[DeferralRule], effort: str = "tokens"
) -> Ladder:
    """Fit on some of the queries, measure on the others.

    Whatever else was chosen by looking at answers, as who stands in the ladder, must have been chosen on `fitting` too.

    Args:
        outcomes: of all queries.
        fitting: ids of those to fit on, as `choose_half` gives them.

    Raises:
        InputError: if there are too few queries, too many students, the effort is not known of every system, or second
            draws are lacking that the rule needs.
    """
    if len(outcomes.systems) - 1 > MOST_STUDENTS:
        raise InputError(f"a ladder has {MOST_STUDENTS} students at the most; choose fewer")
    if effort not in EFFORTS:
        raise InputError(f"there is no effort {effort!r}; there are {', '.join(EFFORTS)}")
    seen = outcomes.see(rule)
    if np.isnan(getattr(seen, effort)).any():
        unknown = [s for s, row in zip(seen.systems, getattr(seen, effort), strict=True) if np.isnan(row).any()]
        raise InputError(f"the {effort} of {', '.join(unknown)} are not known; save tokens instead, or give a price")
    half = np.array([query in fitting for query in outcomes.queries])
    if min(half.sum(), (~half).sum()) < _LEAST_HALF:
        who = ", ".join(outcomes.systems)
        raise InputError(
            f"of {outcomes.count} held-out queries that all of {who} answered, {half.sum()} are to be fitted on and "
            f"{(~half).sum()} to measure on; a ladder needs {_LEAST_HALF} of each at the least"
        )
    fit, certifying, alone = seen.take(half), seen.take(~half), outcomes.take(~half)
    temperature = outcomes.second.drawn_at if outcomes.second else None
    steps = tuple(
        _measure(certifying, candidate.rules, count_losses(candidate.climbed.lost))
        for candidate in find_front(fit, rule, effort, temperature)
    )
    singles = tuple(
        Single(name, float(alone.right[place].mean()), _mean_effort(*(getattr(alone, e)[place] for e in EFFORTS)))
        for place, name in enumerate(alone.systems)
    )
    return Ladder(outcomes.systems, steps, singles, fit.count, certifying.count, certifying)


def _measure(certifying: Outcomes, rules: tuple[DeferralRule, ...], fitted: Losses) -> LadderStep:
    climbed = climb_all(certifying, rules)
    shares = tuple(float((climbed.by == rung).mean()) for rung in range(len(certifying.systems)))
    effort = _mean_effort(*(climbed.sum_effort(getattr(certifying, name)) for name in EFFORTS))
    return LadderStep(rules, fitted, count_losses(climbed.lost), float(climbed.right.mean()), shares, effort)


def _mean_effort(tokens: Floats, dollars: Floats, seconds: Floats) -> Effort:
    return Effort(float(tokens.mean()), _mean_or_none(dollars), _mean_or_none(seconds))


def _mean_or_none(values: Floats) -> float | None:
    mean = float(values.mean())
    return None if math.isnan(mean) else mean


def choose_step(ladder: Ladder, allowed: float, sure: float = SURE) -> StepChoice:
    """The step of a ladder for a wish: at most `allowed` of the queries lost against the reference.

    Args:
        allowed: share in [0, 1).
        sure: with which probability the loss is to be below it.
    """
    losses, fitted = [step.losses for step in ladder.steps], [step.fitted for step in ladder.steps]
    passed = certify_in_turn(losses, fitted, allowed, sure)
    if passed > 1:
        place, certified = passed - 1, True
    else:
        fits = [place for place, own in enumerate(fitted) if own.mean <= allowed]
        place, certified = max(fits), False
    if place == 0:  # the reference alone loses nothing
        certified = True
    target = place + 1 if certified else place
    needed = None
    if target < len(ladder.steps):
        both = Losses(*(a + b for a, b in zip(losses[target], fitted[target], strict=True)))
        enough = count_needed(both, allowed, sure)
        needed = None if enough is None else max(0, 2 * max(enough, ladder.n + 1) - ladder.n_fit - ladder.n)
    return StepChoice(ladder.steps[place], place, certified, needed, _find_shares(ladder, ladder.steps[place]))


def _find_shares(ladder: Ladder, step: LadderStep) -> dict[str, Share]:
    """What the step takes of the reference's effort, where both are known.

    The interval is that of a ratio of means over the same queries (Cochran 1977, "Sampling Techniques", section 2.11).
    """
    climbed = climb_all(ladder.certifying, step.rules)
    shares = {}
    for name in EFFORTS:
        array = getattr(ladder.certifying, name)
        mine, theirs = climbed.sum_effort(array), array[-1]
        if np.isnan(mine).any() or np.isnan(theirs).any() or not theirs.sum() > 0:
            continue
        ratio = float(mine.sum() / theirs.sum())
        half = _Z95 * float((mine - ratio * theirs).std(ddof=1)) / (math.sqrt(ladder.n) * float(theirs.mean()))
        shares[name] = Share(ratio, max(0.0, ratio - half), ratio + half)
    return shares


def list_students(efforts: Sequence[tuple[str, float, float]]) -> list[str]:
    """The students that a ladder begins with where nobody chooses: who answers at once, then who reasons best.

    Args:
        efforts: of each trained student its name, its score and its mean output tokens, on the fitting half.

    Returns:
        The best of those that write about as little as the briefest, and the best of those that write more than twice
        as much as that one; in this order.
    """
    if not efforts:
        return []
    least = min(tokens for _, _, tokens in efforts)
    direct = max((one for one in efforts if one[2] <= 1.5 * least), key=lambda one: one[1])
    reasoning = [one for one in efforts if one[2] > 2 * direct[2]]
    return [direct[0], *([max(reasoning, key=lambda one: one[1])[0]] if reasoning else [])]
