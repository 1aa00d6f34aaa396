"""What the arms of a study may take equally much of."""

from engine.budgets.base import BUDGETS, BudgetKind, RowSize, Sizes
from engine.registry import import_variants

__all__ = ["BUDGETS", "BudgetKind", "RowSize", "Sizes"]

import_variants(__name__, __path__)
