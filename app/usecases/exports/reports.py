"""A run's report with where it comes from: read for the page, and written as one HTML file."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from app.usecases.evaluation.bills import list_prices
from app.usecases.evaluation.comparisons import ASSUMED_HOUR, CompareService, System, Terms, say_pay_back
from app.usecases.evaluation.confidences import ConfidenceService
from app.usecases.evaluation.html_report import RunReport, run_html
from app.usecases.evaluation.summary import best_teacher, kinds_of, summarise, table_of
from app.usecases.evaluation.verdicts import say_points
from app.usecases.exports.cards import public_name, read_origins
from app.usecases.training.run_reports import report_notes
from app.usecases.workspace.context import Context
from engine.costs import ASSUMED
from engine.datasets import DATASETS
from engine.evaluation.money import PayBack
from engine.evaluation.report import Verdict
from engine.plans import Plan, Train
from engine.plans.titles import title_of
from storage.runs import Run

_PACKAGES = ("tacit-studio", "torch", "transformers", "peft", "trl")


@dataclass(frozen=True)
class ReportService:
    """Use cases of reports."""

    context: Context
    compare: CompareService
    confidence: ConfidenceService

    def read(self, run: Run, terms: Terms) -> RunReport:
        """All that is told of a run, at assumed prices."""
        systems = self.compare.systems(run, terms.device_hour, terms.prices)
        verdict = self.compare.verdict(run)
        payback, pays_back = self._pay_back(run, systems, verdict, terms)
        rows = self.context.reports.rows(run.id)
        project = self.context.projects.get(run.project_id)
        origins = read_origins(self.context, project, run.selection_id)
        return RunReport(
            project=project.name,
            plan=run.plan.name,
            written=date.today(),
            terms=terms,
            systems=tuple(systems),
            summary=summarise(systems, verdict, payback),
            table=table_of(systems),
            curves=self.confidence.curves(run),
            kinds=kinds_of(rows, self.compare.verdicts(run)),
            pays_back=pays_back,
            more=tuple(report_notes(self.context, run, rows)),
            facts=self._facts(run, origins, terms),
            settings=_settings(run.plan),
            origins={"Teachers": self._teachers(run, origins, terms), "Prompts": origins["prompts"]},
        )

    def html(self, run: Run, terms: Terms) -> str:
        """The report of a run as one HTML file that is read offline."""
        return run_html(self.read(run, terms))

    def _pay_back(
        self, run: Run, systems: Sequence[System], verdict: Verdict | None, terms: Terms
    ) -> tuple[PayBack | None, str]:
        """When what is shipped (else the best) pays back against the best teacher, and the same in words."""
        teacher = best_teacher(systems)
        if verdict is None or teacher is None:
            return None, ""
        student = verdict.ship or verdict.best
        payback = self.compare.pay_back(run, student, teacher.report.name, terms)
        return payback, say_pay_back(payback, title_of(student), teacher.report.name)

    def _facts(self, run: Run, origins: Mapping[str, Any], terms: Terms) -> dict[str, str]:
        config = self.context.projects.get(run.project_id).config
        hour = terms.device_hour
        price = "unknown" if hour is None else f"${hour:.2f} an hour{f' ({ASSUMED})' if hour == ASSUMED_HOUR else ''}"
        student = run.plan.student
        return {
            "Run": run.id,
            "Plan": run.plan.name,
            "Task": config.task,
            "Student": f"{public_name(student.model)}, LoRA rank {student.lora.rank}, alpha {student.lora.alpha}",
            "Seed": str(student.seed),
            "Selection": f"{origins['selection']['kept']:,} samples kept: {origins['selection']['title']}",
            "Allowed loss": say_points(config.margin),
            "Device price": price,
            "Versions": ", ".join(f"{name} {number}" for name, number in _versions().items()),
        }

    def _teachers(self, run: Run, origins: Mapping[str, Any], terms: Terms) -> list[dict[str, Any]]:
        assumed = list_prices(self.context, run.project_id, terms.prices)
        rows = []
        for teacher in origins["teachers"]:
            price = assumed.get(teacher["name"])
            said = f"${price.input_usd:g} in, ${price.output_usd:g} out a million tokens ({ASSUMED})" if price else ""
            rows.append(
                {
                    "teacher": teacher["name"],
                    "provider": teacher["provider"],
                    "model": teacher["model"],
                    "temperature": str(teacher["sampling"]["temperature"]),
                    "price": said or teacher["price"],
                    "taught": "yes" if teacher["taught"] else "no, nothing of it was kept",
                }
            )
        return rows


def _settings(plan: Plan) -> tuple[dict[str, Any], ...]:
    """The training steps of a plan."""
    return tuple(
        {
            "step": step.name,
            "starts from": step.start or "the untrained student",
            "learns": DATASETS.get(step.dataset).title if step.dataset in DATASETS.names() else step.dataset,
            "length": _say_length(step),
            "learning rate": f"{step.train.learning_rate:g}",
            "batch": step.train.batch_size,
            "loss": step.train.loss,
        }
        for step in plan.trained
    )


def _say_length(step: Train) -> str:
    if step.equal_updates_to:
        return f"as many updates as {', '.join(step.equal_updates_to)}"
    train = step.train
    if train.tokens:
        return f"{train.tokens:,} training tokens"
    return f"{train.updates:,} updates" if train.updates else f"{train.epochs:g} epochs"


def _versions() -> dict[str, str]:
    versions = {"Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
