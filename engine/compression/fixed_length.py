"""Fixed length (arXiv 2503.24198, Table 5): the teacher rewrites to at most so many words.

The paper does not say how many; here it is the median of what the student wrote, the same for all. Words stand in for
tokens, since whoever asks teachers has no tokenizer of the student.
"""

from __future__ import annotations

from engine.compression.base import COMPRESSORS, Asker, Compressor, CompressWork
from engine.ports import Task
from engine.values import ParsedReply, Purpose

_NAME = "fixed-length"


async def rewrite(task: Task, work: CompressWork, asker: Asker | None) -> ParsedReply | str | None:
    """What the teacher makes of its rationale in so many words; one that is as short stays as it is.

    Raises:
        TeacherError: if every further request would fail the same way.
    """
    if asker is None:
        return "nobody can be asked"
    if not work.words:
        return "the student wrote nothing to take a length from"
    example = work.example
    if len(example.rationale.split()) <= work.words:
        return ParsedReply(example.rationale, example.label)
    variables = {
        "query": task.render(example.query),
        "label": example.label,
        "teacher_rationale": example.rationale,
        "words": str(work.words),
    }
    return await asker.ask(Purpose.COMPRESS, _NAME, variables)


COMPRESSORS.add(
    _NAME,
    Compressor(
        "the teacher, at a fixed length",
        "At most as many words as the student's median (Table 5).",
        rewrite,
        prompts=(_NAME,),
    ),
)
