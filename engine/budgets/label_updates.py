"""Equal label updates: of the last stage, which makes the student that answers; stages before it come on top."""

from __future__ import annotations

from engine.budgets.base import BUDGETS, BudgetKind, PlanSize, list_stages, replace_settings
from engine.plans import Plan


def apply(plan: Plan, amount: float, size: PlanSize) -> Plan:
    """The plan whose last stage makes so many updates; the others are as they were ordered."""
    last = list_stages(plan)[-1]
    return replace_settings(plan, {last.name: last.train.model_copy(update={"updates": int(amount), "tokens": None})})


BUDGETS.add("label-updates", BudgetKind("updates of the last stage", "Stages before it come on top.", apply, "300"))
