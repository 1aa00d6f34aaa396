"""What the arms of a study may take equally much of."""

from engine.budgets.base import BUDGETS, BudgetKind, PlanSize, RowSize, Sizes, Spent
from engine.registry import import_variants

__all__ = ["BUDGETS", "BudgetKind", "PlanSize", "RowSize", "Sizes", "Spent"]

import_variants(__name__, __path__)
