"""How far a run's students can be trusted when they say how sure they are."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.usecases.workspace.context import Context
from engine.evaluation.risk_coverage import RiskCoverage, measure_risk_coverage
from engine.values import EvalItem, hash_id
from storage.runs import Run

_REMEMBERED = 20


@dataclass(frozen=True)
class ConfidenceService:
    """Use cases of students' own confidences."""

    context: Context
    known: dict[str, tuple[RiskCoverage, ...]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def curves(self, run: Run) -> tuple[RiskCoverage, ...]:
        """By student the curve of risk and coverage and its figures, in the order of the report.

        Those none of whose answers has a log-prob are left out. Computed once for the same answers.
        """
        items = self.context.runs.scored(run.id)
        key = hash_id("confidences", [[item.system, item.correct, item.log_prob] for item in items])
        with self.lock:
            if key not in self.known:
                while len(self.known) >= _REMEMBERED:
                    self.known.pop(next(iter(self.known)))
                self.known[key] = _measure(items, [row.name for row in self.context.reports.rows(run.id)])
            return self.known[key]


def _measure(items: Sequence[EvalItem], order: Sequence[str]) -> tuple[RiskCoverage, ...]:
    by_system: dict[str, list[EvalItem]] = {}
    for item in items:
        by_system.setdefault(item.system, []).append(item)
    names = [name for name in dict.fromkeys((*order, *by_system)) if name in by_system]
    curves = (measure_risk_coverage(name, by_system[name]) for name in names)
    return tuple(curve for curve in curves if curve is not None)
