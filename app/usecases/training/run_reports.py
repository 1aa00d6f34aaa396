"""What is looked at: runs, their steps, reports and compressed rationales, as plain values for pages and machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from typing import Any

from app.usecases.evaluation.verdicts import judge, say_verdict
from app.usecases.training.remaining import RemainingService
from app.usecases.training.runs import RunService
from app.usecases.workspace.context import Context
from engine.errors import NotFound, StateError
from engine.jobs.spec import ALONE
from engine.plans.registry import lacks_compression
from engine.values import RunStatus
from engine.values.report import WHOLE, ReportRow
from engine.wording import counted, verb
from storage.runs import Run


@dataclass(frozen=True)
class ReadService:
    """Use cases that change nothing."""

    context: Context
    running: RunService
    remaining: RemainingService

    def runs(self) -> list[dict[str, Any]]:
        """All runs, newest first; of one that is going on, seconds that are left of it, scoring included."""
        names = {project.id: project.name for project in self.context.projects.all()}
        listed = []
        for run in self.context.runs.all():
            steps = self.context.runs.steps(run.id)
            left = self.remaining.left(run, steps) if run.status is RunStatus.RUNNING else None
            listed.append(
                {
                    "run": run.id,
                    "name": run.title,
                    "project": names[run.project_id],
                    "plan": run.plan.name,
                    "status": run.status.value,
                    "steps": f"{sum(step.status == 'finished' for step in steps)} of {len(steps)}",
                    "left_s": left.seconds if left else None,
                    "left_without_compressing": bool(left and left.open),
                    "message": run.message,
                }
            )
        return listed

    def runs_of(self, project_id: str) -> list[Run]:
        """A project's runs, newest first."""
        return self.context.runs.all(project_id)

    def find_run(self, run_id: str) -> Run:
        """A run of whatever project, by its id or how it begins.

        Raises:
            NotFound: if there is none, or more than one.
        """
        return self.context.runs.get(run_id)

    def report(self, run: Run) -> list[ReportRow]:
        """The rows of a run's report in their order, of all queries and of each kind."""
        return self.context.reports.rows(run.id)

    def run_of(self, project_name: str, run_id: str | None) -> Run:
        """A run, which must be one of the project.

        Raises:
            StateError: if none is named.
            NotFound: if it is another project's, or nobody's.
        """
        if not run_id:
            raise StateError("Choose a run first; the page Train starts one.")
        project = self.context.projects.get(project_name)
        run = self.context.runs.get(run_id)
        if run.project_id != project.id:
            raise NotFound(f"{project.name!r} has no run {run_id}")
        return run

    def run(self, run_id: str) -> dict[str, Any]:
        """A run with its steps, which of them are stale, its report, and what to ship."""
        run = self.context.runs.get(run_id)
        rows = self.context.reports.rows(run.id)
        verdict = judge(self.context, run)
        stale = set(self.running.stale_steps(run.id))
        return {
            "run": run.id,
            "name": run.title,
            "note": run.note,
            "plan": run.plan.name,
            "status": run.status.value,
            "message": run.message,
            "steps": [
                {
                    "step": s.name,
                    "kind": s.kind,
                    "status": "stale" if s.name in stale else s.status.value,
                    **_brief(s.result),
                }
                for s in self.context.runs.steps(run.id)
            ],
            "rows": [row.to_dict() for row in rows],
            "differences": [asdict(row) for row in self.context.reports.differences(run.id)],
            "ship": verdict.ship if verdict else None,
            "verdict": say_verdict(verdict, rows) if verdict else "",
            "notes": report_notes(self.context, run, rows),
        }


def report_notes(context: Context, run: Run, rows: Sequence[ReportRow]) -> list[str]:
    """What a reader of the table must know beside its numbers."""
    notes = []
    if lacks_compression(run.plan):
        notes.append("stage 2 is absent: the teachers are recordings, and no live one was named to compress")
    if any(row.measure == "agreement" for row in rows):
        notes.append(
            "no held-out query has a gold label: scores are agreement with what most teachers say, not accuracy; "
            "teachers are left out, being part of it"
        )
    if len({row.kind for row in rows} - {WHOLE}) > 1:
        notes.append("kinds are mixed: the method's authors report it on one task at a time; look at each kind")
    return [*notes, *_say_alone(context, run), *_say_threads(context, run)]


def _say_alone(context: Context, run: Run) -> list[str]:
    """How many answers that were written beside others are what their prompts alone lead to, over all steps."""
    alone = [counts for step in context.runs.steps(run.id) if isinstance(counts := step.result.get(ALONE), dict)]
    same, of = (sum(n for counts in alone if isinstance(n := counts.get(name), int)) for name in ("same", "of"))
    if not of:
        return []
    return [
        "many answers are written at the same time, which rounds sums in another order: of "
        f"{counted(of, 'answer')} read again by themselves, {same:,} {verb(same, 'is')} what the query alone leads to"
    ]


def _say_threads(context: Context, run: Run) -> list[str]:
    """That later workers of a run had other threads than its first."""
    other = context.runs.other_threads(run.id)
    if not other:
        return []
    steps = {step.name for step in run.plan.steps}
    changes = list(dict.fromkeys(_say_change(row, steps) for row in other))
    return [
        f"the number of threads changed: the run began with {run.threads}; {'; '.join(changes)}. Sums are then rounded "
        "in another order, so losses and texts can differ from those of an uninterrupted run"
    ]


def _say_change(row: Mapping[str, Any], steps: AbstractSet[str]) -> str:
    where = f"from {row['step']} on" if row["step"] in steps else "later"
    why = "TACIT_THREADS was set to that" if row["named"] else "there were no more processors"
    return f"{where} it had {row['threads']} ({why})"


def _brief(result: Any) -> dict[str, Any]:
    keys = (
        "updates",
        "train_rows",
        "dropped",
        "final_loss",
        "validation_loss",
        "answers",
        "rationales",
        "kept_original",
    )
    return {"result": ", ".join(f"{key} {_round(result[key])}" for key in keys if result.get(key) is not None)}


def _round(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value
