"""What to ship: the one rule that rail, headline, card and commands share, and the words it is told in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from app.usecases.workspace.context import Context
from engine.evaluation.report import Verdict, recommend
from engine.plans import Role
from engine.plans.titles import title_of
from engine.values import EvalItem
from engine.values.report import WHOLE, Difference, ReportRow
from storage.runs import Run

Group = Role | Literal["teacher"]


def rank(row: ReportRow) -> tuple[float, float]:
    """By what the best of several systems is found: the score, and of equal ones the briefest."""
    return row.accuracy, -row.mean_output_tokens


def groups_of(run: Run) -> dict[str, Group]:
    """What kind of system each student of a run is, by the name that its answers go by."""
    return {step.system: step.role for step in run.plan.evaluated}


def best_student(context: Context, run: Run) -> ReportRow | None:
    """The student of a plan's method that scored highest over all queries; None where none was scored."""
    groups = groups_of(run)
    rows = [row for row in context.reports.rows(run.id) if row.kind == WHOLE]
    stages = [row for row in rows if groups.get(row.name) == "stage"]
    trained = stages or [row for row in rows if groups.get(row.name) == "baseline"]
    return max(trained, key=lambda row: row.accuracy, default=None)


def judge(context: Context, run: Run, kind: str = WHOLE) -> Verdict | None:
    """What of a run to ship, over all held-out queries or one kind; None where nothing trained was scored."""
    return _judged(context, run).get(kind)


def judge_kinds(context: Context, run: Run) -> dict[str, Verdict]:
    """The same for each kind of query, where kinds are told apart."""
    return {kind: verdict for kind, verdict in _judged(context, run).items() if kind != WHOLE}


def _judged(context: Context, run: Run) -> dict[str, Verdict]:
    margin = context.projects.get(run.project_id).config.margin

    def work() -> dict[str, Verdict]:
        items = context.runs.scored(run.id)
        groups = groups_of(run)
        trained = [name for name, group in groups.items() if group in ("stage", "baseline")]
        untrained = [name for name, group in groups.items() if group == "untrained"]
        kinds: dict[str, list[EvalItem]] = {WHOLE: items}
        for item in items:
            if item.kind:
                kinds.setdefault(item.kind, []).append(item)
        verdicts = {kind: recommend(own, trained, untrained, margin) for kind, own in kinds.items()}
        return {kind: verdict for kind, verdict in verdicts.items() if verdict is not None}

    return context.db.once(f"what to ship of {run.id} within {margin}", work)


def say_verdict(verdict: Verdict, rows: Sequence[ReportRow]) -> str:
    """A verdict over all queries in words, with the report's scores."""
    scores = {row.name: row for row in rows if row.kind == WHOLE}
    if verdict.ship is None:
        best = scores.get(verdict.best)
        text = f"Nothing worth shipping yet (n = {verdict.n:,}): "
        if verdict.baseline is None or verdict.gained is None:
            return text + "no untrained student was scored beside it, so no gain is shown."
        at = f" at {best.accuracy:.2f}" if best else ""
        return text + (
            f"the best of the trained, {title_of(verdict.best)}{at}, is not shown to gain over the untrained student "
            f"({say_difference(verdict.gained)} on the same queries)."
        )
    row = scores.get(verdict.ship)
    what = f": {row.measure} {row.accuracy:.2f} with {row.mean_output_tokens:.1f} output tokens" if row else ""
    text = f"Ship {title_of(verdict.ship)}{what}. "
    if verdict.behind is None:
        text += "It scores highest of the trained students"
    else:
        text += (
            f"It is no more than {say_points(verdict.margin)} below the best, {title_of(verdict.best)} "
            f"({say_difference(verdict.behind)} on the same queries)"
        )
    gained = f" and gains {say_difference(verdict.gained)} over the untrained student" if verdict.gained else ""
    return f"{text}{gained} (n = {verdict.n:,})."


def say_points(margin: float) -> str:
    """A margin as points of a hundred."""
    points = f"{100 * margin:g}"
    return f"{points} point{'' if points == '1' else 's'}"


def say_difference(difference: Difference) -> str:
    """A paired difference with its 95% interval."""
    return f"{difference.difference:+.2f} [{difference.ci_low:+.2f}, {difference.ci_high:+.2f}]"
