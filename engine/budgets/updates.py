"""Equal updates: of all stages together."""

from __future__ import annotations

from engine.budgets.base import (
    BUDGETS,
    BudgetKind,
    PlanSize,
    count_planned,
    list_stages,
    replace_settings,
    split_amount,
)
from engine.plans import Plan


def apply(plan: Plan, amount: float, size: PlanSize) -> Plan:
    """The plan whose stages make so many updates together, in the proportion in which they would by themselves."""
    stages = list_stages(plan)
    shares = [count_planned(step, size.stages[step.name]) / step.train.batch_size for step in stages]
    parts = split_amount(int(amount), shares)
    settings = {
        step.name: step.train.model_copy(update={"updates": part, "tokens": None})
        for step, part in zip(stages, parts, strict=True)
    }
    return replace_settings(plan, settings)


BUDGETS.add(
    "updates", BudgetKind("updates", "Of all stages together, in the proportion of their epochs.", apply, "300")
)
