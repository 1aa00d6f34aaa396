"""What teachers have answered in a project so far: samples, failures, replies, and what is left to ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.usecases.workspace.context import Context
from engine.values import Job, Purpose, Split
from storage.projects import Project


@dataclass(frozen=True)
class Labelling:
    """What labelling a project is up to: queries to distill from and held out, teachers, samples that are there."""

    distill: int
    heldout: int
    askable: int
    recorded: int
    samples: int

    @property
    def queries(self) -> int:
        return self.distill + self.heldout


@dataclass(frozen=True)
class AnswerService:
    """Use cases of looking at answers."""

    context: Context

    def labelling(self, project: Project) -> Labelling:
        """What there is in a project for labelling."""
        counts = self.context.queries.counts(project.id)
        providers = [spec.provider for spec in self.context.projects.teachers(project.id)]
        recorded = providers.count("recorded")
        samples = sum(row["samples"] for row in self.counts(project))
        return Labelling(
            counts.get(Split.DISTILL, 0), counts.get(Split.HELDOUT, 0), len(providers) - recorded, recorded, samples
        )

    def counts(self, project: Project) -> list[dict[str, Any]]:
        """By teacher: samples to distill from, and failures, which are attempts that no sample followed."""
        return self.context.samples.counts(project.id)

    def counts_and_costs(self, project: Project) -> list[dict[str, Any]]:
        """The same with input_tokens (what was read for it) and cost (US dollars; None: some of it unknown)."""
        money = {(row["teacher"], row["purpose"]): row for row in self.context.ledger.totals(project.id)}
        rows = []
        for row in self.counts(project):
            own = money.get((row["teacher"], Purpose.LABEL.value), {})
            cost = None if own.get("unknown_cost") else own.get("cost_usd", 0)
            rows.append({**row, "input_tokens": own.get("input_tokens") or 0, "cost": cost})
        return rows

    def failures(self, project: Project) -> list[dict[str, Any]]:
        """What gave no sample, of both splits, by kind of error. Keys: teacher, error, n (each asked again once)."""
        return self.context.samples.failures(project.id)

    def last_replies(self, project: Project) -> list[dict[str, Any]]:
        """The newest replies, newest first. Keys: teacher, error (None: it could be read), raw (clipped)."""
        return self.context.samples.last_replies(project.id)

    def last_job(self, project: Project, *kinds: str) -> Job | None:
        """The newest job of these kinds (none given: labelling) in a project; None where there was none."""
        jobs = self.context.jobs.jobs_of(project.id)
        return next((job for job in jobs if job.kind in (kinds or ("label", "batch"))), None)
