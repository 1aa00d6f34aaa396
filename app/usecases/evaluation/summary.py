"""A run's report as a person reads it, in values that page and written report share: verdict, figures, table."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from app.usecases.evaluation.charts import Dot, Shape
from app.usecases.evaluation.comparisons import System
from app.usecases.evaluation.report_lines import show_measure
from app.usecases.evaluation.verdicts import Group, rank, say_difference, say_points
from engine.costs import ASSUMED
from engine.evaluation.money import PayBack
from engine.evaluation.report import Verdict
from engine.plans.titles import title_of
from engine.values.report import READ, SECONDS, TOKENS, TOKENS_P95, WHOLE, ReportRow
from engine.wording import counted

Tone = Literal["", "good", "warn"]
_GROUPS: tuple[tuple[str, Group], ...] = (
    ("Untrained", "untrained"),
    ("Stages", "stage"),
    ("Baselines", "baseline"),
    ("Teachers", "teacher"),
)
_SHAPES: Mapping[Group, Shape] = {
    "teacher": "diamond",
    "stage": "circle",
    "baseline": "square",
    "untrained": "cross",
}
_MOST_QUERIES = 20_000
"""From so many queries on, what would show a gain is not told: nobody has them."""


@dataclass(frozen=True)
class Figure:
    """A number that stands for itself, what it is, and a line about it."""

    label: str
    value: str
    note: str = ""
    tone: Tone = ""


@dataclass(frozen=True)
class Summary:
    """What a run comes to: whether something is worth shipping, why, what would help where not, and the figures."""

    title: str
    text: str
    sure: bool
    helps: tuple[str, ...]
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Heading:
    """A column of the table: its title, and what its numbers are."""

    title: str
    help: str


@dataclass(frozen=True)
class Cell:
    """A number as it is shown, and quieter what goes with it: an interval, a mark."""

    text: str
    more: str = ""


@dataclass(frozen=True)
class Line:
    """A system's row. `ship`: it is the pick."""

    name: str
    ship: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """Rows by group, each with a cell a column; the first column, the system's name, is not among them."""

    columns: tuple[Heading, ...]
    groups: tuple[tuple[str, tuple[Line, ...]], ...]


@dataclass(frozen=True)
class KindTable:
    """Scores by kind of query: by system a score a kind (None: no answer), and which system to ship for each kind."""

    kinds: tuple[str, ...]
    counts: Mapping[str, int]
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]
    ships: Mapping[str, str | None]


def best_teacher(systems: Sequence[System]) -> System | None:
    """The teacher with the highest score, of equal ones the briefest; None where none was scored."""
    teachers = [system for system in systems if system.group == "teacher"]
    return max(teachers, key=lambda system: rank(system.report), default=None)


def summarise(systems: Sequence[System], verdict: Verdict | None, payback: PayBack | None) -> Summary:
    """What a run comes to. `payback`: of what is shipped (else the best) against the best teacher, where both are."""
    rows = {system.report.name: system for system in systems}
    if verdict is None:
        text = "The plan of this run scored nothing that it trained."
        return Summary("Nothing to judge yet", text, False, ("Run a plan whose stages are scored.",), ())
    shown = rows.get(verdict.ship or verdict.best)
    figures = _figures(shown, best_teacher(systems), verdict, payback) if shown else ()
    if verdict.ship is None:
        return Summary("Not yet", _say_not(verdict, shown), False, tuple(_helps(verdict)), figures)
    return Summary(f"Ship {title_of(verdict.ship)}", _say_why(verdict), True, (), figures)


def _say_why(verdict: Verdict) -> str:
    gained = f", and gains {say_difference(verdict.gained)} over the untrained student" if verdict.gained else ""
    if verdict.behind is None:
        return f"It scores highest of the trained students{gained} (n = {verdict.n:,})."
    return (
        f"It writes the fewest tokens of those no more than {say_points(verdict.margin)} below the best, "
        f"{title_of(verdict.best)} ({say_difference(verdict.behind)} on the same queries){gained} (n = {verdict.n:,})."
    )


def _say_not(verdict: Verdict, shown: System | None) -> str:
    if verdict.baseline is None or verdict.gained is None:
        return f"No untrained student was scored beside the trained ones, so no gain is shown (n = {verdict.n:,})."
    at = f" at {shown.report.accuracy:.2f}" if shown else ""
    return (
        f"The best trained student, {title_of(verdict.best)}{at}, is not shown to gain over the untrained one: "
        f"{say_difference(verdict.gained)} on the same queries (n = {verdict.n:,})."
    )


def _helps(verdict: Verdict) -> list[str]:
    """What would help where nothing is worth shipping."""
    gained = verdict.gained
    if gained is None:
        return ["Run a plan that scores the untrained student too, as TwT does."]
    if gained.difference > 0:
        needed = queries_needed(gained.difference, (gained.ci_high - gained.ci_low) / 2, gained.n)
        if needed is not None and needed > gained.n:
            return [
                f"About {needed:,} held-out queries would show a gain of this size; there are {gained.n:,}.",
                "Longer training or a larger student may also widen the gap.",
            ]
    return [
        "Check on Train that the loss still falls: more epochs, a higher rank or a larger student may help.",
        "Check on Select that enough samples are kept to learn from.",
    ]


def queries_needed(difference: float, half: float, n: int) -> int | None:
    """How many queries would show a gain of this size by an interval without 0, rounded up to two digits.

    An interval's half width falls with the square root of the number of queries. None where there is no gain, or more
    are needed than anybody has.
    """
    if difference <= 0:
        return None
    needed = n * (half / difference) ** 2
    if needed > _MOST_QUERIES:
        return None
    grain = int(10.0 ** max(0, math.floor(math.log10(max(needed, 1))) - 1))
    return math.ceil(needed / grain) * grain


def _figures(shown: System, teacher: System | None, verdict: Verdict, payback: PayBack | None) -> tuple[Figure, ...]:
    row = shown.report
    gained = verdict.gained
    tone: Tone = "good" if verdict.ship else "warn"
    figures = [
        Figure(
            row.measure.capitalize(),
            f"{row.accuracy:.2f}",
            f"95% interval {row.ci_low:.2f}-{row.ci_high:.2f}, n = {row.n:,}",
            tone,
        )
    ]
    if gained:
        interval = f"95% interval {gained.ci_low:+.2f} to {gained.ci_high:+.2f}"
        figures.append(Figure("Gain over untrained", f"{gained.difference:+.2f}", interval))
    tokens = f"{row.mean_output_tokens:.1f}"
    if teacher is None:
        return (*figures, Figure("Output tokens", tokens, "mean; no teacher was scored to compare with"))
    other = teacher.report
    figures.append(
        Figure(
            "Output tokens",
            f"{tokens} of {other.mean_output_tokens:.1f}",
            f"{_say_share(row.mean_output_tokens, other.mean_output_tokens)} of {other.name}, the best teacher",
        )
    )
    marked = _mark(teacher.assumed or shown.assumed)
    figures.append(
        Figure(
            "Cost per 1,000 answers",
            say_money(shown.cost_per_1000),
            f"instead of {say_money(teacher.cost_per_1000)} with {other.name}{marked}",
        )
    )
    return (*figures, *([_break_even(payback)] if payback else []))


def _say_share(mine: float, theirs: float) -> str:
    """A share of tokens as one by a whole number where that says enough."""
    if mine <= 0 or theirs <= 0:
        return "none"
    return f"1/{theirs / mine:.0f}" if theirs / mine >= 1.5 else f"{mine / theirs:.0%}"


def _break_even(payback: PayBack) -> Figure:
    made = None if payback.device is None else payback.asking + payback.assumed + payback.device
    marked = _mark(bool(payback.assumed) or payback.teacher_assumed or payback.device_assumed)
    spent = f"{say_money(made)} to label, train and score{marked}"
    if payback.queries is not None:
        return Figure("Pays back after", counted(round(payback.queries), "query"), spent)
    costs = (payback.device, payback.teacher_cost, payback.student_cost)
    if None in costs or payback.unknown_requests:
        return Figure("Pays back after", "unknown", "a price is missing: the device's, or the teacher's")
    return Figure("Pays back after", "never", "an answer of the teacher costs no more", "warn")


def _mark(assumed: bool) -> str:
    return f" ({ASSUMED})" if assumed else ""


def say_money(amount: float | None) -> str:
    """US dollars to the hundredth of a cent."""
    return "unknown" if amount is None else f"${amount:,.4f}"


def table_of(systems: Sequence[System]) -> Table:
    """The comparison, in the groups that there are."""
    measure = systems[0].report.measure if systems else "score"
    columns = (
        Heading(
            measure.capitalize(), f"{_MEANS.get(measure, 'Share of right answers')}, with its 95% interval (Wilson)"
        ),
        Heading(
            "Gain", "Paired difference to the untrained few-shot student on the same queries, with its 95% interval"
        ),
        Heading("Tokens", "Mean output tokens of an answer, counted by the student's tokenizer, to compare lengths"),
        Heading("p95", "95% of the answers have no more output tokens than this"),
        Heading("Billed", "Mean output tokens of an answer that the provider billed; they decide the cost of teachers"),
        Heading("Seconds", "Mean time of an answer"),
        Heading(
            "$ / 1,000",
            "US dollars for a thousand answers: the ledger or list price of a teacher, device time of a student",
        ),
        Heading("Parsed", "Share of the answers from which a label could be read"),
    )
    groups = []
    for title, group in _GROUPS:
        lines = tuple(
            Line(title_of(system.report.name), system.ship, _cells(system))
            for system in systems
            if system.group == group
        )
        groups += [(title, lines)] if lines else []
    return Table(columns, tuple(groups))


_MEANS = {
    "accuracy": "Share of the held-out queries answered as the gold label says",
    "agreement": "Share of the held-out queries answered as most teachers do; accuracy is not known",
}


def _cells(system: System) -> tuple[Cell, ...]:
    row, gained = system.report, system.gained
    return (
        Cell(f"{row.accuracy:.2f}", f"{row.ci_low:.2f}-{row.ci_high:.2f}"),
        Cell("-")
        if gained is None
        else Cell(f"{gained.difference:+.2f}", f"{gained.ci_low:+.2f} to {gained.ci_high:+.2f}"),
        Cell(show_measure(row, TOKENS)),
        Cell(show_measure(row, TOKENS_P95)),
        Cell("-" if system.billed_tokens is None else f"{system.billed_tokens:.1f}"),
        Cell(_say_seconds(row)),
        Cell(
            "unknown" if system.cost_per_1000 is None else f"{system.cost_per_1000:,.4f}",
            ASSUMED if system.assumed else "",
        ),
        Cell(show_measure(row, READ)),
    )


def _say_seconds(row: ReportRow) -> str:
    """Seconds to the hundredth; what is less than that is said to be less."""
    seconds = row.mean_latency_s
    return "<0.01" if seconds is not None and 0 < seconds < 0.005 else show_measure(row, SECONDS)


def kinds_of(rows: Sequence[ReportRow], verdicts: Mapping[str, Verdict]) -> KindTable | None:
    """Scores by kind; None where kinds are not told apart."""
    kinds = tuple(sorted({row.kind for row in rows} - {WHOLE}))
    if not kinds:
        return None
    scores = {(row.name, row.kind): row.accuracy for row in rows}
    counts = {kind: max(row.n for row in rows if row.kind == kind) for kind in kinds}
    names = dict.fromkeys(row.name for row in rows)
    lines = tuple((name, tuple(scores.get((name, kind)) for kind in kinds)) for name in names)
    ships = {kind: verdicts[kind].ship if kind in verdicts else None for kind in kinds}
    return KindTable(kinds, counts, lines, ships)


def dots_of(systems: Sequence[System]) -> list[Dot]:
    """The systems for the plot of score against tokens."""
    return [
        Dot(
            title_of(s.report.name),
            s.report.mean_output_tokens,
            s.report.accuracy,
            s.report.ci_low,
            s.report.ci_high,
            s.colour,
            _SHAPES[s.group],
            s.ship,
        )
        for s in systems
    ]


_CSV = (
    *("system", "group", "ship", "measure", "n", "score", "low", "high", "gain", "gain_low", "gain_high"),
    *("tokens", "tokens_p95", "billed_tokens", "seconds", "cost_per_1000_usd", "cost_assumed", "parsed"),
)


def systems_csv(systems: Sequence[System]) -> str:
    """The comparison as CSV, unrounded; unknown numbers are empty."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_CSV)
    for system in systems:
        row, gained = system.report, system.gained
        known = (gained.difference, gained.ci_low, gained.ci_high) if gained else (None, None, None)
        name = f"'{row.name}" if row.name.startswith(("=", "+", "-", "@")) else row.name
        writer.writerow(
            [
                *(name, system.group, system.ship, row.measure, row.n, row.accuracy, row.ci_low, row.ci_high),
                *known,
                *(row.mean_output_tokens, row.p95_output_tokens, system.billed_tokens, row.mean_latency_s),
                *(system.cost_per_1000, system.assumed, row.parse_rate),
            ]
        )
    return file.getvalue()
