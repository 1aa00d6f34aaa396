"""A study in words and rows, as page and terminal show it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from app.usecases.training.study_quotes import StudyQuote
from engine.budgets import BUDGETS
from engine.study import Grid
from engine.study_table import ArmResult, Contrast, StudyResult
from engine.wording import counted, say_span


def arm_rows(result: StudyResult) -> list[dict[str, Any]]:
    """The arms, over seeds and queries."""
    return [
        {
            "arm": arm.arm,
            "seeds": arm.seeds,
            "failed": arm.failed,
            "n": arm.n,
            "score": f"{arm.score:.3f}",
            "95%": f"{arm.low:.3f}-{arm.high:.3f}",
            "tokens": f"{arm.tokens:.1f}",
        }
        for arm in result.arms
    ]


def kind_rows(result: StudyResult) -> list[dict[str, Any]]:
    """Scores by kind of query; none where there is one kind only."""
    rows = [{"arm": a.arm, **{kind: f"{score:.2f}" for kind, score in a.by_kind.items()}} for a in result.arms]
    return rows if any(len(row) > 2 for row in rows) else []


def contrast_rows(result: StudyResult) -> list[dict[str, Any]]:
    """The differences on the same queries."""
    return [
        {
            "first": contrast.first,
            "minus": contrast.second,
            "difference": f"{contrast.difference:+.3f} [{contrast.low:+.3f}, {contrast.high:+.3f}]",
            "p": "-" if contrast.p is None else f"{contrast.p:.4f}",
            "corrected": _say_corrected(contrast),
        }
        for contrast in result.contrasts
    ]


def _say_corrected(contrast: Contrast) -> str:
    if contrast.chosen:
        return "chosen beforehand"
    return "-" if contrast.p_holm is None else f"{contrast.p_holm:.4f}"


class StudyVerdict(NamedTuple):
    """What a study came to: in a few words, in a sentence, and whether one arm is shown to be better."""

    title: str
    text: str
    sure: bool


def judge_study(grid: Grid, result: StudyResult) -> StudyVerdict:
    """What the contrast that was chosen beforehand came to so far."""
    text = say_result(grid, result)
    chosen = next((contrast for contrast in result.contrasts if contrast.chosen), None)
    if chosen is None:
        return StudyVerdict("No result yet", text, False)
    if chosen.p is None:
        return StudyVerdict("Too few seeds to tell", text, False)
    if chosen.low > 0 or chosen.high < 0:
        better, worse = (chosen.first, chosen.second) if chosen.low > 0 else (chosen.second, chosen.first)
        return StudyVerdict(f"{better} beats {worse}", text, True)
    return StudyVerdict(f"No difference shown between {chosen.first} and {chosen.second}", text, False)


def say_result(grid: Grid, result: StudyResult) -> str:
    """What the contrast that was chosen beforehand says so far, in a sentence."""
    chosen = next((contrast for contrast in result.contrasts if contrast.chosen), None)
    if chosen is None:
        return f"{' and '.join(grid.contrast)} are to be compared; not both have a finished run yet."
    seeds = min(_seeds(result.arms, chosen.first), _seeds(result.arms, chosen.second))
    gap = f"{100 * chosen.difference:+.1f} points [{100 * chosen.low:+.1f}, {100 * chosen.high:+.1f}]"
    over = f"over {counted(seeds, 'seed')} and {result.arms[0].n:,} queries"
    if seeds < len(grid.seeds):
        over += f" ({seeds} of {len(grid.seeds)} seeds so far)"
    if chosen.p is None:
        return f"{chosen.first} against {chosen.second}: {gap} {over}. Fewer than three seeds: nothing follows from it."
    if chosen.low > 0 or chosen.high < 0:
        better, worse = (chosen.first, chosen.second) if chosen.low > 0 else (chosen.second, chosen.first)
        return f"{better} is better than {worse}: {gap} {over}."
    return f"Neither {chosen.first} nor {chosen.second} is shown to be better: {gap} {over}."


def _seeds(arms: Sequence[ArmResult], name: str) -> int:
    return next(arm.seeds for arm in arms if arm.arm == name)


def say_budget(grid: Grid) -> str:
    """What all arms take equally much of."""
    if grid.budget is None:
        return "Each arm takes the epochs of its plan, so arms differ in updates and training tokens."
    return f"Each arm takes {grid.budget.amount:,} {BUDGETS.get(grid.budget.kind).title}."


def quote_rows(quote: StudyQuote) -> list[dict[str, Any]]:
    """What each arm would take."""
    return [
        {
            "arm": arm.arm,
            "runs": arm.runs,
            "updates": arm.updates,
            "training": _say_spans(arm.training_s, arm.training_s),
            "writing": _say_spans(arm.writing_low_s, arm.writing_high_s),
            "requests": arm.requests,
            "US $": _say_money(arm.cost_low, arm.cost_high),
        }
        for arm in quote.arms
    ]


def quote_tiles(quote: StudyQuote) -> list[tuple[str, str, str]]:
    """The same in figures: value, what it is, a line about it."""
    cost = quote.cost
    runs, requests = sum(arm.runs for arm in quote.arms), sum(arm.requests for arm in quote.arms)
    return [
        (_say_spans(*quote.seconds), "of the device", "all arms and seeds"),
        (f"{runs:,}", "runs", f"of {counted(len(quote.arms), 'arm')}"),
        ("unknown" if cost is None else f"${_say_money(*cost)}", "for teachers", f"{counted(requests, 'request')}"),
    ]


def tell_study_quote(quote: StudyQuote) -> list[str]:
    """What a study would take in all."""
    low, high = quote.seconds
    cost = quote.cost
    money = "an unknown sum: a price is not known" if cost is None else f"US $ {_say_money(*cost)}"
    untrained = _say_spans(quote.untrained_low_s, quote.untrained_high_s)
    return [
        f"In all {_say_spans(low, high)} of the device, and {money} for teachers that compress. "
        f"Of that {untrained} are for the untrained student, which is scored once.",
        "A stage that several arms have in common is trained once a seed, so less is possible. What is recorded "
        "already is not taken off.",
    ]


def _say_spans(low: float, high: float) -> str:
    """A range of time; one number where both ends are said alike."""
    ends = [say_span(low), say_span(high)]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _say_money(low: Decimal | None, high: Decimal | None) -> str:
    if low is None or high is None:
        return "unknown"
    return f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f}-{high:.2f}"
