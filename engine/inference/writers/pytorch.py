"""The student in PyTorch, its adapter unmerged: on any device, and any student (worker only)."""

from __future__ import annotations

from collections.abc import Sequence

from engine.inference.writer import Writer, WriteRequest, load_student, load_tokenizer, pick_device
from engine.inference.writers.base import WRITERS, WriterKind, WriterOrder


def _open(order: WriterOrder, asks: Sequence[WriteRequest]) -> Writer:
    return Writer(
        load_student(order.student, order.adapter, pick_device()),
        load_tokenizer(order.student),
        order.max_new_tokens,
        order.batch,
        order.stop,
        order.temperature,
        order.top_p,
        order.until,
        logprobs=order.logprobs,
    )


WRITERS.add("pytorch", WriterKind("PyTorch", 0, lambda order: "", _open))
