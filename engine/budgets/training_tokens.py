"""Equal training tokens: what a student reads in training, prompts and completions, all stages together."""

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
    """The plan whose stages read so many tokens together, in the proportion in which they would read by themselves."""
    stages = list_stages(plan)
    shares = [count_planned(step, size.stages[step.name]) * size.stages[step.name].characters for step in stages]
    parts = split_amount(int(amount), shares)
    settings = {
        step.name: step.train.model_copy(update={"tokens": part}) for step, part in zip(stages, parts, strict=True)
    }
    return replace_settings(plan, settings)


BUDGETS.add(
    "training-tokens",
    BudgetKind(
        "training tokens",
        "What the student reads in all stages, in the proportion of their epochs.",
        apply,
        example="192000",
    ),
)
