"""Where one project stands: from queries to stages with losses and spend, the verdict, what is stale, what is next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.usecases.evaluation.verdicts import groups_of, judge, rank, say_verdict
from app.usecases.projects.next_steps import NextStep, next_step
from app.usecases.projects.status import is_outdated
from app.usecases.training.runs import RunService
from app.usecases.workspace.context import Context
from engine.errors import NotFound
from engine.plans import Compress
from engine.plans.titles import title_of
from engine.values import Purpose, Reason, RunStatus
from engine.values.report import WHOLE, ReportRow
from engine.wording import counted, say_span, verb
from storage.projects import Project
from storage.runs import Run, StepState
from storage.selections import StoredSelection
from storage.standings import Standing

_UNPAIRED = (Reason.NOT_IN_PAIR, Reason.TOO_FEW_TEACHERS)
_WHY = {
    Reason.BELOW_THRESHOLD: "below the threshold",
    Reason.NOT_IN_TOP_SHARE: "not in the top share",
    Reason.GRADED_LOWER: "graded lower",
    Reason.NOT_GRADED: "not graded",
    Reason.NO_CONFIDENCE: "without a confidence",
    Reason.TEACHERS_DIFFER: "where teachers differ",
    Reason.LABEL_MINORITY: "outvoted on the label",
    Reason.LABELS_DISAGREE: "with tied labels",
    Reason.DROPPED_BY_HAND: "dropped by hand",
    Reason.REJECTED: "by another rule",
}
_ASKED = (Purpose.LABEL, Purpose.GRADE)
_REWRITTEN = (Purpose.COMPRESS, Purpose.CHECK)
_NOT_YET = "The verdict stands here once a student is trained and scored on held-out queries."
_MOST_REASONS = 2
_MOST_NAMES = 3


@dataclass(frozen=True)
class Level:
    """How many are left at a step of the work, in words what was lost on the way and what else is known of it."""

    title: str
    path: str
    count: int
    lost: str = ""
    more: str = ""


@dataclass(frozen=True)
class Stale:
    """What no longer fits to what came before it, and where that is put right."""

    text: str
    way: str
    path: str


@dataclass(frozen=True)
class Fact:
    """One number with what it is and a line about it."""

    value: str
    label: str
    note: str


@dataclass(frozen=True)
class Overview:
    """A project at a glance; `scored`: a trained student was, `sure`: the verdict names one to ship."""

    verdict: str
    reason: str
    scored: bool
    sure: bool
    following: NextStep
    stale: list[Stale]
    levels: list[Level]
    facts: list[Fact]
    run: str
    """Id of the newest run, "" where there is none."""


@dataclass(frozen=True)
class _Judged:
    """What takes long to find out of a project."""

    verdict: str
    reason: str
    sure: bool
    stale: list[Stale]


@dataclass(frozen=True)
class OverviewService:
    """Use cases of one project at a glance."""

    context: Context
    running: RunService
    _last: dict[str, _Judged] = field(default_factory=dict)

    def read(self, project: Project) -> Overview:
        """Where a project stands; reckoned once between two changes of the store."""
        overview: Overview = self.context.db.once(
            f"overview of {project.id} within {project.config.margin}", lambda: self._read(project)
        )
        return overview

    def _read(self, project: Project) -> Overview:
        standing = self.context.standings.one(project.id)
        runs = self.context.runs.all(project.id)
        run = runs[0] if runs else None
        selection = self._selection(project)
        judged = self._judge(standing, selection, run)
        following = next_step(standing, judged.sure)
        return Overview(
            verdict=judged.verdict or "No result yet",
            reason=judged.reason or _NOT_YET,
            scored=bool(judged.verdict),
            sure=judged.sure,
            following=following,
            stale=judged.stale,
            levels=[*self._samples(project, selection), *self._stages(run)],
            facts=self._facts(project, runs),
            run=run.id if run else "",
        )

    def _judge(self, standing: Standing, selection: StoredSelection | None, run: Run | None) -> _Judged:
        """The verdict and what is stale. As it was before, while a job runs: it takes long, and changes at the end."""
        if not standing.jobs or standing.id not in self._last:
            run_id = self.context.reports.newest_run(standing.id) if standing.reported else None
            verdict, reason, sure = self._say_verdict(self.context.runs.get(run_id)) if run_id else ("", "", False)
            self._last[standing.id] = _Judged(verdict, reason, sure, self._stale(selection, run))
        return self._last[standing.id]

    def _say_verdict(self, run: Run) -> tuple[str, str, bool]:
        """What of a run to ship and why, in the words of the page Evaluate, and the best teacher's score beside it."""
        verdict, rows = judge(self.context, run), self.context.reports.rows(run.id)
        if verdict is None:
            return "", "", False
        title, _, reason = say_verdict(verdict, rows).partition(": ")
        taught = groups_of(run)
        teachers = [row for row in rows if row.kind == WHOLE and row.name not in taught]
        best = max(teachers, key=rank, default=None)
        beside = (
            f" The best teacher, {best.name}: {best.accuracy:.2f} with {best.mean_output_tokens:.1f} tokens."
            if best
            else ""
        )
        return title, f"{reason[:1].upper()}{reason[1:]}{beside}", verdict.ship is not None

    def _selection(self, project: Project) -> StoredSelection | None:
        try:
            return self.context.selections.latest(project.id)
        except NotFound:
            return None

    def _samples(self, project: Project, selection: StoredSelection | None) -> list[Level]:
        """From the queries to the samples that are kept."""
        counts = self.context.queries.counts(project.id)
        samples, _ = self.context.samples.state(project.id)
        failed = sum(row["failures"] for row in self.context.samples.counts(project.id))
        heldout = counts.get("heldout", 0)
        levels = [
            Level("Queries", "/data", counts.get("distill", 0), more=f"{heldout:,} more held out" if heldout else ""),
            Level(
                "Samples",
                "/label",
                samples,
                f"{counted(failed, 'reply', 'replies')} failed" if failed else "",
                self._spend(project.id, _ASKED),
            ),
        ]
        if selection is None:
            return [*levels, Level("Kept", "/select", 0, more="not selected yet")]
        return [*levels, *_selected(selection.counts)]

    def _stages(self, run: Run | None) -> list[Level]:
        """What a run made of the samples that were kept: short rationales and students."""
        if run is None:
            return [Level("Stages", "/train", 0, more="no run yet")]
        levels = []
        if any(isinstance(step, Compress) for step in run.plan.steps):
            short = self.context.rationales.count_in(run.id)
            spent = self._spend(run.project_id, _REWRITTEN)
            levels.append(Level("Short rationales", "/compress", short, more=spent if short else "none yet"))
        rows = {row.name: row for row in self.context.reports.rows(run.id) if row.kind == WHOLE}
        systems = {step.start: step.system for step in run.plan.evaluated if not step.shots}
        states = {state.name: state for state in self.context.runs.steps(run.id)}
        return levels + [
            _stage(step.name, states.get(step.name), rows.get(systems.get(step.name, step.name)))
            for step in run.plan.trained
        ]

    def _spend(self, project_id: str, purposes: tuple[Purpose, ...]) -> str:
        rows = [row for row in self.context.ledger.totals(project_id) if row["purpose"] in purposes]
        return f"cost {_money(rows)}" if rows else ""

    def _stale(self, selection: StoredSelection | None, run: Run | None) -> list[Stale]:
        stale = []
        if selection and is_outdated(self.context, selection):
            stale.append(Stale("The samples changed after they were selected from.", "Select again", "/select"))
        if run is None:
            return stale
        name = run.title
        if selection and run.plan.selection is None and run.selection_id != selection.id:
            text = f"The selection is newer than {name}: its stages were trained on an earlier one."
            stale.append(Stale(text, "Train again", "/train"))
        steps = self.running.stale_steps(run.id) if run.status is not RunStatus.RUNNING else []
        if steps:
            text = f"{', '.join(steps)} of {name} {verb(len(steps), 'was')} trained on texts that changed since."
            stale.append(Stale(text, f"Rerun from {steps[0]}", "/train"))
        return stale

    def _facts(self, project: Project, runs: list[Run]) -> list[Fact]:
        counts = self.context.queries.counts(project.id)
        teachers = [spec.name for spec in self.context.projects.teachers(project.id)]
        totals = self.context.ledger.totals(project.id)
        requests = sum(row["requests"] for row in totals)
        seconds = self.context.runs.device_seconds(*(run.id for run in runs))
        names = ", ".join(teachers[:_MOST_NAMES]) + (" and more" if len(teachers) > _MOST_NAMES else "")
        heldout = counts.get("heldout", 0)
        return [
            Fact(_money(totals), "Spent on teachers", counted(requests, "request")),
            Fact(f"{len(teachers)}", "Teachers", names),
            Fact(
                f"{sum(counts.values()):,}", "Queries", f"{counts.get('distill', 0):,} to distill, {heldout:,} held out"
            ),
            Fact(f"{len(runs)}", "Runs", f"newest: {runs[0].title}, {runs[0].status.value}" if runs else ""),
            Fact(say_span(seconds) if seconds else "-", "Device time", "of all runs" if seconds else ""),
        ]


def _selected(counts: Mapping[str, Any]) -> list[Level]:
    """What passed the rules, and what was kept of that where samples are chosen in pairs."""
    reasons: Mapping[str, int] = counts.get("reasons", {})
    kept, unpaired = int(counts["kept"]), sum(reasons.get(reason, 0) for reason in _UNPAIRED)
    lost = sorted(((number, _WHY[reason]) for reason in _WHY if (number := reasons.get(reason, 0))), reverse=True)
    shown = [f"{number:,} {why}" for number, why in lost[:_MOST_REASONS]]
    rest = sum(number for number, _ in lost[_MOST_REASONS:])
    why = ", ".join([*shown, *([f"{rest:,} otherwise"] if rest else [])])
    pairs, few = reasons.get(Reason.KEPT_PAIR, 0) // 2, reasons.get(Reason.KEPT_FEW, 0)
    more = ", ".join(
        filter(None, (counted(pairs, "pair") if pairs else "", f"{few:,} with no choice to make" if few else ""))
    )
    if not unpaired:
        return [Level("Kept", "/select", kept, why, more)]
    return [
        Level("Passed the rules", "/select", kept + unpaired, why),
        Level("Kept", "/select", kept, f"{unpaired:,} not in a pair", more),
    ]


def _stage(name: str, state: StepState | None, row: ReportRow | None) -> Level:
    """A student by the rows that it was trained on, with its score."""
    result = state.result if state else {}
    dropped = result.get("dropped") or 0
    score = f"{row.measure} {row.accuracy:.2f}, {row.mean_output_tokens:.1f} tokens" if row else ""
    status = "" if score or state is None else state.status.value.replace("_", " ")
    return Level(
        title_of(name),
        "/evaluate" if row else "/train",
        result.get("train_rows") or 0,
        _too_long(dropped),
        score or status,
    )


def _too_long(dropped: int) -> str:
    return f"{counted(dropped, 'row')} too long" if dropped else ""


def _money(rows: list[dict[str, Any]]) -> str:
    """US dollars of a ledger's rows; that nobody knows all of them is said."""
    unknown = sum(row["unknown_cost"] for row in rows)
    said = f"${sum(row['cost_usd'] for row in rows):,.2f}"
    return f"{said} + {unknown:,} unknown" if unknown else said
