"""How far a run's students can be trusted when they say how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.usecases.workspace.context import Context
from engine.evaluation.risk_coverage import RiskCoverage, measure_risk_coverage
from engine.values import EvalItem
from storage.runs import Run


@dataclass(frozen=True)
class ConfidenceService:
    """Use cases of students' own confidences."""

    context: Context

    def curves(self, run: Run) -> tuple[RiskCoverage, ...]:
        """By student the curve of risk and coverage and its figures, in the order of the report.

        Those none of whose answers has a log-prob are left out. Computed once between two writes.
        """

        def work() -> tuple[RiskCoverage, ...]:
            names = [row.name for row in self.context.reports.rows(run.id)]
            return _measure(self.context.runs.scored(run.id), names)

        return self.context.db.once(f"confidences of {run.id}", work)


def _measure(items: Sequence[EvalItem], order: Sequence[str]) -> tuple[RiskCoverage, ...]:
    by_system: dict[str, list[EvalItem]] = {}
    for item in items:
        by_system.setdefault(item.system, []).append(item)
    names = [name for name in dict.fromkeys((*order, *by_system)) if name in by_system]
    curves = (measure_risk_coverage(name, by_system[name]) for name in names)
    return tuple(curve for curve in curves if curve is not None)
