"""What a ladder saves, in the words, rows and figures that page and terminal share."""

from __future__ import annotations

from typing import Any, NamedTuple

from app.usecases.evaluation.summary import Figure
from app.usecases.evaluation.verdicts import say_points
from app.usecases.serving.savings import Saving
from engine.costs import ASSUMED
from engine.plans.titles import title_of
from engine.serving.deferral import DEFERRALS
from engine.serving.outcomes import EFFORTS
from engine.serving.saving import Share
from engine.wording import counted

EFFORT_TITLES = {"tokens": "Output tokens", "dollars": "Money", "seconds": "Time"}
"""How a person reads what can be saved."""
_MOST_NEEDED = 100_000
_LABELS = {"gold": "gold labels", "consensus": "the teachers' consensus"}


class CertificateWords(NamedTuple):
    """A certificate: in a few words, in a sentence or two, and whether there is one."""

    title: str
    text: str
    sure: bool


def say_certificate(saving: Saving) -> CertificateWords:
    """What is guaranteed of the ladder, or why nothing is, and how many queries would help."""
    order, choice, ladder = saving.order, saving.choice, saving.ladder
    points, last = say_points(order.allowed), order.reference
    by = f"by {_LABELS[saving.labels]}"
    half = f"half of the {counted(ladder.n_fit + ladder.n, 'held-out query', 'held-out queries')}"
    if choice.place and choice.certified:
        text = (
            f"With {order.sure:.0%} confidence it loses at most {points} against {last} on queries like these, {by}. "
            f"Fitted on {half}, certified on the other (n = {ladder.n:,}), where it {_say_lost(saving)}."
        )
        return CertificateWords(f"At most {points} below {last}", text, True)
    if choice.place:
        measured = choice.step.losses.mean
        why = (
            f"it {_say_lost(saving)} there, more than is allowed"
            if measured > order.allowed
            else f"they are too few to say so with {order.sure:.0%} confidence"
        )
        text = (
            f"It was fitted to lose at most {points} against {last}, {by}. On the other {half} (n = {ladder.n:,}) that "
            f"is not certified: {why}.{_say_needed(saving)}"
        )
        return CertificateWords("Not certified", text, False)
    if len(ladder.steps) == 1:
        unsure = () if DEFERRALS[order.rule].draws_twice else saving.unsure
        why = (
            f" The log-probs of {', '.join(map(title_of, unsure))} were not kept; score a new run, or let kinds of "
            "queries decide."
            if unsure
            else ""
        )
        return CertificateWords(f"{last} answers everything", f"Asking a student first saves nothing here.{why}", False)
    text = f"No student answers well enough to lose at most {points} against {last}, {by}.{_say_needed(saving)}"
    return CertificateWords(f"{last} answers everything", text, False)


def _say_lost(saving: Saving) -> str:
    mean = saving.choice.step.losses.mean
    if mean == 0:
        return "lost nothing"
    return f"{'lost' if mean > 0 else 'gained'} {say_points(round(abs(mean), 3))}"


def _say_needed(saving: Saving) -> str:
    needed = saving.choice.needed
    what = "this" if saving.choice.place else "the next step"
    if needed is None or needed > _MOST_NEEDED:
        return ""
    grain = 10 ** max(0, len(str(needed)) - 2)
    about = -(-needed // grain) * grain
    queries = counted(about, "more labelled held-out query", "more labelled held-out queries")
    return f" About {queries} could certify {what}."


def rung_rows(saving: Saving) -> list[dict[str, Any]]:
    """Who answers how much, and when, in the order in which they are asked."""
    step = saving.choice.step
    rows = [
        {"rung": name, "answers": f"{share:.0%}", "when": rule.say()}
        for name, share, rule in zip(saving.order.students, step.shares, step.rules, strict=False)
    ]
    return [*rows, {"rung": saving.order.reference, "answers": f"{step.shares[-1]:.0%}", "when": "all the rest"}]


def figures(saving: Saving) -> tuple[Figure, ...]:
    """Score, what is saved of each effort, and when it pays back, each beside the reference alone."""
    step, alone, last = saving.choice.step, saving.ladder.reference, saving.order.reference
    lost = step.losses.mean
    tone: Any = "good" if saving.choice.certified and saving.choice.place else "warn"
    figures = [Figure("Score", f"{step.score:.3f}", f"{alone.score:.3f} by {last}; {_points(-lost)} points", tone)]
    mine, theirs = step.effort, alone.effort
    figures.append(_effort(saving, "tokens", f"{mine.tokens:.1f}", f"{theirs.tokens:.1f}"))
    figures.append(_effort(saving, "dollars", *(_per_1000(dollars) for dollars in (mine.dollars, theirs.dollars))))
    if mine.seconds is not None and theirs.seconds is not None:
        figures.append(_effort(saving, "seconds", f"{mine.seconds:.2f} s", f"{theirs.seconds:.2f} s"))
    return (*figures, _pays_back(saving))


def _points(share: float) -> str:
    return f"{100 * share:+.1f}" if share else "0.0"


def _per_1000(dollars: float | None) -> str:
    return "unknown" if dollars is None else f"${1000 * dollars:,.4f}"


_PER = {"tokens": "an answer", "dollars": "a thousand answers", "seconds": "an answer"}


def _effort(saving: Saving, name: str, mine: str, theirs: str) -> Figure:
    share = saving.choice.saved.get(name)
    marked = f", {ASSUMED} prices" if name == "dollars" and saving.assumed else ""
    if share is None:
        return Figure(f"{EFFORT_TITLES[name]} saved", "unknown", f"{mine} of {theirs} {_PER[name]}{marked}")
    note = f"{mine} instead of {theirs} {_PER[name]}{marked}"
    if share.value > 1:
        return Figure(f"{EFFORT_TITLES[name]} saved", "none", f"{note}: more than before", "warn")
    return Figure(f"{EFFORT_TITLES[name]} saved", f"{1 - share.value:.0%}", f"{note}; {say_interval(share)}")


def say_interval(share: Share) -> str:
    """The 95% interval of what is saved, in percent."""
    return f"95% interval {100 * (1 - share.high):.0f} to {100 * (1 - share.low):.0f}%"


def _pays_back(saving: Saving) -> Figure:
    paid = saving.pay_back
    if not saving.choice.place:
        return Figure("Pays back after", "never", "nothing is saved")
    made = None if paid.device is None else paid.asking + paid.assumed + paid.device
    spent = "unknown" if made is None else f"${made:,.4f}"
    marked = f" ({ASSUMED})" if paid.assumed or paid.teacher_assumed or paid.device_assumed else ""
    note = f"{spent} to label, train and score{marked}"
    if paid.queries is not None:
        return Figure("Pays back after", counted(round(paid.queries), "query", "queries"), note)
    if paid.teacher_cost is None or paid.student_cost is None or paid.device is None or paid.unknown_requests:
        return Figure("Pays back after", "unknown", "a price is missing: the device's, or the teacher's")
    return Figure("Pays back after", "never", "an answer costs no less than before", "warn")


def saving_data(saving: Saving) -> dict[str, Any]:
    """A saving for machines. Shares are of queries, `saved` of the reference's effort; money in US dollars a query."""
    certificate, choice, ladder = say_certificate(saving), saving.choice, saving.ladder
    return {
        "ladder": list(ladder.systems),
        "rules": [rule.model_dump(mode="json") for rule in choice.step.rules],
        "shares": dict(zip(ladder.systems, choice.step.shares, strict=True)),
        "score": choice.step.score,
        "reference_score": ladder.reference.score,
        "allowed": saving.order.allowed,
        "sure": saving.order.sure,
        "certified": choice.certified,
        "labels": saving.labels,
        "n": ladder.n,
        "n_fit": ladder.n_fit,
        "needed": choice.needed,
        "takes": {name: choice.saved[name]._asdict() for name in EFFORTS if name in choice.saved},
        "effort": choice.step.effort._asdict(),
        "reference_effort": ladder.reference.effort._asdict(),
        "assumed": list(saving.assumed),
        "pays_back_after": saving.pay_back.queries,
        "verdict": f"{certificate.title}. {certificate.text}",
    }
