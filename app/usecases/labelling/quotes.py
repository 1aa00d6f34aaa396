"""The quote: what a labelling will ask, and what that may cost, before anything is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from app.usecases.labelling.label import LabelOrder, LabelService
from app.usecases.teachers.prompts import teacher_prompt
from app.usecases.workspace.context import Context
from app.usecases.workspace.unknown_ends import add_ends
from engine.evaluation.pilot import PILOT
from engine.labelling.batch import DISCOUNT
from engine.labelling.online import LabelWork
from engine.labelling.quote import Quote, reckon_quote
from engine.prompts import Prompt
from engine.tasks import get_task
from engine.values import TeacherSpec
from storage.projects import Project

_DAY_S = 86_400.0


def halve_quote(quote: Quote) -> Quote:
    """The same asked by a provider's batch API: at its discount, some time within a day."""
    low, high = (None if cost is None else cost * DISCOUNT for cost in (quote.cost_low, quote.cost_high))
    return replace(quote, cost_low=low, cost_high=high, seconds_low=0.0, seconds_high=_DAY_S if quote.requests else 0.0)


@dataclass(frozen=True)
class QuoteService:
    """Use cases of money: quotes before, the ledger after."""

    context: Context
    label: LabelService

    def quote(self, project_name: str, order: LabelOrder) -> list[Quote]:
        """What a labelling would ask each teacher, were no request to fail.

        Tokens come from the replies that the teacher has given to this prompt, where it has given any (a pilot
        will do), else from the length of the prompts and the bound on a reply. By batches all costs half, and
        takes up to a day. Reckoned once for the same order between two writes to the store; caps don't change it.

        Raises:
            ConfigError: if a teacher is unknown.
            StateError: if the project has no live teacher.
        """
        project = self.context.projects.get(project_name)
        chosen = self.label.choose(project, order.teachers)
        what = (order.splits, order.limit, order.retry, order.engine, [spec.name for spec in chosen], date.today())
        return self.context.db.once(f"quote of {project.id}: {what}", lambda: self._quote_all(project, chosen, order))

    def _quote_all(self, project: Project, chosen: Sequence[TeacherSpec], order: LabelOrder) -> list[Quote]:
        task, prompt = get_task(project.config.task), teacher_prompt(self.context, project)
        settings = {"limit": order.limit, "retry": list(order.retry)}
        works = [self.label.plan_work(project, task, (), split, settings) for split in order.splits]
        quotes = [self._quote(project, spec, works, prompt) for spec in chosen]
        return [halve_quote(quote) for quote in quotes] if order.engine == "batch" else quotes

    def _quote(self, project: Project, spec: TeacherSpec, works: list[LabelWork], prompt: Prompt) -> Quote:
        measured = self.context.ledger.measured(project.id, spec.name, prompt.hash)
        quote = reckon_quote(spec, works, measured if measured["n"] else None)
        return (
            quote
            if measured["n"]
            else replace(quote, basis=f"{quote.basis}; a pilot of {PILOT} queries measures replies")
        )

    def spend(self, project_name: str) -> dict[str, Any]:
        """The ledger of a project: by teacher and purpose, by job, the whole, and requests whose end nobody knows."""
        project = self.context.projects.get(project_name)
        rows = self.context.ledger.totals(project.id)
        return {
            "rows": rows,
            "jobs": self.context.ledger.by_job(project.id),
            "cost_usd": sum((row["cost_usd"] for row in rows), Decimal(0)),
            "unknown_cost": sum(row["unknown_cost"] for row in rows),
            "unknown_ends": asdict(add_ends(self.context.intents.unknown_ends(project.id))),
        }
