"""Exporters: how a distillation set, a run's rows or a student is taken out."""

from engine.exports.base import EXPORTERS, Exporter, Outgoing, Scope, Student
from engine.registry import import_variants

__all__ = ["EXPORTERS", "Exporter", "Outgoing", "Scope", "Student"]

import_variants(__name__, __path__)
