"""What writes answers: PyTorch, which writes all of them, and others, faster where they fit (worker only)."""

from engine.inference.writers.base import WRITERS, AnswerWriter, Unfit, WriterKind, WriterOrder, open_writer
from engine.registry import import_variants

__all__ = ["WRITERS", "AnswerWriter", "Unfit", "WriterKind", "WriterOrder", "open_writer"]

import_variants(__name__, __path__)
