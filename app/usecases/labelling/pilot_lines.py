"""A pilot in words and rows, as page and terminal show them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from app.usecases.labelling.answers import FAILURES
from app.usecases.labelling.pilots import Pilot
from engine.errors import ErrorKind
from engine.evaluation.go_ahead import ENOUGH_GOLDS, FigureBound, PilotVerdict, find_right
from engine.evaluation.measures.confidence import show_with_interval
from engine.evaluation.pilot import TeacherFigures
from engine.values.report import Value
from engine.wording import counted, verb

TITLES = {PilotVerdict.GO: "Go", PilotVerdict.NOT_YET: "Not yet", PilotVerdict.NO: "No"}
FIGURES = {
    "replied": "Requests with a reply",
    "answered": "Queries answered",
    "read": "Replies parsed",
    "agreed": "Two teachers agree",
    "kept_queries": "Queries that keep a sample",
    "right": "Majority right by gold",
    "kept_right": "Kept right by gold",
}
"""What the figures of a verdict are called."""
_SAYS = {PilotVerdict.GO: "go", PilotVerdict.NOT_YET: "not yet", PilotVerdict.NO: "no"}


def say_money(value: Value | None) -> str:
    """US dollars with the interval; "unknown" where it is not known."""
    if value is None:
        return "unknown"
    if value.low is None or (value.value == value.low == (value.high if value.high is not None else value.low)):
        return _money(value.value)
    high = "more" if value.high is None else _money(value.high)
    return f"{_money(value.value)} [{_money(value.low)}, {high}]"


def say_dollars(value: Value | None) -> str:
    """US dollars without the interval; "unknown" where they are not known."""
    return "unknown" if value is None else _money(value.value)


def _money(amount: float) -> str:
    return f"${amount:,.2f}" if amount == 0 or amount >= 1 else f"${amount:.4f}"


def say_share(value: Value | None) -> str:
    """A share with its interval; "unknown" where it is not known."""
    return "unknown" if value is None else show_with_interval(value)


def say_one_in(share: float) -> str:
    """A share as so many in so many: "1 in 5", "2 in 3"."""
    if share <= 0:
        return "none"
    small = min(((part, whole) for whole in range(1, 11) for part in range(1, whole + 1)), key=_distance(share))
    return f"{small[0]} in {small[1]}" if share >= 0.095 else f"1 in {round(1 / share):,}"


def _distance(share: float) -> Callable[[tuple[int, int]], tuple[float, int]]:
    return lambda pair: (round(abs(pair[0] / pair[1] - share), 2), pair[1])


def say_reason(pilot: Pilot) -> str:
    """The reason of the verdict in a sentence, and how the pilot ended where it did not come to its end."""
    mark = pilot.go_ahead.decides
    reason = _say_unknown(pilot) if mark is None else _REASONS[mark.bound.name](pilot, mark)
    return reason + (f" Of the job: {pilot.ended}." if pilot.ended else "")


def _say_unknown(pilot: Pilot) -> str:
    """Why it is go, or that nothing says whether labels are right."""
    figures = pilot.figures
    if pilot.go_ahead.verdict is not PilotVerdict.GO:
        golds = find_right(figures)
        few = f"only {counted(golds.n, 'query')} with a gold label" if golds else "no gold labels"
        return f"No query was answered by two teachers, and there are {few}: nothing says whether labels are right."
    right = find_right(figures)
    if right is not None and pilot.go_ahead.of("right").verdict is not None:
        why = f"Labels are right for {say_share(right)} of {counted(right.n, 'query')} with a gold label"
    else:
        why = f"Two teachers give a query the same label in {say_share(figures.agreed)} of cases"
    kept = "" if figures.kept is None else f", and {_say_kept(figures.kept)}"
    return f"{why}{kept}."


def _say_kept(kept: Value) -> str:
    if kept.value <= 0:
        return "no sample is kept"
    part = say_one_in(kept.value)
    if part == "1 in 1":
        return "nearly all samples are kept"
    return f"at this rate {part} samples {'is' if part.startswith('1 ') else 'are'} kept"


def _say_replied(pilot: Pilot, mark: FigureBound) -> str:
    failed = sum(pilot.failures.values())
    kinds = ", ".join(f"{_say_error(kind)}: {n:,}" for kind, n in pilot.failures.items())
    share = failed / max(1, pilot.figures.asked)
    parts = (
        (1.0, "The whole pilot"),
        (0.6, "Most of the pilot"),
        (0.4, "Half of the pilot"),
        (0.0, "Much of the pilot"),
    )
    part = next(name for least, name in parts if share >= least)
    return f"{part} failed: {failed:,} of {counted(pilot.figures.asked, 'request')} brought no reply ({kinds})."


def _say_error(error: str) -> str:
    return FAILURES[ErrorKind(error)].lower() if error in set(ErrorKind) else error


def _say_answered(pilot: Pilot, mark: FigureBound) -> str:
    enough = round(mark.bound.enough)
    few = f"Only {counted(pilot.figures.answered, 'query')} {verb(pilot.figures.answered, 'was')} answered"
    return f"{few}; a verdict needs {enough}."


def _say_read(pilot: Pilot, mark: FigureBound) -> str:
    return f"Only {say_share(mark.value)} of the replies could be parsed, and the others are paid for nothing."


def _say_agreed(pilot: Pilot, mark: FigureBound) -> str:
    kept = "" if pilot.figures.kept is None else f": {_say_kept(pilot.figures.kept)}"
    return f"Two teachers give a query the same label in {say_share(mark.value)} of cases{kept}."


def _say_kept_queries(pilot: Pilot, mark: FigureBound) -> str:
    kept = "" if pilot.figures.kept is None else f": {_say_kept(pilot.figures.kept)}"
    return f"By the settings of Select {say_share(mark.value)} of the queries keep a sample{kept}."


def _say_right(pilot: Pilot, mark: FigureBound) -> str:
    whose = "The label that most teachers give" if pilot.figures.right else "The teacher's label"
    n = mark.value.n if mark.value else 0
    return f"{whose} is right for {say_share(mark.value)} of {counted(n, 'query')} with a gold label."


def _say_kept_right(pilot: Pilot, mark: FigureBound) -> str:
    n = mark.value.n if mark.value else 0
    kept = f"Of the labels that selection keeps {say_share(mark.value)} are right"
    return f"{kept}, on {counted(n, 'query')} with a gold label."


_REASONS: Mapping[str, Callable[[Pilot, FigureBound], str]] = {
    "replied": _say_replied,
    "answered": _say_answered,
    "read": _say_read,
    "agreed": _say_agreed,
    "kept_queries": _say_kept_queries,
    "right": _say_right,
    "kept_right": _say_kept_right,
}


def list_changes(pilot: Pilot) -> list[str]:
    """What to change where it is not go yet."""
    mark = pilot.go_ahead.decides
    if pilot.go_ahead.verdict is PilotVerdict.GO:
        return []
    if mark is None:
        return [
            "Add a second teacher on the page Teachers, or gold labels for at least "
            f"{ENOUGH_GOLDS} queries to distill from on Data; then run the pilot again."
        ]
    return _CHANGES[mark.bound.name](pilot)


def _mend_replied(pilot: Pilot) -> list[str]:
    worst = min(pilot.figures.teachers, key=lambda teacher: teacher.replied / max(1, teacher.asked))
    return [
        f"Put right what failed: {worst.name} replied to {worst.replied:,} of {worst.asked:,}. Failures on the page "
        "Label lists the messages; the page Teachers tests a connection.",
        "Run the pilot again: it asks only for what is missing.",
    ]


def _mend_answered(pilot: Pilot) -> list[str]:
    if pilot.figures.whole < pilot.go_ahead.of("answered").bound.enough:
        return [f"Import more queries: the project has {counted(pilot.figures.whole, 'query')} to distill from."]
    higher = " with a higher cap" if "cap" in pilot.ended else ""
    return [f"Run the pilot again{higher}: it asks only for what is missing."]


def _mend_read(pilot: Pilot) -> list[str]:
    worst = _lowest(pilot, lambda teacher: teacher.read)
    who = f" {worst.name} is the one least often parsed ({say_share(worst.read)})." if worst else ""
    return [
        f"Look at the replies under Failures on the page Label.{who}",
        "Say in the prompt how the answer is to be written (page Teachers), allow longer replies where they are cut "
        "off, or take another model.",
    ]


def _mend_agreed(pilot: Pilot) -> list[str]:
    worst = _lowest(pilot, lambda teacher: teacher.agreement)
    who = f" in place of {worst.name}, which agrees least ({say_share(worst.agreement)})" if worst else ""
    return [
        f"Take a stronger teacher{who}.",
        "Look on Select where they differ: the same answer written in two ways is a matter of the prompt.",
        f"Gold labels for {ENOUGH_GOLDS} queries would say whether the labels are right all the same.",
    ]


def _mend_kept(pilot: Pilot) -> list[str]:
    return [f"Try another preset or a lower threshold on Select; it is: {pilot.selection}.", *_mend_agreed(pilot)[:1]]


def _mend_right(pilot: Pilot) -> list[str]:
    worst = _lowest(pilot, lambda teacher: teacher.right)
    who = f" in place of {worst.name} ({say_share(worst.right)} right)" if worst else ""
    return [
        f"Take a stronger teacher{who}, or say in the prompt what it gets wrong.",
        "Check a few gold labels on Data: a label written another way counts as wrong.",
    ]


def _mend_kept_right(pilot: Pilot) -> list[str]:
    other = "Try the preset recordings, which goes by agreement, or a higher threshold on Select"
    return [f"{other}; it is: {pilot.selection}.", *_mend_right(pilot)]


def _lowest(pilot: Pilot, of: Callable[[TeacherFigures], Value | None]) -> TeacherFigures | None:
    """The teacher with the lowest of a figure, where there are several that it is known of."""
    known = [(value.value, place) for place, t in enumerate(pilot.figures.teachers) if (value := of(t)) is not None]
    return pilot.figures.teachers[min(known)[1]] if len(known) > 1 else None


_CHANGES: Mapping[str, Callable[[Pilot], list[str]]] = {
    "replied": _mend_replied,
    "answered": _mend_answered,
    "read": _mend_read,
    "agreed": _mend_agreed,
    "kept_queries": _mend_kept,
    "right": _mend_right,
    "kept_right": _mend_kept_right,
}


def bound_rows(pilot: Pilot) -> list[dict[str, Any]]:
    """Each figure of the verdict beside its bounds."""
    return [
        {
            "figure": FIGURES[mark.bound.name],
            "pilot": _say_figure(mark),
            "go from": _say_bound(mark.bound.enough),
            "no below": "-" if mark.bound.least <= 0 else _say_bound(mark.bound.least),
            "says": "unknown" if mark.value is None else _SAYS[mark.verdict] if mark.verdict else _say_silent(mark),
        }
        for mark in pilot.go_ahead.marks
    ]


def _say_silent(mark: FigureBound) -> str:
    """Why a known figure says nothing."""
    return "told by gold" if mark.bound.name == "agreed" else "too few gold labels"


def _say_figure(mark: FigureBound) -> str:
    if mark.value is None:
        return "unknown"
    return f"{mark.value.value:,.0f}" if mark.bound.name == "answered" else _say_brief(mark.value)


def _say_bound(bound: float) -> str:
    return f"{bound:.0f}" if bound > 1 else f"{bound:.2f}"


def teacher_rows(pilot: Pilot) -> list[dict[str, Any]]:
    """Each teacher of a pilot; intervals are 95%."""
    return [
        {
            "teacher": teacher.name,
            "replies": f"{teacher.replied:,}/{teacher.asked:,}",
            "parsed": _say_brief(teacher.read),
            "agrees": _say_brief(teacher.agreement),
            "reliability": _say_brief(teacher.reliability),
            "right": _say_brief(teacher.right),
        }
        for teacher in pilot.figures.teachers
    ]


def _say_brief(value: Value | None) -> str:
    """A share with its interval, for a narrow column; "-" where it is not known."""
    return (
        "-"
        if value is None
        else f"{value.value:.2f} {value.low or 0:.2f}-{1 if value.high is None else value.high:.2f}"
    )


def say_basis(pilot: Pilot) -> str:
    """What the verdict rests on: queries, teachers, money against its cap."""
    figures = pilot.figures
    spent = "unknown cost" if pilot.spent is None else f"{_money(pilot.spent)} spent"
    cap = "" if pilot.cap is None else f", cap {_money(float(pilot.cap))}"
    who = counted(len(figures.teachers), "teacher")
    return f"{counted(figures.queries, 'query')} of {figures.whole:,}, {who}, {spent}{cap}; 95% intervals"


def list_notes(pilot: Pilot) -> list[str]:
    """What to know beside the figures."""
    unasked = f"Not asked yet: {', '.join(pilot.unasked)}." if pilot.unasked else ""
    known = [teacher for teacher in pilot.figures.teachers if teacher.reliability is not None]
    few = "" if known or len(pilot.figures.teachers) >= 3 else "Reliability needs three teachers."
    return [note for note in (*pilot.notes, unasked, few) if note]


def pilot_dict(pilot: Pilot) -> dict[str, Any]:
    """A judged pilot for machines."""
    return {
        "verdict": pilot.go_ahead.verdict.value,
        "reason": say_reason(pilot),
        "change": list_changes(pilot),
        "figures": asdict(pilot.figures),
        "bounds": [
            {
                **asdict(mark.bound),
                "value": mark.value and asdict(mark.value),
                "says": mark.verdict and mark.verdict.value,
            }
            for mark in pilot.go_ahead.marks
        ],
        "selection": pilot.selection,
        "failures": dict(pilot.failures),
        "spent_usd": pilot.spent,
        "cap_usd": None if pilot.cap is None else str(pilot.cap),
        "ended": pilot.ended,
        "notes": list_notes(pilot),
    }


def cost_rows(pilot: Pilot) -> list[dict[str, Any]]:
    """What the whole labelling comes to."""
    kept = pilot.figures.kept_in_all
    many = "unknown" if kept is None else say_count(kept)
    return [
        {"of the whole labelling": "cost", "expected": say_money(pilot.figures.cost)},
        {"of the whole labelling": "samples kept", "expected": many},
        {"of the whole labelling": "share of samples kept", "expected": say_share(pilot.figures.kept)},
        {"of the whole labelling": "cost of a kept sample", "expected": say_money(pilot.figures.cost_each)},
    ]


def say_count(value: Value) -> str:
    """A count with its interval."""
    if value.low is None or value.high is None:
        return f"{value.value:,.0f}"
    return f"{value.value:,.0f} [{value.low:,.0f}, {value.high:,.0f}]"
