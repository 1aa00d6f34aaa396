"""The seam between a job that wants answers and what runs the model that writes them (worker only)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from engine.config import StudentConfig
from engine.errors import MissingPart
from engine.inference.writer import WriteRequest
from engine.registry import Registry
from engine.values import Generation

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class WriterOrder:
    """What is to be written with; the fields mean what they mean in `engine.inference.writer.Writer`."""

    student: StudentConfig
    adapter: Path | None
    max_new_tokens: int
    batch: int
    stop: Callable[[], bool] = lambda: False
    temperature: float = 0.0
    top_p: float = 1.0
    until: str = ""
    logprobs: bool = False


class AnswerWriter(Protocol):
    """Writes answers, several at the same time; see `engine.inference.writer.Writer`."""

    batch: int
    checked: AbstractSet[str]
    repeated: dict[str, bool]

    def write(self, asks: Sequence[WriteRequest]) -> Iterator[Generation]:
        """Answer all prompts; each is given as soon as it is done."""
        ...

    def fit(self, asks: Sequence[WriteRequest]) -> int:
        """How many of these are written at the same time."""
        ...


class Unfit(Exception):
    """This writer is not the one for an order, as turned out when it was opened."""


class WriterKind(NamedTuple):
    """One way to write. Of those that can, the one of the highest `rank` does.

    `find_obstacle` says at no great cost why it can't write an order; "": nothing is known to stand against it. `open`
    is given what will be asked, to try itself on, and raises `Unfit` where it fails.
    """

    title: str
    rank: int
    find_obstacle: Callable[[WriterOrder], str]
    open: Callable[[WriterOrder, Sequence[WriteRequest]], AnswerWriter]


WRITERS: Registry[WriterKind] = Registry("writers", "writer")


def open_writer(order: WriterOrder, asks: Sequence[WriteRequest], name: str | None = None) -> tuple[str, AnswerWriter]:
    """What writes these answers, and its name: the best that can; `name`, which began them, where it still can.

    Raises:
        MissingPart: if the student can't be loaded.
    """
    for known in sorted(WRITERS, key=lambda known: (known == name, WRITERS[known].rank), reverse=True):
        kind = WRITERS[known]
        why = kind.find_obstacle(order)
        if not why:
            try:
                return known, kind.open(order, asks)
            except Unfit as unfit:
                why = str(unfit)
        _LOG.info("%s does not write here: %s", kind.title, why)
    raise MissingPart("nothing on this machine can write these answers; the log of the worker says why")
