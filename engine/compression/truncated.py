"""Truncation, the plain variant of a fixed length (arXiv 2503.24198, Table 5): the first words, and nobody is asked."""

from __future__ import annotations

from engine.compression.base import COMPRESSORS, Asker, Compressor, CompressWork
from engine.ports import Task
from engine.values import ParsedReply


async def rewrite(task: Task, work: CompressWork, asker: Asker | None) -> ParsedReply | str | None:
    """As many words from the beginning as the median of what the student wrote."""
    if not work.words:
        return "the student wrote nothing to take a length from"
    words = work.example.rationale.split()
    text = work.example.rationale if len(words) <= work.words else " ".join(words[: work.words])
    return ParsedReply(text, work.example.label)


COMPRESSORS.add(
    "truncated",
    Compressor("cut off", "The first words, as many as the student's median.", rewrite, needs_teacher=False),
)
