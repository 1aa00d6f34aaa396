"""Exporters: how a distillation set, a run's rows or a student is taken out."""

from engine.exports.base import EXPORTERS, Exporter, Item, Outgoing, PromptFrame, Scope, ScoredAnswers, Student, Use
from engine.registry import import_variants

__all__ = ["EXPORTERS", "Exporter", "Item", "Outgoing", "PromptFrame", "Scope", "ScoredAnswers", "Student", "Use"]

import_variants(__name__, __path__)
