"""Selection, step 1 of the method: factors of confidence, rules, and what both decide for every sample."""

from engine.selection.arrays import Selection, SelectionInput, arrange
from engine.selection.select import select
from engine.selection.settings import SelectionConfig, dcrs

__all__ = ["Selection", "SelectionConfig", "SelectionInput", "arrange", "dcrs", "select"]
