"""Equal teacher dollars: what labels and rewriting cost, however many queries that pays for."""

from __future__ import annotations

from engine.budgets.base import BUDGETS, BudgetKind, PlanSize
from engine.errors import ConfigError
from engine.plans import Plan
from engine.selection.rules.spending import Spending

_LEAST = 1e-6
"""US dollars; less is nothing."""


def apply(plan: Plan, amount: float, size: PlanSize) -> Plan:
    """The plan on as many queries as the money pays teachers for: their labels, and rewriting what is kept.

    What rewriting takes of it is reckoned as its share where there is no budget, so that what is spent may differ by as
    much as the reckoning; records hold what it was.

    Raises:
        ConfigError: if the samples cost nothing, an unknown sum or less than the budget.
    """
    spent = size.spent()
    total = spent.labels + spent.compressing
    if total < _LEAST:
        raise ConfigError("its samples cost nothing, so a budget of teacher dollars tells no arms apart")
    if total < amount:
        raise ConfigError(
            f"all of its samples cost US $ {total:.4g}, less than the budget of {amount:g}: lower the budget, or label "
            "more queries"
        )
    labels = amount * spent.labels / total
    return plan.model_copy(update={"selection": spent.selection.with_rule(Spending(most_usd=labels))})


BUDGETS.add(
    "teacher-dollars",
    BudgetKind(
        "US dollars for teachers",
        "Labels and rewriting, on as many queries as that pays for; epochs as ordered.",
        apply,
        example="0.50",
        whole=False,
    ),
)
