"""What is looked at: runs, their steps, reports and compressed rationales, as plain values for pages and machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.usecases.context import Context
from app.usecases.labelling import kept_examples
from app.usecases.running import RunService
from engine.config import Plan
from engine.evaluate import recommend
from engine.types import ReportRow


@dataclass(frozen=True)
class ReadService:
    """Use cases that change nothing."""

    context: Context
    running: RunService

    def runs(self) -> list[dict[str, Any]]:
        """All runs, newest first."""
        names = {project.id: project.name for project in self.context.projects.all()}
        listed = []
        for run in self.context.runs.all():
            steps = self.context.runs.steps(run.id)
            listed.append(
                {
                    "run": run.id,
                    "project": names[run.project_id],
                    "plan": run.plan.name,
                    "status": run.status.value,
                    "steps": f"{sum(step.status == 'finished' for step in steps)} of {len(steps)}",
                    "message": run.message,
                }
            )
        return listed

    def run(self, run_id: str) -> dict[str, Any]:
        """A run with its steps, which of them are stale, its report, and the stage to ship."""
        run = self.context.runs.get(run_id)
        rows = self.context.reports.rows(run.id)
        stages = [step.name for step in run.plan.steps if step.kind == "train" and step.name.startswith("stage")]
        stale = set(self.running.stale_steps(run.id))
        return {
            "run": run.id,
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
            "rows": [asdict(row) for row in rows],
            "differences": [asdict(row) for row in self.context.reports.differences(run.id)],
            "ship": recommend(rows, stages),
            "notes": report_notes(rows, run.plan),
        }

    def compression(self, run_id: str) -> list[dict[str, Any]]:
        """Original, student's and compressed rationale of every kept sample that was compressed."""
        run = self.context.runs.get(run_id)
        answers = [step.name for step in run.plan.steps if step.kind == "answer"]
        students = self.context.runs.generations(run.id, answers[-1]) if answers else {}
        texts = self.context.runs.rationales(run.id)
        return [
            {
                "sample": example.sample_id,
                "teacher": teacher,
                "original": example.rationale,
                "student": students[example.query.id].text if example.query.id in students else None,
                "compressed": texts[example.sample_id][0],
                "flags": ", ".join(texts[example.sample_id][1]),
            }
            for example, teacher in kept_examples(self.context, run)
            if example.sample_id in texts
        ]


def report_notes(rows: Sequence[ReportRow], plan: Plan) -> list[str]:
    """What a reader of the table must know beside its numbers."""
    notes = []
    trained = {step.dataset for step in plan.steps if step.kind == "train"}
    if "full" in trained and "compressed" not in trained:
        notes.append("stage 2 is absent: the teachers are recordings, and no live one was named to compress")
    if len({row.kind for row in rows}) > 2:
        notes.append("kinds are mixed: the method's authors report it on one task at a time; look at each kind")
    return notes


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
